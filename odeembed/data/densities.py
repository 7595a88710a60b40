"""Points in the plane from six known densities, each with its log-density, so that distances to it are known."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from odeembed.errors import ConfigError

Pattern = Literal["8gaussians", "checkerboard", "circles", "moons", "pinwheel", "spirals"]
_NODES = 2000  # of the midpoint rule along a curve; 4000 change no log-density by 1e-6
_BLOCK = 1024  # points whose densities are computed together

Points = Float[np.ndarray, "n 2"]


@dataclass(frozen=True)
class ToyDensity:
    """Draws from one of the patterns that flows are shown on; all lie within about 4 of the origin.

    8gaussians: around eight points of a circle. checkerboard: eight of sixteen squares. circles: around two circles.
    moons: around two half circles, one upside down. pinwheel: five blades. spirals: around two spirals.

    Attributes:
      pattern: its name.
      count: points drawn.
      seed: of the draws; splits take different ones.
    """

    pattern: Pattern = "moons"
    count: int = 10_000
    seed: int = 0

    def __post_init__(self):
        if isinstance(self.count, int) and self.count < 1:
            raise ConfigError(f"count must be at least 1; got {self.count}. Set --data.train.count 10000.")

    def rows(self) -> Float[np.ndarray, "n 2"]:
        """The points, the same ones each time."""
        rng = np.random.default_rng([self.seed, get_args(Pattern).index(self.pattern)])
        if self.pattern == "checkerboard":
            return _checkerboard(rng, self.count)
        if self.pattern == "pinwheel":
            return _pinwheel(rng, self.count)
        curve, noise = _CURVES[self.pattern]
        return curve(rng.random(self.count)) + noise * rng.normal(size=(self.count, 2))

    def log_density(self, points: Points) -> Float[np.ndarray, " n"]:
        """log p of points, in nats; -inf outside of the checkerboard's squares."""
        points = np.asarray(points, np.float64)
        if self.pattern == "checkerboard":
            return np.where(_is_black(points), -math.log(32.0), -np.inf)
        if self.pattern == "pinwheel":
            return _pinwheel_log_density(points)
        curve, noise = _CURVES[self.pattern]
        nodes = curve((np.arange(_NODES) + 0.5) / _NODES)
        blocks = [
            np.asarray(logsumexp(_normal(block[:, None] - nodes, noise).sum(-1), axis=1)) - math.log(_NODES)
            for block in _blocks(points)
        ]
        return np.concatenate(blocks)


def _two(u: Float[np.ndarray, " n"], one: Callable, other: Callable) -> Points:
    """Half of the unit interval on each of two curves, both given on [0, 1)."""
    share = 2 * u % 1
    return np.where((u < 0.5)[:, None], np.stack(one(share), -1), np.stack(other(share), -1))


def _circle(radius: float) -> Callable:
    return lambda s: (radius * np.cos(2 * np.pi * s), radius * np.sin(2 * np.pi * s))


def _eight(u: Float[np.ndarray, " n"]) -> Points:
    angle = np.floor(8 * u) * np.pi / 4
    return 3.0 * np.stack([np.cos(angle), np.sin(angle)], -1)


def _circles(u: Float[np.ndarray, " n"]) -> Points:
    return _two(u, _circle(3.0), _circle(1.5))


def _moons(u: Float[np.ndarray, " n"]) -> Points:
    upper = lambda s: (2 * np.cos(np.pi * s) - 1, 2 * np.sin(np.pi * s) - 0.5)  # noqa: E731
    lower = lambda s: (1 - 2 * np.cos(np.pi * s), 0.5 - 2 * np.sin(np.pi * s))  # noqa: E731
    return _two(u, upper, lower)


def _spirals(u: Float[np.ndarray, " n"]) -> Points:
    def arm(sign):
        def at(s):
            angle = 3 * np.pi * np.sqrt(s)  # the root spreads the points evenly along the arm
            return -sign * np.cos(angle) * angle / 3, sign * np.sin(angle) * angle / 3

        return at

    return _two(u, arm(1), arm(-1))


_CURVES: dict[str, tuple[Callable[[Float[np.ndarray, " n"]], Points], float]] = {
    "8gaussians": (_eight, 0.35),
    "circles": (_circles, 0.25),
    "moons": (_moons, 0.2),
    "spirals": (_spirals, 0.1),
}


def _is_black(points: Points) -> np.ndarray:
    inside = np.all(np.abs(points) < 4, axis=-1)
    return inside & (np.floor(points / 2).sum(-1) % 2 == 0)


def _checkerboard(rng: np.random.Generator, count: int) -> Points:
    column = rng.integers(0, 4, count)
    row = 2 * rng.integers(0, 2, count) + column % 2
    return 2 * (np.stack([column, row], -1) - 2 + rng.random((count, 2)))


_BLADES, _ALONG, _ACROSS, _TWIST = 5, (2.2, 0.6), 0.22, 0.35  # blade: N(2.2, 0.6) outwards, N(0, 0.22) across


def _pinwheel(rng: np.random.Generator, count: int) -> Points:
    blade = np.stack([rng.normal(*_ALONG, count), rng.normal(0, _ACROSS, count)], -1)
    turn = 2 * np.pi * rng.integers(0, _BLADES, count) / _BLADES
    return _turned(blade, turn + _TWIST * np.linalg.norm(blade, axis=-1))


def _pinwheel_log_density(points: Points) -> Float[np.ndarray, " n"]:
    """A turn by an angle that depends on the radius alone keeps areas, so that no determinant is needed."""
    straight = _turned(points, -_TWIST * np.linalg.norm(points, axis=-1))
    blades = []
    for number in range(_BLADES):
        along, across = _turned(straight, np.full(len(points), -2 * np.pi * number / _BLADES)).T
        blades.append(_normal(along - _ALONG[0], _ALONG[1]) + _normal(across, _ACROSS))
    return np.asarray(logsumexp(np.stack(blades), axis=0)) - math.log(_BLADES)


def _turned(points: Points, angle: Float[np.ndarray, " n"]) -> Points:
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = points.T
    return np.stack([cos * x - sin * y, sin * x + cos * y], -1)


def _normal(x: np.ndarray, scale: float) -> np.ndarray:
    return -0.5 * np.square(x / scale) - math.log(scale) - 0.5 * math.log(2 * math.pi)


def _blocks(points: Points) -> Iterator[Points]:
    for start in range(0, len(points), _BLOCK):
        yield points[start : start + _BLOCK]
