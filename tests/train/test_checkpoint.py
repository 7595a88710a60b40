import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

from odeembed.errors import CheckpointError, RunError, TrainingError
from odeembed.train.checkpoint import Checkpoints, tree_differences
from odeembed.train.state import init_state


@pytest.fixture(scope="module")
def state(tiny):
    text = tiny.Text()
    model = text.specialise(tiny.Model())
    return init_state(model, tiny.Objective(), optax.adam(0.1), text.batch(0), 0, 0.9)


def fill(run_dir, state, ranks, **options):
    with Checkpoints(run_dir, write=True, **options) as checkpoints:
        for step, rank in enumerate(ranks, 1):
            checkpoints.save(step, state._replace(step=np.int32(step)), rank, {"note": step})
    return Checkpoints(run_dir)


def same(first, second):
    first, second = (s._replace(key=jax.random.key_data(s.key)) for s in (first, second))
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


@pytest.mark.parametrize("average", [True, False])
def test_a_state_comes_back_to_the_bit(tmp_path, state, average):
    odd = jax.tree.map(lambda x: x, state)._replace(ema=state.ema if average else None)
    odd.params["readout"]["bias"] = np.array([np.nan, -0.0, 1e-42, 3.0] * 4, np.float32)
    found = fill(tmp_path, odd, [1.0]).restore(jax.eval_shape(lambda: odd))
    same(found, odd._replace(step=np.int32(1)))
    assert np.signbit(found.params["readout"]["bias"][1])


def test_parameters_are_read_without_a_model_and_are_the_average_when_kept(tmp_path, state):
    averaged = state._replace(ema=jax.tree.map(lambda p: p + 1, state.params))
    step, params = fill(tmp_path / "a", averaged, [1.0]).restore_params()
    assert step == 1
    jax.tree.map(np.testing.assert_array_equal, params, averaged.ema)
    params = fill(tmp_path / "b", state._replace(ema=None), [1.0]).restore_params("latest").params
    jax.tree.map(np.testing.assert_array_equal, params, state.params)


def test_facts_are_kept_beside_the_state(tmp_path, state):
    assert fill(tmp_path, state, [1.0]).facts(1) == {"note": 1}


def test_the_best_and_the_latest_are_kept_independently_and_a_nan_evicts_neither(tmp_path, state):
    ranks = [3.0, 1.0, np.nan, 2.0, 0.5, np.nan, 4.0, None, None]
    checkpoints = fill(tmp_path, state, ranks)
    assert checkpoints.steps() == (5, 8, 9)
    assert checkpoints.best_step() == 5
    assert checkpoints.restore_params("best").step == 5
    assert checkpoints.restore_params("latest").step == 9


def test_the_best_survives_a_restart(tmp_path, state):
    fill(tmp_path, state, [3.0, 0.5, 2.0, 1.0], keep_latest=1)
    with Checkpoints(tmp_path, write=True, keep_latest=1) as checkpoints:
        for step in (5, 6, 7):
            checkpoints.save(step, state, 1.0)
    assert Checkpoints(tmp_path).steps() == (2, 7)


def test_a_run_that_was_never_ranked_has_no_best(tmp_path, state):
    checkpoints = fill(tmp_path, state, [None, None, None], keep_best=0)
    assert checkpoints.steps() == (2, 3) and checkpoints.best_step() is None
    assert checkpoints.restore_params("best").step == 3


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def test_every_damage_to_every_kind_of_file_is_seen_and_the_step_before_taken(tmp_path, state):
    checkpoints = fill(tmp_path / "run", state, [1.0, 2.0])
    abstract = jax.eval_shape(lambda: state)
    step = checkpoints.folder / "2"
    shutil.copytree(step, tmp_path / "whole")
    for damage in (flip, truncate, os.remove):
        for path in files(step):
            if path.stat().st_size == 0 and damage is not os.remove:
                continue
            if path.name == "sha256.json" and damage is os.remove:
                continue  # then the step counts as unfinished, and is not listed
            damage(path)
            with pytest.warns(
                UserWarning, match=f"step 2 is damaged: {step if path.name == 'sha256.json' else path}"
            ):
                assert checkpoints.restore(abstract).step == 1
            with pytest.raises(CheckpointError, match=r"step 2 is damaged.*Use another of the steps 1, 2"):
                checkpoints.restore(abstract, 2)
            shutil.rmtree(step)
            shutil.copytree(tmp_path / "whole", step)
    assert checkpoints.restore(abstract).step == 2


