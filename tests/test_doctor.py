"""The doctor: healthy here, and every check fails when what it looks for is the case."""

import importlib.metadata
import shutil
from collections import namedtuple

import jax
import numpy as np
import pytest

from odeembed import doctor


def test_this_installation_is_healthy():
    found = {check.name: check for check in doctor.examine()}
    assert {name: check.text for name, check in found.items() if not check.passed} == {}
    assert len(found) == 12 and all(check.text for check in found.values())


def failure(name: str) -> str:
    check = next(check for check in doctor.examine([name]))
    assert not check.passed
    return check.text


def test_a_wrong_version_is_named(monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.1" if name == "flax" else version(name)
    )
    assert "flax 0.1 (wants" in failure("versions")


def test_a_full_disk_is_named(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 1 << 20))
    assert "0.0 GiB free" in failure("disk")


def test_a_cache_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ODEEMBED_CACHE", str(tmp_path / "file" / "cache"))
    assert "NotADirectoryError" in failure("caches")


def test_a_device_that_rounds_by_default_is_told_and_one_that_always_does_is_noticed(monkeypatch):
    def like_a_tpu(x, y):
        exact = jax.config.jax_default_matmul_precision == "float32"
        return jax.numpy.matmul(*(np.asarray(z, "float32" if exact else jax.numpy.bfloat16) for z in (x, y)))

    monkeypatch.setattr(jax.numpy, "dot", like_a_tpu)
    (check,) = doctor.examine(["precision"])
    assert check.passed and "JAX_DEFAULT_MATMUL_PRECISION=float32" in check.text
    monkeypatch.setattr(jax.numpy, "dot", lambda x, y: x.astype(jax.numpy.bfloat16) @ y)
    assert "though float32 is asked for" in failure("precision")


def test_a_wrong_gradient_is_noticed(monkeypatch):
    def wrong(field, params, *rest):
        return doctor_solve(lambda a, t, y, context: jax.lax.stop_gradient(a) * y, params, *rest)

    doctor_solve = doctor.solve
    monkeypatch.setattr(doctor, "solve", wrong)
    assert "gradient of fixed steps under jit is wrong by" in failure("gradients")


def test_a_solve_that_hides_its_failure_is_noticed(monkeypatch):
    solution = namedtuple("solution", "failed ys")(np.zeros(2, bool), np.zeros((2, 2, 1)))
    monkeypatch.setattr(doctor, "solve", lambda *rest: solution)
    assert "failed = [False, False]" in failure("failed solves")


def test_a_checkpoint_restored_in_spite_of_a_flipped_bit_is_noticed(monkeypatch):
    monkeypatch.setattr(doctor, "_flip_a_bit", lambda folder: None)
    assert "flipped bit" in failure("checkpoints")


def test_a_checkpoint_lost_to_a_nan_is_noticed(monkeypatch):
    save = doctor.Checkpoints.save
    monkeypatch.setattr(
        doctor.Checkpoints,
        "save",
        lambda self, step, state, rank: save(self, step, state, -1.0 if rank != rank else rank),
    )
    assert "expected 2 and 4" in failure("checkpoints")


@pytest.mark.parametrize("name", ["exporters", "sentencepiece"])
def test_whatever_is_raised_is_a_finding(name, monkeypatch):
    def broken(*rest, **options):
        raise OSError("no\nsuch thing")

    monkeypatch.setattr(doctor, "export", broken)
    monkeypatch.setattr(doctor, "SentencePiece", broken)
    assert failure(name) == "OSError: no"
