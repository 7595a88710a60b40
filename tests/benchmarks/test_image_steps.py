"""The steps timed are those of the configs, and what they take becomes a table."""

import image_steps
import pytest
from recording import write_result

from odeembed.results import tables


def test_adaptive_bodies_are_timed_once_for_each_kind_of_products():
    found = image_steps.variants("small", 4, ("float32", "tensorfloat32"))
    assert [name for name in found if "," not in name] == ["mnist_resnet1", "mnist_resnet6", "mnist_euler"]
    assert {name: one.model.body.config.products for name, one in found.items() if "," in name} == {
        f"mnist_{body}, {kind}": kind for body in ("rknet", "odenet") for kind in ("float32", "tensorfloat32")
    }
    assert all(one.data.rows == 4 for one in found.values())


@pytest.mark.slow
def test_a_step_of_each_is_compared_with_the_twin_and_fills_a_table(tmp_path):
    rows = image_steps.measure(image_steps.variants("small", 2, ("float32",)), rounds=1, side=12)
    by = {row["variant"]: row for row in rows}
    assert by["mnist_resnet1"]["over_twin"] == 1.0 and by["mnist_resnet1"]["parameters"] == 206858
    assert by["mnist_euler"]["evaluations"] == 6 and by["mnist_odenet, float32"]["evaluations"] >= 7
    assert by["mnist_odenet, float32"]["loss"] == pytest.approx(by["mnist_rknet, float32"]["loss"], rel=1e-5)
    for accelerator, name in ((None, "image-steps"), ("a GPU", "image-steps-accelerator")):
        result = {"kind": "image_steps", "accelerator": accelerator, "processor": "a CPU", "measured": rows}
        write_result(tmp_path / "benchmarks" / "results" / "image_steps.json", result)
        found = tables(tmp_path)[name].splitlines()
        assert len(found) == 2 + len(rows) and found[2].startswith("| resnet1 | 206,858 | 2 | ")


def test_an_accelerator_that_is_not_there_is_told():
    with pytest.raises(SystemExit, match="no accelerator"):
        image_steps.main(["--accelerator"])
