"""Simple estimates of densities on points whose density is known, and as a command."""

import json

import numpy as np
import pytest
from densities import estimates, main


def test_a_gaussian_is_found_by_both_and_two_clouds_by_kernels_alone():
    rng = np.random.default_rng(0)
    entropy = 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * np.array([[2.0, 0.5], [0.5, 1.0]])))
    draw = lambda n: rng.multivariate_normal([1.0, 0.0], [[2.0, 0.5], [0.5, 1.0]], n)  # noqa: E731
    gaussian, kernels = estimates({"train": draw(4000), "valid": draw(500), "test": draw(4000)})
    assert gaussian["nats"] == pytest.approx(entropy, abs=0.05)
    assert gaussian["nats"] < kernels["nats"] < entropy + 0.1
    clouds = lambda n: draw(n) + 20 * rng.integers(0, 2, (n, 1))  # noqa: E731
    gaussian, kernels = estimates({"train": clouds(4000), "valid": clouds(500), "test": clouds(2000)})
    assert kernels["nats"] < gaussian["nats"] - 1


def test_it_writes_what_it_finds(tmp_path, monkeypatch):
    monkeypatch.setattr("densities.KERNELS", 500)
    monkeypatch.setattr("densities.HELD_OUT", 100)
    main(["moons", "--results", str(tmp_path)])
    result = json.loads((tmp_path / "densities.json").read_text())
    assert [row["model"] for row in result["rows"]] == ["Gaussian", "kernel density"]
    assert all(row["truth"] < row["nats"] for row in result["rows"])
