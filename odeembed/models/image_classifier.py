"""Image classifiers: a stem, a body that is a chain of residual blocks or an equation in depth, and a linear head."""

from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.fields.augmented import Augmented
from odeembed.fields.convolution import ConvField, GroupNorm
from odeembed.models.classified import Classified
from odeembed.solve.config import SolveConfig
from odeembed.solve.neural_ode import NeuralODE

Pooling = Literal["mean", "flat"]


class Stem(nn.Module):
    """Images to `channels` at about a quarter of their height and width, 28 x 28 to 6 x 6: three convolutions.

    Attributes:
      channels: of each.

    References:
      Chen et al. 2018, section 3; the layers are those of the authors' published code.
    """

    channels: int = 64

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k l o"]:
        """The state at depth 0."""
        x = _conv(self.channels, 3, name="conv1")(x)
        for i in (1, 2):
            x = nn.relu(GroupNorm(name=f"norm{i}")(x))
            x = _conv(self.channels, 4, strides=2, padding=1, name=f"conv{i + 1}")(x)
        return x


class Shrunk(nn.Module):
    """Images as they are, or means over squares of `side` x `side`.

    Attributes:
      side: which must divide height and width; 1: as they are.
    """

    side: int = 1

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k l c"]:
        """The state at depth 0.

        Raises:
          ConfigError: the side does not divide the image.
        """
        if x.shape[1] % self.side or x.shape[2] % self.side:
            raise ConfigError(
                f"side must divide the images' {x.shape[1]} x {x.shape[2]}; got {self.side}. Use 1, or a divisor."
            )
        return nn.avg_pool(x, (self.side, self.side), (self.side, self.side))


class ResidualBlocks(nn.Module):
    """A chain of y <- y + C(relu(N(C(relu(N(y)))))), C a 3 x 3 convolution without bias, N a group norm.

    Attributes:
      blocks: how many, each with its own weights.

    References:
      He et al. 2016, Identity Mappings in Deep Residual Networks, fig. 1 (b).
    """

    blocks: int = 6

    @nn.compact
    def __call__(self, y: Float[Array, "b h w c"]) -> tuple[Float[Array, "b h w c"], None]:
        """The last state; there is no solution to tell of."""
        channels = y.shape[-1]
        for block in range(self.blocks):
            x = y
            for i in (1, 2):
                x = nn.relu(GroupNorm(name=f"norm{block}_{i}")(x))
                x = _conv(channels, 3, use_bias=False, padding=1, name=f"conv{block}_{i}")(x)
            y = y + x
        return y, None


class ODEBlock(nn.Module):
    """y(1) for y(0) = y and dy/dt = field(t, y), t being depth.

    With `SolveConfig(solver="euler", steps=n)` it is a chain of n residual blocks that share their weights.

    Attributes:
      field: a vector field on images; an `Augmented` one gets channels that are 0 at first, which the head sees.
      config: solver, steps or tolerances, gradient method.

    References:
      Chen et al. 2018, section 3; Dupont et al. 2019, Augmented Neural ODEs, eq. (1), for the channels.
    """

    field: nn.Module = ConvField()
    config: SolveConfig = SolveConfig(solver="dopri5", steps=None, atol=1e-3, control="batch")

    def setup(self):
        """The solve."""
        self.ode = NeuralODE(self.field, self.config)

    def __call__(self, y: Float[Array, "b h w c"]) -> tuple[Float[Array, "b h w d"], Any]:
        """The state at depth 1, and the `Solution`."""
        if isinstance(self.field, Augmented):
            y = self.field.lift(y)
        ts = jnp.broadcast_to(jnp.array([0.0, 1.0], y.dtype), (y.shape[0], 2))
        found = self.ode(y, ts)
        return found.ys[:, -1], found


class ImageClassifier(nn.Module):
    """Logits of images [b, h, w, c].

    Attributes:
      stem: images to the state at depth 0.
      body: from there to the last state.
      classes: how many there are.
      pooling: what the linear layer reads of the last state: "mean", its channels' means over the places after a norm
        and a ReLU; "flat", all of it.

    References:
      Chen et al. 2018, section 3.
    """

    stem: Stem | Shrunk = Stem()
    body: ResidualBlocks | ODEBlock = ODEBlock()
    classes: int = 10
    pooling: Pooling = "mean"

    def setup(self):
        """The head."""
        if self.pooling == "mean":
            self.norm = GroupNorm()
        self.head = nn.Dense(self.classes)

    def __call__(self, batch: Batch) -> Classified:
        """What is made of a batch's images, float32 [b, h, w, c]."""
        y, found = self.body(self.stem(jnp.asarray(batch.values)))
        y = nn.relu(self.norm(y)).mean((1, 2)) if self.pooling == "mean" else y.reshape(y.shape[0], -1)
        logits = self.head(y)
        if found is None:
            return Classified(logits, {}, jnp.zeros(y.shape[0], bool))
        return Classified(logits, found.stats, found.failed, found.penalty)


def _conv(channels: int, size: int, **settings: Any) -> nn.Conv:
    """XLA's own, the fastest outside loops."""
    return nn.Conv(channels, (size, size), **{"padding": 0, **settings})
