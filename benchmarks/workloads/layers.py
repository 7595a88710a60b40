"""Weights from a seed, and a multilayer perceptron, once in jax and once in torch."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np


def dense(rng: np.random.Generator, inputs: int, outputs: int, gain: float = 1.0) -> np.ndarray:
    """Normal weights [inputs, outputs] with variance gain^2 / inputs."""
    return (gain * rng.normal(size=(inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)


def mlp_params(rng: np.random.Generator, widths: Sequence[int], gain: float = 1.0) -> dict[str, np.ndarray]:
    """Weights w0, w1, ... and biases b0, b1, ... of layers between neighbouring widths."""
    params = {}
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        params[f"w{i}"] = dense(rng, inputs, outputs, gain)
        params[f"b{i}"] = (0.1 * rng.normal(size=outputs)).astype(np.float32)
    return params


def mlp(params: Any, x: Any) -> Any:
    """W_n tanh(... W_0 x + b_0 ...) + b_n in jax."""
    layers = sum(name.startswith("w") for name in params)
    for i in range(layers):
        x = x @ params[f"w{i}"] + params[f"b{i}"]
        x = jnp.tanh(x) if i < layers - 1 else x
    return x


def torch_mlp(params: Any, x: Any) -> Any:
    """W_n tanh(... W_0 x + b_0 ...) + b_n in torch."""
    from workloads.torch_solves import torch

    layers = sum(name.startswith("w") for name in params)
    for i in range(layers):
        x = torch.addmm(params[f"b{i}"], x, params[f"w{i}"])
        x = torch.tanh(x) if i < layers - 1 else x
    return x