def test_a_step_without_its_sums_is_unfinished_to_a_reader_and_finished_by_the_next_writer(tmp_path, state):
    checkpoints = fill(tmp_path, state, [1.0, 2.0])
    (checkpoints.folder / "2" / "sha256.json").unlink()
    assert checkpoints.steps() == (1,)
    Checkpoints(tmp_path, write=True).close()
    assert checkpoints.steps() == (1, 2)


def test_a_writer_puts_damaged_steps_aside_and_can_write_them_again(tmp_path, state):
    checkpoints = fill(tmp_path, state, [1.0, 2.0])
    flip(files(checkpoints.folder / "2" / "params")[-1])
    with pytest.warns(UserWarning, match="damaged checkpoint put aside"):
        writer = Checkpoints(tmp_path, write=True)
    with writer:
        assert writer.steps() == (1,) and writer.damaged == (2,)
        writer.save(2, state, 1.0)
        assert writer.steps() == (1, 2)


def test_when_nothing_is_left_the_message_says_what_was_damaged(tmp_path, state):
    checkpoints = fill(tmp_path, state, [1.0])
    flip(files(checkpoints.folder / "1")[-1])
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match="complete steps: 1, damaged: 1"):
        checkpoints.restore_params()


def test_a_folder_without_checkpoints_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=f"no usable checkpoint 'best' in {tmp_path}/checkpoints"):
        Checkpoints(tmp_path).restore_params()


def test_another_model_is_an_error_that_lists_the_paths(tmp_path, state, tiny):
    checkpoints = fill(tmp_path, state, [1.0])
    text = tiny.Text()
    model = text.specialise(tiny.Model(width=4))
    other = init_state(model, tiny.Objective(), optax.adam(0.1), text.batch(0), 0, 0.9)
    with pytest.raises(
        CheckpointError, match=r"params/readout/kernel float32\[8, 16\] instead of float32\[4, 16\]"
    ):
        checkpoints.restore(other)
    with pytest.raises(CheckpointError, match="unexpected: ema/embedding/embedding"):
        checkpoints.restore(state._replace(ema=None))


def test_differences_list_what_is_missing_and_what_is_unexpected():
    assert tree_differences({"a": "x"}, {"a": "x"}) == ""
    assert tree_differences({"a": "x", "b": "y"}, {"a": "z", "c": "w"}) == (
        "missing: c w; unexpected: b y; of another shape: a x instead of z"
    )


def test_discarding_leaves_the_steps_up_to_a_point(tmp_path, state):
    fill(tmp_path, state, [3.0, 2.0, 1.0], keep_latest=3)
    with Checkpoints(tmp_path, write=True, keep_latest=3) as checkpoints:
        checkpoints.discard_after(1)
        assert checkpoints.steps() == (1,)
        checkpoints.save(2, state, 5.0)
        assert checkpoints.steps() == (1, 2) and checkpoints.best_step() == 1
    assert not (checkpoints.folder / "trash").exists()


def test_a_second_writer_is_refused_and_told_by_whom(tmp_path, state):
    with Checkpoints(tmp_path, write=True):
        with pytest.raises(RunError, match=f"written by process {os.getpid()} on "):
            Checkpoints(tmp_path, write=True)
        Checkpoints(tmp_path).steps()
    Checkpoints(tmp_path, write=True).close()


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = "import sys, time; from odeembed.train.checkpoint import Checkpoints; "
    code += "c = Checkpoints(sys.argv[1], write=True); print('open', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"open\n"
        with pytest.raises(RunError, match=f"written by process {holder.pid} on "):
            Checkpoints(tmp_path, write=True)
    finally:
        holder.kill()
        holder.wait()
    Checkpoints(tmp_path, write=True).close()


