"""Spirals in the plane, half of them clockwise: paths that are known, seen now and then and with noise."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from odeembed.data.recordings import Recordings
from odeembed.errors import ConfigError


@dataclass(frozen=True)
class Spirals:
    """Pieces of two Archimedean spirals around the origin, seen at some of the times 0, 1, ..., 99.

    A spiral is at radius growth * s and angle ± 2 pi s / turn, the sign + for every other one, where s = begin + t at
    time t. Paths without noise are known at the times seen from ("between": 0 to 99), at the hundred after them
    ("after": 100 to 199) and at the hundred before ("before": -100 to -1).

    Attributes:
      count: spirals.
      observed: how many of the hundred times each is seen at, chosen without replacement.
      noise: standard deviation of each coordinate as it is seen.
      turn: time of a whole turn.
      growth: of the radius in a unit of time.
      begins: the least and the largest begin, of which each spiral has its own, at least 100.
      seed: of the draws.

    References:
      Chen et al. 2018, section 5.1, whose spirals and noise are not published; size and noise here are such that an RNN
      of 25 units has about their error after what was seen.
    """

    count: int = 1000
    observed: int = 30
    noise: float = 0.072
    turn: float = 333.0
    growth: float = 0.00137
    begins: tuple[float, float] = (100.0, 800.0)
    seed: int = 0

    def __post_init__(self):
        if isinstance(self.observed, int) and not 1 <= self.observed <= _TIMES:
            raise ConfigError(f"observed must lie in 1..{_TIMES}; got {self.observed}. Use 30, 50 or 100.")
        if isinstance(self.count, int) and self.count < 1:
            raise ConfigError(f"count must be at least 1; got {self.count}. Use 1000.")
        if isinstance(self.begins, tuple) and not _TIMES <= self.begins[0] <= self.begins[1]:
            raise ConfigError(
                f"begins must be two rising numbers from {_TIMES} on, so that there is a hundred before; got "
                f"{self.begins}."
            )

    def recordings(self) -> Recordings:
        """The spirals as they were seen, with their directions as classes and their paths as truth."""
        rng = np.random.default_rng(self.seed)
        begin = rng.uniform(*self.begins, self.count)
        sign = 1 - 2 * (np.arange(self.count) % 2)
        whole = np.arange(_TIMES, dtype=np.float64)
        seen = self._paths(whole, begin, sign)
        seen = seen + self.noise * rng.normal(size=seen.shape)
        kept = [np.sort(rng.permutation(_TIMES)[: self.observed]) for _ in range(self.count)]
        asked = {"between": whole, "after": _TIMES + whole, "before": whole - _TIMES}
        return Recordings(
            tuple(whole[places] for places in kept),
            tuple(seen[number, places] for number, places in enumerate(kept)),
            ("x", "y"),
            (np.arange(self.count) % 2).astype(np.int32),
            ("counterclockwise", "clockwise"),
            {name: (ts, self._paths(ts, begin, sign)) for name, ts in asked.items()},
        )

    def _paths(
        self, ts: Float[np.ndarray, " m"], begin: Float[np.ndarray, " n"], sign: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n m 2"]:
        s = begin[:, None] + ts
        angle = sign[:, None] * 2 * np.pi * s / self.turn
        return self.growth * s[..., None] * np.stack([np.cos(angle), np.sin(angle)], -1)


_TIMES = 100  # at which a spiral can be seen
