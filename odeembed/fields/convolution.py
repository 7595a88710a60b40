"""Convolutional vector fields on images, and a convolution whose gradients are as fast inside loops as outside."""

import functools
import math
import operator
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from odeembed.errors import ConfigError
from odeembed.precision import operands

GROUPS = 32


@jax.custom_jvp
def convolve(x: Any, kernel: Any) -> Float[Array, "*b h w o"]:
    """The 3 x 3 convolution of images x [*b, h, w, c] with a kernel [3, 3, c, o], zeros around them; as large as x.

    `lax.conv`, with derivatives of every order and in either direction. Its own gradients are, inside a loop on a CPU,
    convolutions in an order of axes that XLA has no fast code for: tens of times slower. Here they are a convolution
    in the usual order and nine matrix products.
    """
    return _by_lax(x, kernel, "HWIO")


@convolve.defjvp
def _convolve_jvp(primals, tangents):
    x, kernel = primals
    dx, dkernel = tangents
    # Linear in dx and dkernel, and written for their transposes, which are all that reverse mode runs: that of the
    # first is a convolution with the kernel as it lies there.
    by_x = _by_lax(dx, jnp.swapaxes(kernel, 2, 3), "HWOI")
    return convolve(x, kernel), by_x + _by_products(x, dkernel)


class TimeConv(nn.Module):
    """The convolution of an image with the time as one more channel, and a bias.

    The channel is constant over the image: what it adds is t times the kernel's sum over the places inside the image,
    found once for all rows.

    Attributes:
      features: o, channels of the output.
      size: 3, or 1 for a product at each place.
      size_at_start: factor of the kernel's first values.
    """

    features: int
    size: int = 3
    size_at_start: float = 1.0

    @nn.compact
    def __call__(self, t: Any, x: Float[Array, "*b h w c"]) -> Float[Array, "*b h w o"]:
        """[*b, h, w, o] at time t, a scalar or [*b, 1, 1, 1]."""
        lecun = nn.initializers.lecun_normal()
        init = lambda *args: self.size_at_start * lecun(*args)  # noqa: E731
        kernel = self.param("kernel", init, (self.size, self.size, x.shape[-1] + 1, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        of_time, of_x = jnp.split(kernel, (1,), axis=2)
        x, of_x = operands(x, of_x)
        if self.size == 1:
            return x @ of_x[0, 0] + t * of_time[0, 0, 0] + bias
        shift = convolve(jnp.ones((1, *x.shape[-3:-1], 1), x.dtype), of_time)[0]
        return convolve(x, of_x) + t * shift + bias


class GroupNorm(nn.Module):
    """Each row's groups of channels, over all places, with mean 0 and standard deviation 1, then a gain and a bias.

    From the sums of x and x^2 by channel, and applied as one factor and one summand a channel: two passes over x.

    Attributes:
      groups: or as many as there are channels, where these are fewer.

    Raises:
      ConfigError: the groups do not divide the channels.

    References:
      Wu and He 2018, Group Normalization, eq. (1) to (3).
    """

    groups: int = GROUPS

    @nn.compact
    def __call__(self, x: Float[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
        """Like x."""
        *_, high, wide, channels = x.shape
        groups = min(self.groups, channels)
        if channels % groups:
            raise ConfigError(
                f"{groups} groups do not divide {channels} channels. Set channels to a multiple, or fewer groups."
            )
        gain = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))

        def mean(sums):
            by_group = sums.reshape(*sums.shape[:-1], groups, -1).sum(-1) / (high * wide * channels // groups)
            return jnp.repeat(by_group, channels // groups, axis=-1)

        center = mean(jnp.sum(x, axis=(-3, -2)))
        variance = mean(jnp.sum(jnp.square(x), axis=(-3, -2))) - jnp.square(center)
        scale = gain * jax.lax.rsqrt(jnp.maximum(variance, 0) + 1e-5)  # rounding may leave less than 0
        return x * scale[..., None, None, :] + (bias - center * scale)[..., None, None, :]


class ConvField(nn.Module):
    """dy/dt = N(C(relu(N(C(relu(N(y)), t))), t)), C a 3 x 3 convolution that is given the time, N a group norm.

    Attributes:
      groups: of each norm.

    References:
      Chen et al. 2018, section 3; the layers are those of the authors' published code.
    """

    groups: int = GROUPS
    event_ndim: ClassVar[int] = 3

    @nn.compact
    def __call__(self, t: Any, y: Float[Array, "*b h w c"], context: Any = None) -> Float[Array, "*b h w c"]:
        """The derivative at time t; like y. The context is not looked at."""
        channels = y.shape[-1]
        for i in (1, 2):
            y = nn.relu(GroupNorm(self.groups, name=f"norm{i}")(y))
            y = TimeConv(channels, name=f"conv{i}")(t, y)
        return GroupNorm(self.groups, name="norm3")(y)

    def lipschitz(self, radius: float = 1.0) -> float:
        """None: a norm divides by what may be as small as one likes."""
        return math.inf

    def bound(self, radius: float = 1.0) -> float:
        """None is computed, though the last norm has one."""
        return math.inf


class PixelField(nn.Module):
    """dy/dt = C3(relu(C2(relu(C1(y, t)), t)), t), convolutions of size 1, 3 and 1 that are given the time.

    Attributes:
      filters: channels between them.

    References:
      Dupont et al. 2019, Augmented Neural ODEs; the layers are those of the authors' published code.
    """

    filters: int = 64
    event_ndim: ClassVar[int] = 3

    @nn.compact
    def __call__(self, t: Any, y: Float[Array, "*b h w c"], context: Any = None) -> Float[Array, "*b h w c"]:
        """The derivative at time t; like y. The context is not looked at."""
        x = nn.relu(TimeConv(self.filters, 1, name="conv1")(t, y))
        x = nn.relu(TimeConv(self.filters, 3, name="conv2")(t, x))
        return TimeConv(y.shape[-1], 1, name="conv3")(t, x)

    def lipschitz(self, radius: float = 1.0) -> float:
        """None is computed."""
        return math.inf

    def bound(self, radius: float = 1.0) -> float:
        """None: the time adds to it without end."""
        return math.inf


def _by_lax(x, kernel, order):
    places = jnp.reshape(x, (-1, *x.shape[-3:]))
    y = jax.lax.conv_general_dilated(
        places, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", order, "NHWC")
    )
    return jnp.reshape(y, (*x.shape[:-1], y.shape[-1]))


def _by_products(x, kernel):
    """The same as nine products of matrices: the shifted images times the kernel at that shift."""
    *_, high, wide, channels = x.shape
    padded = jnp.pad(x, ((0, 0),) * (x.ndim - 3) + ((1, 1), (1, 1), (0, 0)))
    products = (
        padded[..., i : i + high, j : j + wide, :].reshape(-1, channels) @ kernel[i, j]
        for i in range(3)
        for j in range(3)
    )
    return functools.reduce(operator.add, products).reshape(*x.shape[:-1], -1)
