"""Datasets written without TensorFlow are what TFDS reads, and the same as its own."""

import gzip
import json
import struct

import numpy as np
import pytest

pytest.importorskip("array_record")
tfds = pytest.importorskip("tensorflow_datasets")

from odeembed.data import builders  # noqa: E402
from odeembed.data.sources import TfdsText  # noqa: E402
from odeembed.errors import ConfigError, DataError, MissingFileError  # noqa: E402


def write_idx(path, array):
    with gzip.open(path, "wb") as file:
        file.write(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())
    return path


def test_text_lines_come_back_in_order(tmp_path):
    (tmp_path / "a.txt").write_text("één\n\nzwei\n" + "".join(f"line {n}\n" for n in range(30)))
    builders.write_text_lines("lines_here", {"train": [tmp_path / "a.txt"]}, tmp_path / "tfds")
    source = TfdsText("lines_here", data_dir=str(tmp_path / "tfds"))
    assert list(source.lines()) == ["één", "zwei", *(f"line {n}" for n in range(30))]
    assert (
        len(list(TfdsText("lines_here:1.0.0", "train[10:20]", data_dir=str(tmp_path / "tfds")).lines())) == 10
    )
    assert len(tfds.data_source("lines_here", split="train", data_dir=tmp_path / "tfds")) == 32
    assert (
        source.stamp()
        == source.stamp()
        != TfdsText("lines_here", "x", data_dir=str(tmp_path / "tfds")).stamp()
    )


def test_parallel_text_comes_back_in_pairs(tmp_path):
    (tmp_path / "de").write_text("eins\nzwei\n")
    (tmp_path / "en").write_text("one\ntwo\n")
    splits = {"train": (tmp_path / "de", tmp_path / "en")}
    builders.write_parallel_text("pairs", ("de", "en"), splits, tmp_path / "tfds")
    assert [dict(pair) for pair in builders.open_prepared("pairs", "train", str(tmp_path / "tfds"))] == [
        {"de": b"eins", "en": b"one"},
        {"de": b"zwei", "en": b"two"},
    ]
    (tmp_path / "en").write_text("one\n")
    with pytest.raises(DataError, match="different numbers of lines, 2 and 1"):
        builders.write_parallel_text("unequal", ("de", "en"), splits, tmp_path / "tfds")


def test_images_come_back_with_their_labels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 5, 7)).astype(np.uint8)
    files = (
        write_idx(tmp_path / "i.gz", images),
        write_idx(tmp_path / "l.gz", np.arange(20, dtype=np.uint8) % 10),
    )
    builders.write_idx_images("grey", {"test": files}, tmp_path / "tfds")
    read = builders.open_prepared("grey", "test", str(tmp_path / "tfds"))
    assert {example["image"].tobytes() for example in read} == {image.tobytes() for image in images}
    for example in read:
        place = next(n for n, image in enumerate(images) if (image == example["image"][:, :, 0]).all())
        assert example["label"] == place % 10


def test_files_that_are_not_idx_are_named(tmp_path):
    (tmp_path / "a").write_bytes(b"PNG!" * 10)
    with pytest.raises(DataError, match="not an IDX file"):
        builders.read_idx(tmp_path / "a")
    whole = gzip.decompress(write_idx(tmp_path / "b.gz", np.zeros((3, 2), np.uint8)).read_bytes())
    (tmp_path / "b").write_bytes(whole[:-1])
    with pytest.raises(DataError, match="expected 18 for shape"):
        builders.read_idx(tmp_path / "b")
    with pytest.raises(MissingFileError):
        builders.read_idx(tmp_path / "c")
    labels = write_idx(tmp_path / "l.gz", np.zeros(4, np.uint8))
    with pytest.raises(DataError, match="Give the image file first"):
        builders.write_idx_images("grey", {"test": (labels, labels)}, tmp_path / "tfds")


def test_tiny_shakespeare_is_the_stock_dataset(corpora, tmp_path):
    builders.write_tiny_shakespeare(corpora / "tiny_shakespeare" / "input.txt", tmp_path)
    for split in ("train", "validation", "test"):
        ours, stock = (
            tfds.data_source("tiny_shakespeare", split=split, data_dir=d)
            for d in (tmp_path, corpora / "tfds")
        )
        assert [dict(example) for example in ours] == [dict(example) for example in stock]


def test_mnist_is_the_stock_dataset_in_the_stock_order(corpora, tmp_path, monkeypatch):
    monkeypatch.setattr(builders, "_MNIST_FILES", {"test": builders._MNIST_FILES["test"]})
    builders.write_mnist(corpora / "mnist", tmp_path)
    ours, stock = (tfds.data_source("mnist", split="test", data_dir=d) for d in (tmp_path, corpora / "tfds"))
    for place in range(0, 10_000, 500):
        np.testing.assert_array_equal(ours[place]["image"], stock[place]["image"])
        assert ours[place]["label"] == stock[place]["label"]


def test_features_of_foreign_classes_are_refused_before_anything_is_imported(tmp_path):
    (tmp_path / "a.txt").write_text("one\n")
    folder = builders.write_text_lines("foreign", {"train": [tmp_path / "a.txt"]}, tmp_path / "tfds")
    path = folder / "features.json"
    path.write_text(
        path.read_text().replace("tensorflow_datasets.core.features.text_feature.Text", "antigravity.Text")
    )
    assert "antigravity" in json.dumps(json.loads(path.read_text()))
    with pytest.raises(DataError, match=r"antigravity\.Text, which opening it would import"):
        list(TfdsText("foreign", data_dir=str(tmp_path / "tfds")).lines())


@pytest.mark.parametrize("name", ["../up", "a/b/c", "", "a b", "/etc"])
def test_names_cannot_leave_the_folder(tmp_path, name):
    with pytest.raises(ConfigError):
        builders.open_prepared(name, "train", str(tmp_path))


def test_a_dataset_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(MissingFileError, match=r"odeembed\.data\.builders"):
        builders.open_prepared("no_such_dataset", "train", str(tmp_path))


def test_an_unknown_split_names_the_known(tmp_path):
    (tmp_path / "a.txt").write_text("one\n")
    builders.write_text_lines("lines_known", {"train": [tmp_path / "a.txt"]}, tmp_path / "tfds")
    with pytest.raises(DataError, match="it has: train"):
        builders.open_prepared("lines_known", "dev", str(tmp_path / "tfds"))
