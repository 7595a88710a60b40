"""Optimizer: AdamW with warm-up, cosine decay and clipping; parts of the parameters frozen or at their own pace."""

import dataclasses
import difflib
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from odeembed.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Aggressive:
    """Until a step, some parameters are updated `inner` times, alone, before the others are updated once, alone.

    Steps count both: of `inner` + 1 steps the last is the others'.

    Attributes:
      prefixes: path prefixes of the parameters that go ahead: of a sentence VAE its encoder.
      inner: their updates before one of the others.
      until: the step from which on all are updated together.

    References:
      He et al. 2019, Lagging Inference Networks and Posterior Collapse, algorithm 1, the number of inner updates fixed.
    """

    prefixes: tuple[str, ...] = ("encoder", "moments")
    inner: int = 10
    until: int = 1000

    def __post_init__(self) -> None:
        if not self.prefixes or self.inner < 1 or self.until < 0:
            raise ConfigError(f"aggressive updates need prefixes, inner >= 1 and until >= 0; got {self}.")

    def alternated(self, make: Any) -> optax.GradientTransformation:
        """`make()` for both groups of parameters, each at its own steps and with a state of its own."""

        def label(params: Any) -> Any:
            ahead = lambda path: any(below(_path(path), prefix) for prefix in self.prefixes)  # noqa: E731
            return jax.tree.map_with_path(lambda path, leaf: "ahead" if ahead(path) else "others", params)

        def at(last: bool) -> Any:
            return lambda step, **_: (step >= self.until) | ((step % (self.inner + 1) == self.inner) == last)

        return optax.partition(
            {
                "ahead": optax.conditionally_mask(make(), at(False)),
                "others": optax.conditionally_mask(make(), at(True)),
            },
            label,
        )


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """AdamW (Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, algorithm 2).

    Weight decay leaves out parameters with fewer than two axes: biases, gains of norms and single numbers have no
    direction that a smaller size would keep.

    Attributes:
      peak: learning rate at the end of the warm-up.
      warmup: steps of linear rise to `peak`.
      end: learning rate at the last step, reached along half a cosine.
      clip: largest norm of the gradient, taken over the parameters that are not frozen; 0 clips nothing.
      weight_decay: decay a step, as a multiple of the learning rate.
      b1: decay of the mean of the gradients.
      b2: decay of the mean of their squares.
      eps: added to the root of the latter.
      frozen: path prefixes of parameters that stay as they are, such as "embedding" or "body/field".
      paces: (path prefix, factor) pairs; the update of these parameters is multiplied by the factor. Where several
        prefixes match, their factors are multiplied.
      aggressive: lets some parameters go ahead of the others at first; None: all are updated at every step.
    """

    peak: float = 1e-3
    warmup: int = 200
    end: float = 0.0
    clip: float = 1.0
    weight_decay: float = 0.01
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    frozen: tuple[str, ...] = ()
    paces: tuple[tuple[str, float], ...] = ()
    aggressive: Aggressive | None = None

    def __post_init__(self) -> None:
        for name in ("peak", "warmup", "end", "clip", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(
                    f"optimizer.{name} must be a finite number of at least 0; got {getattr(self, name)}. "
                    f"Leave it out for {type(self).__dataclass_fields__[name].default}."
                )
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"optimizer.{name} must be in [0, 1); got {getattr(self, name)}. Use 0.9 or 0.999."
                )

    def build(self, steps: int) -> optax.GradientTransformation:
        """The transformation for a run of `steps` steps; `check` first that the prefixes match the parameters."""
        frozen = tuple((prefix, 0.0) for prefix in self.frozen)

        def direction() -> optax.GradientTransformation:
            return optax.chain(
                optax.clip_by_global_norm(self.clip) if self.clip else optax.identity(),
                optax.scale_by_adam(self.b1, self.b2, self.eps),
                optax.add_decayed_weights(self.weight_decay, mask=_decayed),
            )

        return optax.chain(
            _scaled(frozen),
            direction() if self.aggressive is None else self.aggressive.alternated(direction),
            optax.scale_by_learning_rate(lambda count: self.learning_rate(count, steps)),
            _scaled(frozen + self.paces),
        )

    def learning_rate(self, step: Any, steps: int) -> Any:
        """The learning rate of a step (counted from 0) of a run of `steps`; the first step's is above 0."""
        rise = self.peak * (step + 1) / max(self.warmup, 1)
        done = jnp.clip((step - self.warmup) / max(steps - self.warmup, 1), 0.0, 1.0)
        fall = self.end + (self.peak - self.end) * 0.5 * (1.0 + jnp.cos(jnp.pi * done))
        return jnp.where(step < self.warmup, rise, fall)

    def check(self, params: Any) -> None:
        """Compares the prefixes of `frozen` and `paces` with the paths of the parameters.

        Raises:
          ConfigError: a prefix that matches none; the text names the nearest paths.
        """
        paths = [_path(path) for path, _ in jax.tree.leaves_with_path(params)]
        known = sorted(
            {"/".join(path.split("/")[:n]) for path in paths for n in range(1, path.count("/") + 2)}
        )
        named = [("frozen", prefix) for prefix in self.frozen] + [
            ("paces", prefix) for prefix, _ in self.paces
        ]
        ahead = () if self.aggressive is None else self.aggressive.prefixes
        named += [("aggressive.prefixes", prefix) for prefix in ahead]
        for field, prefix in named:
            if not any(below(path, prefix) for path in paths):
                near = difflib.get_close_matches(prefix, known, n=3, cutoff=0.4) or known[:3]
                raise ConfigError(
                    f"optimizer.{field} must name parameters; got {prefix!r}, which matches none. "
                    f"Nearest: {', '.join(near)}."
                )


def _scaled(factors: tuple[tuple[str, float], ...]) -> optax.GradientTransformation:
    """Multiplies the updates below each path prefix by its factor."""

    def scale(path: Any, update: Any) -> Any:
        factor = math.prod(factor for prefix, factor in factors if below(_path(path), prefix))
        # zeros rather than 0 * update: the compiler then leaves the gradient out, and inf * 0 is no NaN
        return jnp.zeros_like(update) if factor == 0 else update * factor

    if not factors:
        return optax.identity()
    return optax.stateless(lambda updates, params: jax.tree.map_with_path(scale, updates))


def _decayed(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _path(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def below(path: str, prefix: str) -> bool:
    """Whether the parameter at a path, such as "body/field/kernel", is the prefix or below it."""
    return path == prefix or path.startswith(prefix + "/")
