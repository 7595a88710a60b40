"""W3: latent paths, started by parameters, read at 64 times from one solve, and decoded."""

from collections.abc import Iterator, Sequence
from functools import partial

import jax.numpy as jnp
import numpy as np

from odeembed.solve.config import SolveConfig
from workloads.layers import dense, mlp, mlp_params, torch_mlp
from workloads.measuring import Case, against_peers_and_limit
from workloads.problem import Problem, variants


def problem(batch: int = 64, times: int = 64, width: int = 32, hidden: int = 100) -> Problem:
    """z(0) of each row is trained with the field and a linear decoder."""
    rng = np.random.default_rng(0)
    flow = mlp_params(rng, (width, hidden, width), gain=2.0)
    params = flow | {
        "z0": rng.normal(size=(batch, width)).astype(np.float32),
        "decoder": dense(rng, width, width // 2),
    }
    data = {
        "ts": np.linspace(0, 1, times, dtype=np.float32),
        "seen": rng.normal(size=(batch, times, width // 2)).astype(np.float32),
    }
    return Problem(
        params=params,
        names=tuple(flow),
        data=data,
        start=lambda params, data: params["z0"],
        field=lambda params, t, y, context: mlp(params, y),
        context=lambda data: None,
        loss=lambda params, data, ys: jnp.mean((ys @ params["decoder"] - data["seen"]) ** 2),
        torch_start=lambda params, data: params["z0"],
        torch_field=lambda params, t, y, data: torch_mlp(params, y),
        torch_loss=lambda params, data, ys: ((ys @ params["decoder"] - data["seen"]) ** 2).mean(),
    )


def cases(adjoints: Sequence[str], peers: bool = True) -> Iterator[Case]:
    """dopri5 at three tolerances."""
    for digits in (3, 4, 6):
        tolerance = 10.0**-digits
        config = SolveConfig(solver="dopri5", steps=None, rtol=tolerance, atol=tolerance, control="batch")
        compare = partial(against_peers_and_limit, faster=10.0)
        agree = max(10 * tolerance, 1e-5)
        yield Case(f"dopri5, 1e-{digits}", variants(problem(), config, adjoints, peers=peers), compare, agree)
