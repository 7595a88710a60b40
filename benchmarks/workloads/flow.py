"""W4: a continuous flow of points in the plane with its log-density, by the exact trace or by Hutchinson's estimate."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from odeembed.fields.divergence import with_divergence
from odeembed.solve.config import SolveConfig
from workloads.layers import mlp, mlp_params, torch_mlp
from workloads.measuring import Case, against_peers_and_limit
from workloads.problem import Problem, variants

CONFIG = SolveConfig(solver="dopri5", steps=None, rtol=1e-5, atol=1e-5, control="batch")


def problem(exact: bool, batch: int = 512, hidden: int = 64) -> Problem:
    """The mean negative log-likelihood of points on two arcs, carried to a standard normal distribution.

    The state is (x [b, 2], log-density gained [b, 1]), with d log p / dt = -tr(df/dx); Hutchinson's estimate takes one
    noise vector of signs a row, the same for the whole solve.

    References:
      Grathwohl et al. 2019, FFJORD, eq. (4) and (7).
    """
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, np.pi, batch)
    upper = rng.integers(0, 2, batch)[:, None]
    arc = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = np.where(upper, arc, [1.0, 0.5] - arc) + 0.1 * rng.normal(size=(batch, 2))
    params = mlp_params(rng, (3, hidden, hidden, hidden, 2), gain=1.5)
    data = {
        "x": points.astype(np.float32),
        "noise": rng.choice([-1.0, 1.0], size=(batch, 2)).astype(np.float32),
        "ts": np.array([0, 1], np.float32),
    }

    def field(params, t, y, noise):
        x, _ = y

        def velocity(x):
            return mlp(params, jnp.concatenate([x, jnp.broadcast_to(t, (*x.shape[:-1], 1))], axis=-1))

        return with_divergence(velocity, x, None if exact else noise)

    def loss(params, data, ys):
        x, gained = (y[:, -1] for y in ys)
        return jnp.mean(0.5 * jnp.sum(x**2, axis=-1) + np.log(2 * np.pi) - gained[:, 0])

    def torch_loss(params, data, ys):
        x, gained = (y[:, -1] for y in ys)
        return (0.5 * (x**2).sum(-1) + np.log(2 * np.pi) - gained[:, 0]).mean()

    return Problem(
        params=params,
        names=tuple(params),
        data=data,
        start=lambda params, data: (data["x"], jnp.zeros((len(data["x"]), 1))),
        field=field,
        context=lambda data: data["noise"],
        loss=loss,
        torch_start=lambda params, data: (data["x"], data["x"].new_zeros(len(data["x"]), 1)),
        torch_field=partial(_torch_field, exact),
        torch_loss=torch_loss,
    )


def _torch_field(exact: bool, params: Any, t: Any, y: Any, data: Any) -> Any:
    """The same by torch.autograd.grad, as FFJORD takes traces."""
    from workloads.torch_solves import torch

    x, _ = y
    x = x if x.requires_grad else x.detach().requires_grad_()
    dx = torch_mlp(params, torch.cat([x, t.to(x.dtype).expand(len(x), 1)], dim=-1))
    if exact:
        rows = [torch.autograd.grad(dx[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(2)]
        return dx, torch.stack(rows, dim=1).sum(dim=1, keepdim=True)
    (pulled,) = torch.autograd.grad(dx, x, data["noise"], create_graph=True)
    return dx, (pulled * data["noise"]).sum(-1, keepdim=True)


def cases(adjoints: Sequence[str], peers: bool = True) -> Iterator[Case]:
    """Both traces, with speeds compared an evaluation."""
    for name, exact, faster in (("exact trace", True, 2.0), ("Hutchinson", False, 3.4)):
        compare = partial(against_peers_and_limit, faster=faster, equal_evaluations=True)
        yield Case(f"{name}, 1e-5", variants(problem(exact), CONFIG, adjoints, peers=peers), compare, 1e-4)
