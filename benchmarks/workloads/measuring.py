"""Timing variants of one training step side by side: shuffled rounds, medians of paired ratios.

On a CPU what is told is CPU time; on an accelerator it is the time until its work is done.
"""

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workloads.steps import Counts, Step

SHORTEST = 0.05  # seconds a sample takes at least, by as many steps as that needs
Build = Callable[[Mapping[str, Step]], Step]


@dataclass(frozen=True)
class Measured:
    """A step and the seconds it took, one number a round."""

    step: Step
    seconds: np.ndarray

    @property
    def median(self) -> float:
        """Seconds of the median round."""
        return float(np.median(self.seconds))


@dataclass(frozen=True)
class Comparison:
    """A ratio, and what it ought to be.

    Attributes:
      what: what is divided by what, in words.
      ratios: one number a round; a single one where nothing is timed.
      at_most: the target, where small is good.
      at_least: the target, where large is good.
    """

    what: str
    ratios: Sequence[float] | np.ndarray
    at_most: float | None = None
    at_least: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Median with quartiles, the target, whether it is met, and by which share of it it is missed."""
        low, value, high = (float(x) for x in np.quantile(self.ratios, (0.25, 0.5, 0.75)))
        missed = 0.0
        if self.at_most is not None:
            missed = max(0.0, value / self.at_most - 1)
        if self.at_least is not None:
            missed = max(0.0, 1 - value / self.at_least)
        target = {"at_most": self.at_most, "at_least": self.at_least}
        target = {name: bound for name, bound in target.items() if bound is not None} or None
        facts: dict[str, Any] = {
            "what": self.what,
            "ratio": value,
            "low": low,
            "high": high,
            "target": target,
        }
        return facts if target is None else facts | {"met": missed == 0.0, "missed_by": missed}


@dataclass(frozen=True)
class Case:
    """One problem solved to one tolerance or on one grid, by several variants.

    Attributes:
      name: what is solved, and how.
      variants: builders by name, called in this order with the steps built so far; the first is the one whose losses
        the others must reproduce.
      compare: the comparisons to draw from what was measured.
      tolerance: largest relative difference of two losses; as large as the solver's tolerance makes it.
    """

    name: str
    variants: Mapping[str, Build]
    compare: Callable[[Mapping[str, Measured]], Sequence[Comparison]]
    tolerance: float


class LossesDisagree(RuntimeError):
    """Two variants do not compute the same."""


def build(cases: Sequence[Case], threads: int, say: Callable[[str], None] = print) -> list[dict[str, Step]]:
    """Every variant of some cases, those by jax side by side: how long each took to compile is not known then.

    The limits come last, since they ask how often others evaluate the field; torch has the process to itself.
    """
    built: list[dict[str, Step]] = [{} for _ in cases]

    def make(number: int, name: str) -> tuple[int, str, Step]:
        step = cases[number].variants[name](built[number])
        say(f"{cases[number].name}: {name} built")
        return number, name, replace(step, first_seconds=None)

    for turn in ("ours", "limit", "torch"):
        now = [(i, name) for i, case in enumerate(cases) for name in case.variants if _turn(name) == turn]
        if turn == "torch":  # its default device is that of this thread alone
            done = [make(*pair) for pair in now]
        else:
            with ThreadPoolExecutor(threads) as pool:
                done = list(pool.map(lambda pair: make(*pair), now))
        for number, name, step in done:
            built[number][name] = step
    return [{name: steps[name] for name in case.variants} for case, steps in zip(cases, built, strict=True)]


def _turn(variant: str) -> str:
    return "limit" if variant.startswith("limit") else "torch" if variant.startswith("torch") else "ours"


def measure(
    case: Case,
    rounds: int,
    seed: int = 0,
    say: Callable[[str], None] = print,
    *,
    steps: Mapping[str, Step] | None = None,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, Any]:
    """Builds and times every variant of a case, and returns what was found, ready for JSON.

    Args:
      case: what is measured.
      rounds: how often each variant is timed.
      seed: of their order.
      say: told what was built.
      steps: the variants, where they are built already.
      clock: what times them.

    Raises:
      LossesDisagree: a loss, at the start or after one update, is not that of the first variant.
    """
    if steps is None:
        steps = {}
        for name, variant in case.variants.items():
            steps[name] = variant(steps)
            say(f"{case.name}: {name} built in {steps[name].first_seconds:.1f} s")
    reference = next(iter(steps.values()))
    differences = {name: loss_difference(step, reference) for name, step in steps.items()}
    disagreeing = [
        f"{name} {steps[name].losses} ({difference:.1e})"
        for name, difference in differences.items()
        if steps[name].library != "limit" and not difference <= case.tolerance
    ]
    if disagreeing:
        raise LossesDisagree(
            f"{case.name}: losses must agree to {case.tolerance:.0e} with {reference.losses}; got "
            f"{', '.join(disagreeing)}. A variant solves another problem, or less exactly."
        )
    measured = time_rounds(steps, rounds, np.random.default_rng(seed), clock)
    return {
        "name": case.name,
        "tolerance_of_losses": case.tolerance,
        "variants": [
            _variant(name, found, None if found.step.library == "limit" else differences[name])
            for name, found in measured.items()
        ],
        "comparisons": [comparison.to_json() for comparison in case.compare(measured)],
    }


def loss_difference(step: Step, reference: Step) -> float:
    """The larger relative difference of the losses before and after one update; NaN counts as infinite."""
    pairs = zip(step.losses, reference.losses, strict=True)
    worst = max((abs(a - b) / abs(b) if math.isfinite(a) else math.inf) for a, b in pairs)
    return math.inf if math.isnan(worst) else worst


def time_rounds(
    steps: Mapping[str, Step],
    rounds: int,
    rng: np.random.Generator,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, Measured]:
    """Seconds a step, every variant once a round, in an order drawn anew for each round."""
    names = list(steps)
    gc.freeze()  # What is there stays; else each collection looks through all that jax and torch brought.
    repeats = {name: math.ceil(SHORTEST / max(_sample(steps[name], 1, clock), 1e-6)) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for i in rng.permutation(len(names)):
            name = names[i]
            seconds[name].append(_sample(steps[name], repeats[name], clock))
    gc.unfreeze()
    return {name: Measured(steps[name], np.array(found)) for name, found in seconds.items()}


def ratios(above: Measured, below: Measured) -> np.ndarray:
    """The ratio of two variants in each round."""
    return above.seconds / below.seconds


def _sample(step: Step, repeats: int, clock: Callable[[], float]) -> float:
    """Seconds of one step, as the mean of several; neither the resets nor a garbage collection is counted."""
    gc.collect()
    gc.disable()
    total = 0.0
    for _ in range(repeats):
        begin = clock()
        step.run()
        total += clock() - begin
        step.reset()
    gc.enable()
    return total / repeats


def _variant(name: str, found: Measured, difference: float | None) -> dict[str, Any]:
    step, counts = found.step, found.step.counts
    low, high = (float(x) for x in np.quantile(found.seconds, (0.25, 0.75)))
    return {
        "name": name,
        "library": step.library,
        "evaluations": counts.evaluations,
        "most_evaluations": counts.most,
        "accepted": counts.accepted,
        "rejected": counts.rejected,
        "seconds": found.median,
        "low": low,
        "high": high,
        "first_seconds": step.first_seconds,
        "temporary_bytes": step.temporary_bytes,
        "loss": step.losses[0],
        "loss_after": step.losses[1],
        "loss_difference": difference,
    }


def limits(limit: Callable[..., Step]) -> dict[str, Build]:
    """Both ways of differentiating bare evaluations, as many as the first variant needs; the faster is the limit."""
    return {
        "limit, stored": lambda steps: limit(next(iter(steps.values())), recompute=False),
        "limit, recomputed": lambda steps: limit(next(iter(steps.values())), recompute=True),
    }


def against_peers_and_limit(
    measured: Mapping[str, Measured],
    faster: float | None,
    *,
    adaptive: bool = True,
    equal_evaluations: bool = False,
) -> list[Comparison]:
    """The first variant over the limit and against the fastest of torch, and its compile time over diffrax's.

    Args:
      measured: what was measured; limits, `diffrax` and variants of torch where they are.
      faster: how many times faster than the fastest of torchdiffeq and torchode the first variant ought to be.
      adaptive: whether steps are chosen; on a grid a step may cost no more than the limit.
      equal_evaluations: compares the times an evaluation, for solvers that choose steps differently.
    """
    name, ours = next(iter(measured.items()))
    found = []
    limit = fastest(measured, "limit")
    if limit:
        bound = most_over_limit(ours.step.counts, adaptive)
        found.append(Comparison(f"{name} over the limit", ratios(ours, measured[limit]), at_most=bound))
    torch = fastest(measured, "torchdiffeq", "torchode")
    if torch:
        speed = ratios(measured[torch], ours)
        even = ours.step.counts.evaluations / measured[torch].step.counts.evaluations
        bounds = (None, faster) if equal_evaluations else (faster, None)
        found.append(Comparison(f"{torch} over {name}", speed, at_least=bounds[0]))
        found.append(Comparison(f"{torch} over {name}, an evaluation", speed * even, at_least=bounds[1]))
    if torch and limit:
        found.append(Comparison(f"{torch} over the limit", ratios(measured[torch], measured[limit])))
    if "diffrax" in measured:
        found.append(Comparison(f"diffrax over {name}", ratios(measured["diffrax"], ours)))
        first, theirs = ours.step.first_seconds, measured["diffrax"].step.first_seconds
        if first is not None and theirs is not None:
            what = f"{name} over diffrax, time to the first step"
            found.append(Comparison(what, [first / theirs], at_most=0.5))
    return found


def fastest(measured: Mapping[str, Measured], *libraries: str) -> str | None:
    """The variant with the smallest median among those of some libraries, if there are any."""
    theirs = {name: found.median for name, found in measured.items() if found.step.library in libraries}
    return min(theirs, key=lambda name: theirs[name], default=None)


def most_over_limit(counts: Counts, adaptive: bool) -> float:
    """What a step may cost over the bare evaluations: nothing on a grid, a tenth up to 64 chosen steps, or a third."""
    if not adaptive:
        return 1.0
    return 1.10 if (counts.accepted or 0) <= 64 else 1.35
