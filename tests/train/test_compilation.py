import os

import jax
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.train.compilation import Compiled, enable_compilation_cache


def batch(rows, length):
    zeros = np.zeros((rows, length), np.int32)
    return Batch(zeros, zeros.astype(np.float32), zeros == 0, np.arange(rows, dtype=np.int32))


def test_each_shape_is_compiled_once_and_counted():
    announced = []
    compiled = Compiled(jax.jit(lambda state, batch: state + batch.mask.sum()), announced.append)
    state = jax.numpy.zeros(())
    for shape in [(2, 3), (4, 5), (2, 3), (4, 5), (2, 3)]:
        state = compiled.program(state, batch(*shape))(state, batch(*shape))
    assert state == 3 * 6 + 2 * 20
    assert compiled.compilations == 2
    assert announced == [f"compiling the step for batches of shape {shape}" for shape in ("2x3", "4x5")]
    assert compiled.seconds > 0


def test_the_memory_of_a_step_counts_its_arguments():
    compiled = Compiled(jax.jit(lambda state, batch: state * 2.0))
    state = jax.numpy.zeros(1000)
    compiled.program(state, batch(2, 3))
    assert compiled.step_bytes >= 4000


@pytest.fixture
def unset(monkeypatch):
    """jax without a folder for its cache, as a user's process starts; the tests' setting comes back."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.delenv("ODEEMBED_COMPILE_CACHE")
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_the_cache_is_on_and_lies_under_the_packages_folder(unset, monkeypatch, tmp_path):
    monkeypatch.setenv("ODEEMBED_CACHE", str(tmp_path))
    folder = enable_compilation_cache()
    assert folder is not None and folder.is_dir() and folder.parent == tmp_path / "jax"
    assert jax.config.jax_compilation_cache_dir == str(folder)


def test_the_environment_turns_it_off(unset, monkeypatch, tmp_path):
    monkeypatch.setenv("ODEEMBED_COMPILE_CACHE", "0")
    assert enable_compilation_cache(tmp_path) is None
    assert jax.config.jax_compilation_cache_dir is None


def test_a_folder_that_jax_was_told_of_stays(unset, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    assert enable_compilation_cache(tmp_path / "other") == tmp_path / "mine"


def test_the_oldest_programs_go_when_there_is_no_room(unset, tmp_path):
    folder = enable_compilation_cache(tmp_path)
    assert folder is not None
    for age, name in enumerate(("new", "middle", "old")):
        (folder / name).write_bytes(bytes(100))
        os.utime(folder / name, (1000 - age, 1000 - age))
    jax.config.update("jax_compilation_cache_dir", None)
    enable_compilation_cache(tmp_path, max_bytes=250)
    assert sorted(path.name for path in folder.iterdir()) == ["middle", "new"]


def test_a_folder_that_cannot_be_made_costs_no_run(unset, tmp_path):
    (tmp_path / "file").write_text("")
    assert enable_compilation_cache(tmp_path / "file") is None
