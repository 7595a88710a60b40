"""Images as batches: every one once, the same ones again, shifts by hand, and datasets that cannot be used."""

from dataclasses import replace

import numpy as np
import pytest

from odeembed.data.buckets import Share
from odeembed.data.builders import write_idx_images
from odeembed.data.images import ImageData
from odeembed.errors import ConfigError, DataError, MissingFileError
from odeembed.models.image_classifier import ImageClassifier

COUNTS = {"train": 50, "test": 11}


def idx(path, array):
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes())
    return path


def dataset(folder, classes=3, labels=3, **settings):
    """Images of 5 x 4 whose first pixel tells which it is."""
    rng, files = np.random.default_rng(0), {}
    for split, n in COUNTS.items():
        images = rng.integers(1, 255, (n, 5, 4), dtype=np.uint8)
        images[:, 0, 0] = np.arange(n)
        numbers = rng.permutation(np.arange(n) % labels).astype(np.uint8)
        files[split] = (idx(folder / f"{split}-x", images), idx(folder / f"{split}-y", numbers))
    write_idx_images("tiny", files, folder / "tfds", classes=classes)
    return ImageData("tiny", str(folder / "tfds"), "train[:40]", "train[40:]", rows=16, **settings)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("images"))


def test_an_epoch_shows_each_image_at_most_once_and_is_pure(tiny):
    opened = tiny.open(5)
    assert opened.steps_per_epoch == 2 and opened.classes == 3
    for epoch in range(2):
        batches = [opened.batch(2 * epoch + step) for step in range(2)]
        index = np.concatenate([batch.index for batch in batches])
        assert len(set(index.tolist())) == 32
        for batch in batches:
            images = opened.images["train"]
            np.testing.assert_array_equal(batch.target, images.labels[batch.index])
            pixels = batch.values * opened.scale + opened.mean
            np.testing.assert_allclose(pixels, images.values[batch.index], atol=1e-3)
            assert batch.values.dtype == np.float32 and batch.target.dtype == np.int32
            assert batch.values.shape == (16, 5, 4, 1) and batch.mask.shape == (16, 1) and batch.mask.all()
    again = tiny.open(5).batch(3)
    np.testing.assert_array_equal(again.values, opened.batch(3).values)
    assert (opened.batch(0).index != opened.batch(2).index).any()
    assert (tiny.open(6).batch(0).index != opened.batch(0).index).any()