def test_reading_changes_nothing(tmp_path, state):
    checkpoints = fill(tmp_path, state, [1.0])
    (checkpoints.folder / "2.orbax-checkpoint-tmp-0").mkdir()
    before = files(tmp_path)
    Checkpoints(tmp_path).restore_params()
    assert files(tmp_path) == before and (checkpoints.folder / "2.orbax-checkpoint-tmp-0").exists()
    with pytest.raises(RunError, match="write=True"):
        checkpoints.save(2, state)


def test_a_writer_clears_what_a_killed_save_left(tmp_path, state):
    checkpoints = fill(tmp_path, state, [1.0])
    for name in ("2.orbax-checkpoint-tmp-0", "trash/0"):
        (checkpoints.folder / name).mkdir(parents=True)
        (checkpoints.folder / name / "part").write_bytes(bytes(10))
    Checkpoints(tmp_path, write=True).close()
    assert [path.name for path in checkpoints.folder.iterdir()] == ["1"]


def test_a_disk_without_room_is_an_error_before_anything_is_written(tmp_path, state, monkeypatch):
    fill(tmp_path, state, [1.0])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with Checkpoints(tmp_path, write=True) as checkpoints:
        with pytest.raises(
            TrainingError,
            match=r"step 2 could not.*: the disk is full, .* 10 free; the last good one is of step 1. Free",
        ):
            checkpoints.save(2, state, 0.5)
        assert checkpoints.steps() == (1,)


def test_a_disk_that_fills_up_while_writing_leaves_the_steps_before(tmp_path, state):
    # A file limit stands in for the disk: writing beyond it fails as a full disk does, without root's rights.
    code = """
import resource, signal, sys
import numpy as np
from odeembed.errors import TrainingError
from odeembed.train.checkpoint import Checkpoints
from odeembed.train.state import TrainState
import jax
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def make(size):
    params = {"w": np.random.default_rng(0).random(size)}
    return TrainState(np.int32(0), params, (), jax.random.key(0), None, {})
with Checkpoints(sys.argv[1], write=True) as checkpoints:
    checkpoints.save(1, make(1000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        checkpoints.save(2, make(1_000_000))
        checkpoints.wait()
    except TrainingError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=60)
    assert "step 2 could not be written" in done.stdout, done.stderr
    assert "the last good one is of step 1. Free or allow space there, then resume." in done.stdout
    with Checkpoints(tmp_path, write=True) as checkpoints:  # as resuming does
        assert checkpoints.steps() == (1,) and checkpoints.restore_params("latest").step == 1
        assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["1"]


def test_the_sums_name_every_file(tmp_path, state):
    step = fill(tmp_path, state, [1.0]).folder / "1"
    names = {path.relative_to(step).as_posix() for path in files(step)} - {"sha256.json"}
    assert set(json.loads((step / "sha256.json").read_text())) == names and len(names) > 10


def test_arrays_larger_than_the_machine_are_refused_before_memory_is_taken(tmp_path, state, monkeypatch):
    checkpoints = fill(tmp_path, state, [1.0])
    assert checkpoints.restore_params().step == 1
    monkeypatch.setattr(os, "sysconf", lambda name: 10)
    with pytest.raises(CheckpointError, match=r"ema take [\d,]+ bytes; this machine has 100 of memory"):
        checkpoints.restore_params()
    with pytest.raises(CheckpointError, match="this machine has 100 of memory"):
        checkpoints.restore(jax.eval_shape(lambda: state))


def test_what_orbax_says_again_when_it_closes_does_not_hide_what_went_wrong(tmp_path, state, monkeypatch):
    with pytest.raises(ValueError, match="the first"), Checkpoints(tmp_path / "a", write=True) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "close", lambda: 1 / 0)
        raise ValueError("the first")
    with pytest.raises(ZeroDivisionError), Checkpoints(tmp_path / "b", write=True) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "close", lambda: 1 / 0)
