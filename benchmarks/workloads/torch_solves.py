"""Solves by torchdiffeq and torchode, differentiated by torch's own backward pass."""

from collections.abc import Callable
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
import torchdiffeq  # pyright: ignore[reportMissingImports]
import torchode  # pyright: ignore[reportMissingImports]

from odeembed.solve.config import SolveConfig

__all__ = ["by_torchdiffeq", "by_torchode", "torch"]
_FIXED = {"euler": "euler", "midpoint": "midpoint", "rk38": "rk4"}  # its rk4 is the 3/8 rule


def by_torchdiffeq(field: Callable[[Any, Any], Any], y0: Any, ts: Any, config: SolveConfig) -> Any:
    """States [b, n, ...] at ts [n], one step size for all rows."""
    if config.steps is None:
        ys = torchdiffeq.odeint(field, y0, ts, rtol=config.rtol, atol=config.atol, method=config.solver)
    else:
        step = (ts[1] - ts[0]).item() / config.steps
        ys = torchdiffeq.odeint(field, y0, ts, method=_FIXED[config.solver], options={"step_size": step})
    return tuple(y.transpose(0, 1) for y in ys) if isinstance(ys, tuple) else ys.transpose(0, 1)


def by_torchode(field: Callable[[Any, Any], Any], y0: Any, ts: Any, config: SolveConfig) -> Any:
    """States [b, n, ...] at ts [n], each row with steps of its own; y0 is flattened, as torchode wants it."""
    parts = y0 if isinstance(y0, tuple) else (y0,)
    batch, shapes = parts[0].shape[0], [part.shape[1:] for part in parts]
    sizes = [shape.numel() for shape in shapes]

    def unflatten(flat):
        found = tuple(
            part.reshape(*part.shape[:-1], *shape)
            for part, shape in zip(flat.split(sizes, dim=-1), shapes, strict=True)
        )
        return found if isinstance(y0, tuple) else found[0]

    def flatten(y):
        parts = y if isinstance(y, tuple) else (y,)
        return torch.cat([part.reshape(batch, -1) for part in parts], dim=-1)

    def flat_field(t, y):
        return flatten(field(t[:, None], unflatten(y)))

    term = torchode.ODETerm(flat_field)
    controller = torchode.IntegralController(atol=config.atol, rtol=config.rtol, term=term)
    solver = torchode.AutoDiffAdjoint(
        torchode.Dopri5(term=term), controller, backprop_through_step_size_control=False
    )
    # Without times to read at, 1.0.1 reads rows that end early from a last step of length 0, and wrongly.
    problem = torchode.InitialValueProblem(y0=flatten(y0), t_eval=ts.expand(batch, -1))
    return unflatten(solver.solve(problem).ys)
