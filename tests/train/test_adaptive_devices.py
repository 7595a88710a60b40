"""Adaptive solves on eight devices: the losses and gradients of one, and no collective inside a solver's loop."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from collectives import collectives

from odeembed.solve.config import Adjoint

# Programs for eight devices take long to compile, and nothing here is timed.
DEVICES = {"JAX_NUM_CPU_DEVICES": "8", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
TRAINED = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import jax
from conftest import TinyText
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator
from odeembed.objectives.masked_interpolation import MaskedInterpolation
from odeembed.solve.config import SolveConfig
from odeembed.train.compilation import Compiled
from odeembed.train.optimizer import Optimizer
from odeembed.train.parallel import make_parallel
from odeembed.train.state import init_state
from odeembed.train.step import make_step

settings, layouts, steps, folder = json.loads(sys.argv[2])
flow = JumpFlow(8, config=SolveConfig(steps=None, **settings))
model = MaskedInterpolator(16, 8, body=Jump(flow), embed_std=1.0)
text, objective = TinyText(lengths=(6,)), MaskedInterpolation(targets="all")
optimizer = Optimizer(peak=0.01, warmup=10).build(200)

def trained(mode, devices, fsdp=1, tensor=1):
    layout = make_parallel(mode, jax.devices()[:devices], fsdp=fsdp, tensor=tensor)
    step = make_step(model, objective, optimizer, spread=layout.spread, gather=layout.gather)
    state = layout.place_state(init_state(model, objective, optimizer, text.batch(0), 0, 0.0))
    program, found = Compiled(layout.map(step, state)).program(state, layout.place_batch(text.batch(0))), []
    (Path(folder) / f"{mode}-{devices}.hlo").write_text(program.as_text())
    for number in range(steps):
        state = program(state, layout.place_batch(text.batch(number)))
        found.append({name: float(mean.total / mean.count) for name, mean in state.means.items()})
    return found

print(json.dumps([trained(*layout) for layout in layouts]))
"""
ONE, *EIGHT = ("jit", 1), ("jit", 8), ("shard_map", 8), ("pmap", 8)


def trained(settings, layouts, steps, folder):
    """The metrics of every step under each layout; the compiled steps are left in the folder."""
    environment = os.environ | DEVICES
    arguments = [str(Path(__file__).parent), json.dumps([settings, layouts, steps, str(folder)])]
    done = subprocess.run(
        [sys.executable, "-c", TRAINED, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def counted(program: str) -> tuple[int, int]:
    """How many collectives a compiled program has, and how many of them in a loop."""
    found = collectives(program)
    return len(found), sum(one.looped for one in found)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Two steps by replay under every layout and with split parameters, and the folder with their programs."""
    folder = tmp_path_factory.mktemp("programs")
    return trained({"solver": "bosh3"}, [ONE, *EIGHT, ("jit", 4, 2, 2)], 2, folder), folder


def test_the_first_loss_and_gradient_are_those_of_one_device(first):
    one, *others = first[0]
    assert one[0]["solver/failed"] == 0 and one[0]["solver/rejected"] > 0
    for other in others:
        assert other[0] == pytest.approx(one[0], rel=1e-5)


def test_no_collective_stands_in_a_loop_of_a_device(first):
    """Under jit there is one in each: all devices step together. That shows too that the programs are read right."""
    found = {(mode, n): counted((first[1] / f"{mode}-{n}.hlo").read_text()) for mode, n in [ONE, *EIGHT]}
    assert found[ONE] == (0, 0)
    assert found["jit", 8][1] > 0
    for mode in ("shard_map", "pmap"):
        every, within = found[mode, 8]
        assert every > 0 and within == 0


@pytest.mark.slow
def test_after_200_steps_the_losses_are_those_of_one_device(tmp_path):
    """The losses have fallen by then, so that 200 updates are compared and not 200 times the first loss."""
    one, *others = trained({"solver": "bosh3"}, [ONE, *EIGHT], 200, tmp_path)
    assert one[-1]["loss"] < one[0]["loss"] / 4
    for other in others:
        for name in ("loss", "gradient_norm"):
            assert other[-1][name] == pytest.approx(one[-1][name], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("adjoint", sorted(set(get_args(Adjoint)) - {"replay", "recursive", "direct"}))
def test_other_gradients_are_those_of_one_device(adjoint, tmp_path):
    """All but `recursive`, which an experiment refuses there, and `direct`, which is jax's own."""
    settings = {"solver": "bosh3", "adjoint": adjoint, "max_steps": 64}
    one, *others = trained(settings, [ONE, *EIGHT[1:]], 1, tmp_path)
    assert one[0]["solver/failed"] == 0
    for other in others:
        assert other[0] == pytest.approx(one[0], rel=1e-5)


@pytest.mark.slow
def test_with_one_step_size_for_all_the_layouts_agree_to_the_tolerance_only(tmp_path):
    """Under jit all rows are one batch wherever they lie; elsewhere those of one device are, and take other steps."""
    settings = {"solver": "bosh3", "control": "batch", "rtol": 1e-3, "atol": 1e-4}
    one, jit, *others = trained(settings, [ONE, *EIGHT], 1, tmp_path)
    assert jit[0] == pytest.approx(one[0], rel=1e-5)
    for other in others:
        assert other[0]["solver/evaluations"] != one[0]["solver/evaluations"]
        for name in ("loss", "gradient_norm"):
            assert other[0][name] == pytest.approx(one[0][name], rel=settings["rtol"])
