"""How parameters, and what is remembered of them, are split over the mesh."""

import json
import os
import subprocess
import sys

import jax
import pytest
from jax.sharding import PartitionSpec as P

from odeembed.train.parallel import make_parallel
from odeembed.train.sharding import logical_axes, spec_of


@pytest.mark.parametrize(
    ("path", "ndim", "wanted"),
    [
        ("embedding/embedding", 2, ("vocab", "embed")),
        ("output/embedding", 2, ("vocab", "embed")),
        ("bias", 1, ("vocab",)),
        ("body/flow/field_forward/gates/kernel", 2, ("embed", "hidden")),
        ("body/flow/field_forward/gates/bias", 1, ("hidden",)),
        ("body/block_0/contract/kernel", 2, ("hidden", "embed")),
        ("body/block_0/contract/bias", 1, ("embed",)),
        ("attention/query/kernel", 3, ("embed", "hidden", None)),
        ("attention/out/kernel", 3, ("hidden", None, "embed")),
        ("stem/kernel", 4, (None, None, "embed", "hidden")),
        ("read_out/norm/scale", 1, (None,)),
        ("body/flow/start_forward", 1, (None,)),
        ("attention/query/bias", 2, (None, None)),
    ],
)
def test_dimensions_have_the_names_of_their_roles(path, ndim, wanted):
    assert logical_axes(path, ndim) == wanted


def test_axes_of_one_device_split_nothing():
    mesh = make_parallel("jit", jax.devices()[:1]).mesh
    assert spec_of("embedding/embedding", (16, 8), mesh) == P(None, None)


# Programs for eight devices take long to compile, and nothing here is timed.
EIGHT_DEVICES = {
    "JAX_NUM_CPU_DEVICES": "8",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
}
PLACED = """
import json, sys
import jax, numpy as np
from odeembed.batch import Batch
from odeembed.models.interpolator import Jump, MaskedInterpolator
from odeembed.models.encoders import JumpFlow
from odeembed.objectives.masked_interpolation import MaskedInterpolation
from odeembed.train.optimizer import Optimizer
from odeembed.train.parallel import make_parallel
from odeembed.train.state import init_state
layout = make_parallel("jit", fsdp=2, tensor=2)
values = np.ones((8, 4), np.int32)
batch = Batch(values, values.astype(np.float32), values > 0, np.arange(8, dtype=np.int32))
found = {}
for words in (16, 17):
    model = MaskedInterpolator(words, 8, body=Jump(JumpFlow(8)))
    state = init_state(model, MaskedInterpolation(), Optimizer().build(2), batch, 0, 0.9)
    state = layout.place_state(state)
    found[words] = {
        jax.tree_util.keystr(path, simple=True, separator="/"): list(leaf.sharding.spec)
        for path, leaf in jax.tree.leaves_with_path(state._replace(key=None))
    }
    found[f"share of {words}"] = sum(x.addressable_shards[0].data.size for x in jax.tree.leaves(state.params)) / sum(
        x.size for x in jax.tree.leaves(state.params)
    )
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def placed():
    done = subprocess.run(
        [sys.executable, "-c", PLACED],
        env=os.environ | EIGHT_DEVICES,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_tables_split_by_words_and_layers_by_hidden_size(placed):
    specs = placed["16"]
    assert specs["params/embedding/embedding"] == ["tensor", "fsdp"] and specs["params/bias"] == ["tensor"]
    assert specs["params/body/flow/field_forward/gates/kernel"] == ["fsdp", "tensor"]
    assert specs["params/body/flow/field_forward/gates/bias"] == ["tensor"]
    assert placed["share of 16"] < 0.35  # two by two devices: a fourth, and what is whole everywhere


def test_averages_and_moments_lie_where_their_parameter_does(placed):
    specs = placed["16"]
    for name in [name for name in specs if name.startswith("params/")]:
        owner = name.removeprefix("params/")
        copies = [
            other for other in specs if other.endswith((f"/mu/{owner}", f"/nu/{owner}", f"ema/{owner}"))
        ]
        assert len(copies) == 3 and all(specs[copy] == specs[name] for copy in copies)
    assert all(specs[name] == [] for name in specs if name.startswith("means/") or name == "step")


def test_words_that_the_devices_do_not_divide_stay_whole(placed):
    specs = placed["17"]
    assert specs["params/embedding/embedding"] == [None, "fsdp"] and specs["params/bias"] == [None]
    assert placed["share of 16"] < placed["share of 17"] < 0.5
