"""Where the numbers of a state lie: dimensions of parameters have names, and rules split names over axes of the mesh.

The names are flax's logical axes: "vocab" are the words of a table, of its bias and of the softmax over it; "hidden" is
the wider side of a dense layer, "embed" its other one. What has another role (gains of norms, first states) is whole on
every device, and so is a dimension that the devices do not divide.
"""

from collections.abc import Mapping
from typing import Any

import jax
from flax.linen import spmd
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

DATA, FSDP, TENSOR = AXES = ("data", "fsdp", "tensor")
ROWS = (DATA, FSDP)  # the axes over which the rows of a batch are split
RULES = (("vocab", TENSOR), ("hidden", TENSOR), ("embed", FSDP))

# Layers that come back to the narrow side: their inputs are what the layer before them was split by.
_NARROWING = ("contract", "dense", "moments", "out", "summary")


def logical_axes(path: str, ndim: int) -> tuple[str | None, ...]:
    """The names of a parameter's dimensions, by its path: ("embed", "hidden") for "body/field/gates/kernel".

    Of kernels with more than two dimensions the outermost two are named: heads of an attention, or inputs and outputs
    of a convolution, whose window comes first.
    """
    *modules, name = path.split("/")
    if name == "embedding":
        names = "vocab", "embed"
    elif name == "bias" and not modules:
        names = ("vocab",)
    elif name == "kernel" and ndim > 1:
        narrowing = modules[-1] in _NARROWING
        inner, outer = ("hidden", "embed") if narrowing else ("embed", "hidden")
        if ndim == 3:
            names = (inner, None, outer) if narrowing else (inner, outer, None)
        else:
            names = (*[None] * (ndim - 2), inner, outer)
    elif name == "bias" and ndim == 1:
        names = ("embed",) if modules[-1] in _NARROWING else ("hidden",)
    else:
        names = ()
    return names if len(names) == ndim else (None,) * ndim


def spec_of(path: str, shape: tuple[int, ...], mesh: Mesh) -> P:
    """How a parameter is split over the mesh; axes of one device are left out."""
    wanted = spmd.logical_to_mesh_axes(logical_axes(path, len(shape)), RULES) or P()
    sizes: Mapping[str, int] = mesh.shape
    return P(
        *[
            axis if axis is not None and sizes[axis] > 1 and size % sizes[axis] == 0 else None
            for axis, size in zip(wanted, shape, strict=True)
        ]
    )


def shardings(state: Any, mesh: Mesh) -> Any:
    """The sharding of every array of a TrainState, or of anything that holds its shapes.

    What an optimizer or an average remembers of a parameter lies where the parameter does: it is known by its path's
    end and by its shape. All else is whole on every device.
    """
    params = {_path(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(state.params)}

    def place(path: Any, leaf: Any) -> NamedSharding:
        parts = _path(path).split("/")
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        owner = next((end for end in ends if params.get(end) == leaf.shape), None)
        return NamedSharding(mesh, P() if owner is None else spec_of(owner, leaf.shape, mesh))

    return jax.tree.map_with_path(place, state)


def gathered(params: Any, mesh: Mesh) -> Any:
    """Parameters or gradients, whole along "fsdp": each device asks the others for their parts once, not in loops.

    Loops over kernels that are split over both axes had wrong gradients as well (XLA's SPMD partitioner on CPUs, jax
    0.10): `tests/objectives/test_sentence_vae.py` is such a case.
    """

    def whole(path: Any, leaf: Any) -> Any:
        spec = spec_of(_path(path), leaf.shape, mesh)
        kept = P(*[None if axis == FSDP else axis for axis in spec])
        return jax.lax.with_sharding_constraint(leaf, NamedSharding(mesh, kept))

    return jax.tree.map_with_path(whole, params)


def _path(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
