import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from odeembed.errors import ConfigError
from odeembed.train.parallel import check_rows, make_parallel

# Programs for eight devices take long to compile, and nothing here is timed.
EIGHT_DEVICES = {
    "JAX_NUM_CPU_DEVICES": "8",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
}
MODES = """
import json, sys
sys.path.insert(0, sys.argv[1])
import jax, numpy as np
from conftest import NextToken, TinyModel, TinyText
from odeembed.train.compilation import Compiled
from odeembed.train.optimizer import Optimizer
from odeembed.train.parallel import make_parallel
from odeembed.train.state import init_state
from odeembed.train.step import make_step

text = TinyText()
model, objective, optimizer = text.specialise(TinyModel()), NextToken(), Optimizer(peak=0.05, warmup=2).build(4)

def losses(mode, devices, accumulate=1, fsdp=1, tensor=1):
    layout = make_parallel(mode, jax.devices()[:devices], fsdp=fsdp, tensor=tensor)
    mapped = {"spread": layout.spread, "gather": layout.gather}
    step = make_step(model, objective, optimizer, accumulate=accumulate, ema=0.9, **mapped)
    state = layout.place_state(init_state(model, objective, optimizer, text.batch(0), 0, 0.9))
    compiled, found = Compiled(layout.map(step, state)), []
    for number in range(4):
        batch = layout.place_batch(text.batch(number))
        before, state = state, compiled.program(state, batch)(state, batch)
        assert before.params["readout"]["kernel"].is_deleted(), "the state's memory is not reused"
        found.append(float(state.means["loss"].total / state.means["loss"].count))
    assert compiled.compilations == 2
    evaluated = layout.place_rows(text.batch(0)._replace(index=np.arange(16)))
    return found + [float(np.sum(state.ema["readout"]["kernel"])), float(np.sum(evaluated.index))]

cases = [("jit", 1, 1), ("jit", 8, 1), ("shard_map", 8, 1), ("pmap", 8, 1)]
cases += [("jit", 8, 2), ("shard_map", 4, 4)]
cases += [("shard_map", 8, 1, 4, 1), ("jit", 8, 1, 8, 1), ("jit", 8, 1, 1, 4), ("jit", 8, 2, 2, 2)]
print(json.dumps([losses(*case) for case in cases]))
"""


def test_all_modes_on_eight_devices_take_the_steps_of_one():
    environment = os.environ | EIGHT_DEVICES
    done = subprocess.run(
        [sys.executable, "-c", MODES, str(Path(__file__).parent)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    one, *others = json.loads(done.stdout)
    assert one[0] > one[3] > 0
    for other in others:
        assert other == pytest.approx(one, rel=1e-5)


def test_an_unknown_mode_is_named():
    with pytest.raises(ConfigError, match="parallel must be jit, shard_map or pmap; got 'pjit'"):
        make_parallel("pjit")


def test_sharded_parameters_are_for_jit_alone_and_for_devices_that_divide():
    with pytest.raises(ConfigError, match=r"parallel pmap computes with whole .* got fsdp 2 and tensor 1"):
        make_parallel("pmap", fsdp=2)
    with pytest.raises(ConfigError, match="parallel shard_map computes with whole"):
        make_parallel("shard_map", tensor=2)
    with pytest.raises(ConfigError, match=r"1 devices do not divide by fsdp 1 x tensor 3"):
        make_parallel("jit", tensor=3)


def test_rows_that_do_not_divide_are_an_error_with_two_numbers_that_do(tiny):
    batch = tiny.Text(rows=100, lengths=(10,)).batch(0)
    check_rows(batch, 5, 2)
    with pytest.raises(ConfigError, match=r"multiple of 8 rows .* got 100 rows .* Use 96 or 104 rows"):
        check_rows(batch, 4, 2)


def test_fewer_rows_than_devices_are_an_error(tiny):
    with pytest.raises(ConfigError, match="Use 8 or 16 rows"):
        check_rows(tiny.Text(rows=3).batch(0), 8, 1)