def test_splits_share_no_image_and_the_scale_is_that_of_the_train_split(tiny):
    opened = tiny.open(0)
    firsts = [opened.images[split].values[:, 0, 0, 0].tolist() for split in ("train", "valid")]
    assert sorted(firsts[0] + firsts[1]) == list(range(50))
    values = opened.images["train"].values / 1.0
    np.testing.assert_allclose(opened.mean, values.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(opened.scale, values.std((0, 1, 2)), rtol=1e-6)
    assert opened.inspect()["images"] == {"train": 40, "valid": 10, "test": 11}


def test_evaluation_shows_every_image_once_in_one_shape_and_as_it_is(tiny):
    batches = list(replace(tiny, rows=8, crop=2, flip=True).open(0).evaluation("test"))
    index = np.concatenate([batch.index for batch in batches])
    assert index.tolist() == [*range(11), *[-1] * 5]
    assert not batches[1].values[3:].any() and not batches[1].target[3:].any()
    assert not batches[1].mask[3:].any() and batches[1].mask[:3].all()
    plain = next(replace(tiny, rows=8).open(0).evaluation("test"))
    np.testing.assert_array_equal(batches[0].values, plain.values)
    with pytest.raises(ConfigError, match="no split 'dev'"):
        next(tiny.open(0).evaluation("dev"))


def test_shifts_and_mirrors_are_those_of_a_whole_image_and_of_the_step_alone(tiny):
    opened = replace(tiny, crop=1, flip=True).open(0)
    seen = set()
    for step in range(12):
        batch = opened.batch(step)
        np.testing.assert_array_equal(
            replace(tiny, crop=1, flip=True).open(0).batch(step).values, batch.values
        )
        pixels = np.round(batch.values * opened.scale + opened.mean).astype(int)[..., 0]
        for number, image in zip(batch.index, pixels, strict=True):
            source = opened.images["train"].values[number, :, :, 0]
            padded = np.pad(source, 1)
            fits = [
                (down, right, mirrored)
                for down in range(3)
                for right in range(3)
                for mirrored in (False, True)
                if (image == padded[down : down + 5, right : right + 4][:, :: -1 if mirrored else 1]).all()
            ]
            assert len(fits) == 1
            seen.add(fits[0])
    assert len(seen) == 18


def test_a_run_goes_on_with_the_same_images_only(tiny):
    known = tiny.open(0).fingerprint
    assert tiny.open(0).fingerprint == known
    for other in (replace(tiny, crop=1), replace(tiny, train="train[:30]"), replace(tiny, rows=8)):
        assert other.open(0).fingerprint != known
    assert tiny.open(1).fingerprint != known


def test_images_are_decoded_once(tiny, tmp_path):
    said = []
    tiny.open(0, progress=said.append, cache_dir=tmp_path)
    assert len(said) == 3 and "train[:40]" in said[0]
    tiny.open(0, progress=said.append, cache_dir=tmp_path)
    assert len(said) == 3
    for file in (tmp_path / "images").iterdir():
        file.write_bytes(file.read_bytes()[:100])  # as if the disk had been full
    assert tiny.open(0, progress=said.append, cache_dir=tmp_path).steps_per_epoch == 2 and len(said) == 6


def test_what_cannot_be_used_is_told(tiny, tmp_path):
    for changed, what in (
        ({"rows": 41}, "40 images to train on; .*data.rows to 40"),
        ({"image": "picture"}, "no feature 'picture'; it has: image, label. Set data.image"),
        ({"label": "image"}, r"labels uint8\[40, 5, 4, 1\]; expected one integer"),
        ({"image": "label"}, r"image 0: int64\[\]; expected uint8 \[h, w, c\]"),
        ({"test": "dev"}, "no split 'dev'"),
    ):
        with pytest.raises(DataError, match=what):
            replace(tiny, **changed).open(0)
    with pytest.raises(MissingFileError, match="'other' is not prepared under"):
        replace(tiny, name="other").open(0)
    with pytest.raises(MissingFileError, match="no such file or folder: '/nowhere'"):
        replace(tiny, data_dir="/nowhere").open(0)
    with pytest.raises(ConfigError, match=r"3 classes and the model 10\. Set --model.classes 3"):
        tiny.open(0).specialise(ImageClassifier())
    for settings, what in (
        ({"rows": 0}, "rows must be at least 1"),
        ({"crop": -1}, "crop must be at least 0"),
    ):
        with pytest.raises(ConfigError, match=what):
            ImageData(**settings)


def test_labels_out_of_range_are_told(tiny, monkeypatch):
    monkeypatch.setattr("odeembed.data.images._classes", lambda examples, label: 2)
    with pytest.raises(DataError, match=r"label 2, as out of range as \d+ are; expected 0 to 1"):
        replace(tiny, valid="train[39:]").open(0)


def test_the_prepared_mnist_is_found_by_its_name(corpora, monkeypatch):
    if not (corpora / "tfds" / "mnist").is_dir():
        pytest.skip("needs tfds/mnist")
    monkeypatch.setenv("ODEEMBED_DATA", str(corpora))
    opened = ImageData(train="train[:300]", valid="train[300:350]", test="test[:20]").open(0)
    assert opened.inspect()["shape"] == [28, 28, 1] and opened.classes == 10
    monkeypatch.delenv("ODEEMBED_DATA")
    monkeypatch.setenv("TFDS_DATA_DIR", str(corpora / "tfds"))
    assert (
        ImageData(train="train[:300]", valid="train[300:350]", test="test[:20]").open(0).fingerprint
        == opened.fingerprint
    )


def test_hosts_together_have_the_varied_images_of_the_global_batch(tiny):
    data = replace(tiny, crop=1, flip=True)
    whole, hosts = data.open(5), [data.open(5, share=Share(k, 4)) for k in range(4)]
    for k, host in enumerate(hosts):
        for found, wanted in zip(host.batch(3), whole.batch(3), strict=True):
            if wanted is not None:
                np.testing.assert_array_equal(found, wanted[k::4])
    with pytest.raises(ConfigError, match="16 rows of a batch do not divide over 3 hosts"):
        data.open(5, share=Share(0, 3))
