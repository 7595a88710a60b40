"""How matrix products are taken: in float32, or with operands rounded to fewer digits and sums in float32."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from odeembed.errors import ConfigError

Products = Literal["float32", "tensorfloat32", "bfloat16"]
# jax's own setting says which is in force: it is part of the key by which jax finds a function that it has traced. That
# setting is no algorithm, since an algorithm would round the operands of all products, integers too.
_ALGORITHM = jax.lax.DotAlgorithmPreset.BF16_BF16_F32


@contextlib.contextmanager
def products(kind: str) -> Iterator[None]:
    """Within it, or within a function that it decorates, matrix products of float32 arrays are taken as `kind` says.

    "float32" asks every device for exact products, which TPUs and some GPUs do not take by default. "tensorfloat32"
    is content with operands of 11 significant bits: GPUs take them in their tensor cores, TPUs in three passes of
    bfloat16, and a CPU's products stay exact. "bfloat16" rounds the operands to 8 bits and sums in float32: on every
    device in `nn.Dense`, `nn.DenseGeneral` and what goes through `einsum` or `operands`, on TPUs in all other products
    too. Of two settings the inner one is in force.

    Raises:
      ConfigError: no such kind.
    """
    with _setting(checked(kind)):
        yield


def held(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its products taken as they are where `held` is called, wherever it is traced later."""
    return _setting(_in_force())(function)


def einsum(equation: str, first: Any, second: Any) -> Any:
    """jnp.einsum of two arrays, as the setting in force says."""
    return jnp.einsum(equation, *operands(first, second), precision=_algorithm(first, second))


def operands(*arrays: Any) -> tuple[Any, ...]:
    """The arrays as a product takes them: float32 ones rounded within `products("bfloat16")`, else as they are.

    They stay float32, and rounding has derivative 1, so that gradients are float32: those of the product at the rounded
    operands.
    """
    return tuple(_rounded(x) if _algorithm(x) else x for x in arrays)


def checked(kind: str) -> str:
    """Returns the kind.

    Raises:
      ConfigError: no such kind.
    """
    if kind not in get_args(Products):
        raise ConfigError(f"products must be one of {', '.join(get_args(Products))}; got {kind!r}.")
    return kind


@contextlib.contextmanager
def _setting(value: str | None) -> Iterator[None]:
    with jax.default_matmul_precision(value), nn.intercept_methods(_round_operands):  # pyright: ignore[reportArgumentType]
        yield


@jax.custom_jvp
def _rounded(x):
    # Not a cast there and back, which XLA may leave out.
    return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)


@_rounded.defjvp
def _rounded_jvp(primals, tangents):
    return _rounded(*primals), tangents[0]


def _algorithm(*arrays):
    """What products of the arrays are taken by; None: what jax's setting says."""
    rounds = _in_force() == "bfloat16" and all(jnp.result_type(x) == jnp.float32 for x in arrays)
    return _ALGORITHM if rounds else None


def _in_force():
    return jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]


def _round_operands(call, args, kwargs, context):
    layer = context.module
    if isinstance(layer, nn.Dense | nn.DenseGeneral) and layer.dot_general is layer.precision is None:
        layer = layer.clone(parent=layer.scope, dot_general=_dot_general)
        return getattr(layer, context.method_name)(*args, **kwargs)
    return call(*args, **kwargs)


def _dot_general(lhs, rhs, dimensions, precision):
    precision = _algorithm(lhs, rhs) or precision
    lhs, rhs = operands(lhs, rhs)
    return jax.lax.dot_general(lhs, rhs, dimensions, precision=precision)
