"""W5: an ODE-Net on 28 x 28 images, 64 channels at 7 x 7, with group norm and time as a channel."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.solve.config import SolveConfig
from workloads.layers import dense
from workloads.measuring import Case, against_peers_and_limit
from workloads.problem import Problem, variants
from workloads.steps import Arrays

CONFIG = SolveConfig(solver="dopri5", steps=None, rtol=1e-3, atol=1e-3, max_steps=64, control="batch")
GROUPS = 32
CLASSES = 10


def problem(batch: int = 128, channels: int = 64) -> Problem:
    """Images to classes: two convolutions of stride 2, the flow, a mean over the places, a linear layer.

    References:
      Chen et al. 2018, section 3; their code also convolves without padding at first, and ends at 6 x 6.
    """
    rng = np.random.default_rng(0)

    def norm(name):
        return {
            f"{name}_scale": np.ones(channels, np.float32),
            f"{name}_bias": np.zeros(channels, np.float32),
        }

    def conv(name, inputs, size):
        kernel = dense(rng, size * size * inputs, channels).reshape(size, size, inputs, channels)
        return {f"{name}_kernel": kernel, f"{name}_bias": np.zeros(channels, np.float32)}

    flow = norm("norm0") | conv("conv1", channels + 1, 3) | norm("norm1")
    flow |= conv("conv2", channels + 1, 3) | norm("norm2")
    params = flow | conv("down1", 1, 3) | norm("down1_norm") | conv("down2", channels, 4)
    params |= norm("down2_norm") | conv("down3", channels, 4) | norm("end_norm")
    params |= {"end_kernel": dense(rng, channels, CLASSES), "end_bias": np.zeros(CLASSES, np.float32)}
    data = {
        "image": rng.normal(size=(batch, 28, 28, 1)).astype(np.float32),
        "label": rng.integers(0, CLASSES, batch),
        "ts": np.array([0, 1], np.float32),
    }
    return Problem(
        params=params,
        names=tuple(flow),
        data=data,
        start=_start,
        field=_field,
        context=lambda data: None,
        loss=_loss,
        torch_start=_torch_start,
        torch_field=_torch_field,
        torch_loss=_torch_loss,
        to_torch=_to_torch,
    )


def cases(adjoints: Sequence[str], peers: bool = True) -> Iterator[Case]:
    """One case; steps row by row are left out, they take too long."""
    compare = partial(against_peers_and_limit, faster=0.7)
    made = variants(problem(), CONFIG, adjoints, rows=False, peers=peers)
    yield Case("ODE-Net, dopri5, 1e-3", made, compare, 1e-2)


def _start(params: Any, data: Any) -> Any:
    x = _conv(params, "down1", data["image"], stride=1)
    x = _conv(params, "down2", jax.nn.relu(_group_norm(params, "down1_norm", x)), stride=2)
    return _conv(params, "down3", jax.nn.relu(_group_norm(params, "down2_norm", x)), stride=2)


def _field(params: Any, t: Any, y: Any, context: Any) -> Any:
    x = jax.nn.relu(_group_norm(params, "norm0", y))
    x = _conv_with_time(params, "conv1", t, x)
    x = jax.nn.relu(_group_norm(params, "norm1", x))
    return _group_norm(params, "norm2", _conv_with_time(params, "conv2", t, x))


def _loss(params: Any, data: Any, ys: Any) -> Any:
    x = jax.nn.relu(_group_norm(params, "end_norm", ys[:, -1])).mean((1, 2))
    logits = jax.nn.log_softmax(x @ params["end_kernel"] + params["end_bias"])
    return -jnp.take_along_axis(logits, data["label"][:, None], axis=1).mean()


def _conv(params: Any, name: str, x: Any, stride: int) -> Any:
    y = jax.lax.conv_general_dilated(
        x,
        params[f"{name}_kernel"],
        (stride, stride),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y + params[f"{name}_bias"]


def _conv_with_time(params: Any, name: str, t: Any, x: Any) -> Any:
    """A 3 x 3 convolution of x and t as patches times a matrix.

    The gradient of lax.conv by its kernel takes thirty times as long inside a loop, on a CPU.
    """
    x = jnp.concatenate([x, jnp.broadcast_to(t, (*x.shape[:-1], 1)).astype(x.dtype)], axis=-1)
    high, wide = x.shape[-3:-1]
    x = jnp.pad(x, ((0, 0),) * (x.ndim - 3) + ((1, 1), (1, 1), (0, 0)))
    patches = [x[..., i : i + high, j : j + wide, :] for i in range(3) for j in range(3)]
    kernel = params[f"{name}_kernel"]
    return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, kernel.shape[-1]) + params[f"{name}_bias"]


def _group_norm(params: Any, name: str, x: Any) -> Any:
    """From the sums of x and x^2 by channel, and applied as one factor and one summand: two passes over x."""
    channels = x.shape[-1]
    groups = min(GROUPS, channels)
    count = x.shape[-3] * x.shape[-2] * channels // groups

    def mean(by_channel):
        by_group = by_channel.reshape(*by_channel.shape[:-1], groups, -1).sum(-1) / count
        return jnp.repeat(by_group, channels // groups, axis=-1)

    center = mean(x.sum((-3, -2)))
    variance = mean(jnp.square(x).sum((-3, -2))) - jnp.square(center)
    scale = jax.lax.rsqrt(variance + 1e-5) * params[f"{name}_scale"]
    shift = params[f"{name}_bias"] - center * scale
    return x * scale[..., None, None, :] + shift[..., None, None, :]


def _to_torch(params: Arrays) -> Mapping[str, np.ndarray]:
    """Kernels as [out, in, high, wide]."""
    return {
        name: np.ascontiguousarray(value.transpose(3, 2, 0, 1)) if value.ndim == 4 else value
        for name, value in params.items()
    }


def _torch_conv(params: Any, name: str, x: Any, stride: int = 1) -> Any:
    from workloads.torch_solves import torch

    kernel, bias = params[f"{name}_kernel"], params[f"{name}_bias"]
    return torch.nn.functional.conv2d(x, kernel, bias, stride=stride, padding=1)


def _torch_norm(params: Any, name: str, x: Any) -> Any:
    from workloads.torch_solves import torch

    scale, bias = params[f"{name}_scale"], params[f"{name}_bias"]
    return torch.nn.functional.group_norm(x, min(GROUPS, x.shape[1]), scale, bias)


def _torch_start(params: Any, data: Any) -> Any:
    x = _torch_conv(params, "down1", data["image"].movedim(-1, 1))
    x = _torch_conv(params, "down2", _torch_norm(params, "down1_norm", x).relu(), stride=2)
    return _torch_conv(params, "down3", _torch_norm(params, "down2_norm", x).relu(), stride=2)


def _torch_field(params: Any, t: Any, y: Any, data: Any) -> Any:
    from workloads.torch_solves import torch

    # A scalar, or [b, 1] where each row has its own.
    time = t.to(y.dtype).reshape(-1, 1, 1, 1).expand(len(y), 1, *y.shape[2:])
    x = _torch_norm(params, "norm0", y).relu()
    x = _torch_conv(params, "conv1", torch.cat([x, time], dim=1))
    x = _torch_norm(params, "norm1", x).relu()
    return _torch_norm(params, "norm2", _torch_conv(params, "conv2", torch.cat([x, time], dim=1)))


def _torch_loss(params: Any, data: Any, ys: Any) -> Any:
    from workloads.torch_solves import torch

    x = _torch_norm(params, "end_norm", ys[:, -1]).relu().mean((2, 3))
    logits = torch.addmm(params["end_bias"], x, params["end_kernel"])
    return torch.nn.functional.cross_entropy(logits, data["label"])
