"""What all kinds of data ask of their splits and of the model, and how they say no."""

from types import SimpleNamespace

import pytest

from odeembed.data.splits import check_held_out, check_model, check_one_batch, check_split, held_out_size
from odeembed.errors import ConfigError, DataError


def test_three_splits_and_no_other():
    for split in ("train", "valid", "test"):
        check_split(split)
    with pytest.raises(ConfigError, match="no split 'dev'; expected one of train, valid, test"):
        check_split("dev")


@pytest.mark.parametrize("fraction", [0.0, -0.1, 0.5, 1.0])
def test_a_held_out_share_leaves_something_for_every_split(fraction):
    check_held_out(0.49)
    with pytest.raises(ConfigError, match=r"held_out must lie in \(0, 0.5\)"):
        check_held_out(fraction)


def test_the_share_of_few_examples_is_at_least_one():
    assert held_out_size(19, 0.1, "points") == 1
    with pytest.raises(DataError, match=r"9 points are too few to hold 0\.1 of them out"):
        held_out_size(9, 0.1, "points")


def test_examples_fill_a_batch():
    check_one_batch(8, 8, "images")
    with pytest.raises(
        DataError, match=r"7 images to train on; expected at least one batch of 8.*data\.rows to 7"
    ):
        check_one_batch(7, 8, "images")


def test_a_model_counts_as_the_data_do_or_not_at_all():
    check_model(SimpleNamespace(), "classes", 3, "birds has 3 classes")
    check_model(SimpleNamespace(classes=3), "classes", 3, "birds has 3 classes")
    with pytest.raises(ConfigError, match=r"birds has 3 classes and the model 2\. Set --model\.classes 3\.$"):
        check_model(SimpleNamespace(classes=2), "classes", 3, "birds has 3 classes")
    with pytest.raises(ConfigError, match=r"the model 2\. Give labels\.$"):
        check_model(SimpleNamespace(classes=2), "classes", 0, "birds has 0 classes", "Give labels.")
