"""Runs: a directory is a run; every verb of the command line as a plain function, for programs and notebooks."""

import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import numpy as np

from odeembed import mean, sentences
from odeembed.batch import Batch
from odeembed.codes import Coder
from odeembed.data.buckets import Share
from odeembed.data.vocabulary import Vocabulary, load_vocabulary
from odeembed.demo import experiments
from odeembed.errors import ConfigError, DataError, MissingFileError, RunError
from odeembed.evaluate import adjoints, orders
from odeembed.evaluate.densities import drawn
from odeembed.evaluate.diagnosis import Figure, diagnose
from odeembed.evaluate.masked import evaluate_split
from odeembed.evaluate.vectors import WordVectors, readings
from odeembed.experiment import (
    Experiment,
    check,
    differences,
    fingerprint,
    from_json,
    identity,
    own_classes,
    replace_nodes,
    to_json,
)
from odeembed.export import export
from odeembed.models.density import DensityEstimator
from odeembed.models.interpolator import MaskedInterpolator
from odeembed.pages.facts import Facts
from odeembed.solve.config import Adjoint, SolveConfig
from odeembed.train import cluster
from odeembed.train.brief import fit
from odeembed.train.checkpoint import Checkpoints, Which
from odeembed.train.logs import Progress, read_metrics
from odeembed.train.loop import Outcome
from odeembed.train.loop import train as train_loop
from odeembed.translate import Translator

EXPERIMENT, RESULT, VOCABULARY, REPORT = "experiment.json", "result.json", "vocabulary", "report.html"
DEMO_WORDS = ("tuple", "row", "array", "float", "width", "maximum", "method", "true")
DEMO_SENTENCE = "returns the ___ of an array along the given ___"
DEMO_MIN_COUNT = 20  # rarer words have vectors that were hardly trained
_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "diffrax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "sacrebleu",
    "sentencepiece",
)
_PUBLISHED = (":(exclude)results", ":(exclude)benchmarks/results")
_WORDS = ("embedding", "output", "bias", "read_out")  # parameters that every model of words has
_COLLAPSED = (
    "the code has collapsed: no active unit, so that the decoder does without it. Raise objective.free_bits or "
    "objective.word_dropout, let objective.annealing rise for longer, set optimizer.aggressive, or start from an "
    "autoencoder with init_from and init_only."
)
_HELD_OUT = ("elbo", "nll", "accuracy", "top10")


class Plan(NamedTuple):
    """What experiment.json holds: the experiment, and where it came from.

    Attributes:
      config: name of the config file; size: which of its experiments; overrides: settings changed on the way.
    """

    experiment: Experiment
    config: str = "notebook"
    size: str = "small"
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Run:
    """A trained run, opened. Only `dataset`, and what needs it, touches the corpus.

    Attributes:
      path: its directory.
      experiment: as read from its JSON.
      vocabulary: as saved with it; None where the data are not text.
      model: the experiment's, for this vocabulary.
      params: of the checkpoint opened, their moving average when one was kept.
      step: that the checkpoint was saved after.
      classes: of the user's own, which its experiment has.
    """

    path: Path
    experiment: Experiment
    vocabulary: Vocabulary | None
    model: nn.Module
    params: Any
    step: int
    classes: tuple[type, ...] = ()

    @classmethod
    def open(cls, path: Path | str, which: Which = "best", classes: Iterable[type] = ()) -> "Run":
        """Opens a checkpoint of a run: the best, the latest, or that of a step.

        Args:
          classes: of the user's own, where its experiment has any.

        Raises:
          RunError: not a run directory; CheckpointError: no such checkpoint.
        """
        path, classes = Path(path), tuple(classes)
        experiment = read_plan(path, classes).experiment
        vocabulary = load_vocabulary(path / VOCABULARY) if _has_words(experiment) else None
        step, params = Checkpoints(path).restore_params(which)
        model = _specialise(experiment.model, vocabulary)
        return cls(path, experiment, vocabulary, model, params, step, classes)

    @cached_property
    def dataset(self) -> Any:
        """The corpus, prepared again where its cache is gone."""
        return _open_data(self.experiment)

    def with_solver(self, **settings: Any) -> "Run":
        """The same parameters under other settings of `SolveConfig`; rtol or atol make the steps adaptive.

        Raises:
          ConfigError: the model solves nothing, or the settings do not go together.
        """
        if not settings:
            return self
        if "steps" not in settings and {"rtol", "atol"} & settings.keys():
            settings |= {"steps": None}
        found = []

        def change(config: SolveConfig) -> SolveConfig:
            found.append(config)
            return check(replace(config, **settings))

        model = replace_nodes(self.model, SolveConfig, change)
        if not found:
            raise ConfigError(
                f"the model of {self.path} solves no equation, so {', '.join(settings)} cannot be set."
            )
        return replace(self, model=model)

    def evaluate(self, split: str = "test") -> dict[str, float]:
        """Held-out metrics of a split, each example counted once, and what a sentence costs.

        `sentences_per_second` and `milliseconds` are measured on one pass of the model over batches as in training.
        """
        batches = list(self.dataset.evaluation(split))
        key = jax.random.key(self.experiment.seed)
        found = mean.summarise(
            evaluate_split(self.model, self.params, self.experiment.objective, batches, key)
        )
        return found | {"milliseconds": 1e3 * _seconds_a_sentence(self.model, self.params, batches)}

    def score(self, left_out: Callable[[str], object] | None = None) -> dict[str, float | str]:
        """The experiment's own scores: numbers, and signatures of how they were counted.

        Args:
          left_out: is told of each score whose files are not there, and why; None makes that an error.

        Raises:
          MissingFileError: see above.
        """
        found: dict[str, float | str] = {}
        for score in self.experiment.scores:
            try:
                found |= score(self)
            except MissingFileError as error:
                if left_out is None:
                    raise
                left_out(f"{type(score).__name__} is left out: {error}")
        return found

    def diagnose(self, rows: int = 8) -> Iterator[Figure]:
        """Measures the method's known limits on the first `rows` sentences of the test split, one figure after another.

        Raises:
          RunError: the model solves no equation; DataError: no sentence to measure on; ConfigError: rows below 1.
        """
        if rows < 1:
            raise ConfigError(f"rows must be at least 1; got {rows}. A few sentences are enough.")
        batch = next(iter(self.dataset.evaluation("test")), None)
        if batch is None:
            raise DataError(f"the test split of {self.path} is empty. Give it text, or a larger held_out.")

        def under(adjoint: str) -> nn.Module:
            return replace_nodes(
                self.model, SolveConfig, lambda config: replace(config, adjoint=cast(Adjoint, adjoint))
            )

        return diagnose(self.model, self.params, batch, under, rows)

    def vectors(self, reading: str | None = None) -> WordVectors:
        """Word vectors, read as "embedding", "embedding-2", "context", ...; by default the embedding.

        Raises:
          ConfigError: no such reading.
        """
        name, vocabulary = reading or "embedding", self._words()
        read = name.split("-")[0] != "embedding" and isinstance(self.model, MaskedInterpolator)
        dataset = self.dataset if read else None
        found = readings(self.model, self.params, vocabulary, dataset)
        if name not in found:
            raise ConfigError(f"no reading {name!r}. Use one of {', '.join(found)}.")
        return found[name]

    @cached_property
    def coder(self) -> Coder:
        """Sentences to codes and back; ConfigError where the model has no codes."""
        return Coder(self.model, self.params, self._words(), self._longest())

    @cached_property
    def translator(self) -> Translator:
        """Sources to targets; ConfigError where the model does not translate."""
        return Translator(self.model, self.params, self._words(), self._longest())

    def embed(self, lines: Iterable[str]) -> Iterator[sentences.Embedded]:
        """Yields a vector for each line: the mean of its contextual states; ConfigError where the model has none."""
        self._interpolates("encode gives a sentence's code")
        return sentences.embed(self.model, self.params, self._words(), lines)

    def infill(self, sentence: str, k: int = 5) -> sentences.Filled:
        """Fills the gaps ___ of a sentence, and names the k likeliest words of each.

        Raises:
          DataError: there is no gap; ConfigError: the model does not fill gaps.
        """
        self._interpolates("interpolate, sample and reconstruct are for it")
        return sentences.infill(self.model, self.params, self._words(), sentence, k)

    def beside(self, path: Path | str) -> "Run":
        """Another run, opened at its best checkpoint, to judge this one by; RunError where there is none."""
        return Run.open(path, classes=self.classes)

    def fit(self, model: nn.Module, objective: Any, batch: Callable[[int], Batch], steps: int) -> Any:
        """Parameters of another model after a few steps on other data, with this run's seed; nothing is saved."""
        return fit(model, objective, batch, steps, self.experiment.seed)

    def draw(self, count: int, seed: int = 0) -> np.ndarray:
        """Points [count, d] drawn from a density, in the units of the data.

        Raises:
          ConfigError: the model is no density of points, or draws none.
        """
        if not isinstance(self.model, DensityEstimator):
            raise ConfigError(f"{self.path} holds a {type(self.model).__name__}, which draws no points.")
        return self.dataset.restored(drawn(self.model, self.params, count, seed))

    def _words(self) -> Vocabulary:
        if self.vocabulary is None:
            entries = cast(Any, self.experiment.data).entries
            raise ConfigError(
                f"{self.path} was trained on {entries}, not on words. Name a run of text; "
                f"evaluate and plot are for this one."
            )
        return self.vocabulary

    def _longest(self) -> int:
        return cast(Any, self.experiment.data).buckets[-1]

    def _interpolates(self, instead: str) -> None:
        if not isinstance(self.model, MaskedInterpolator):
            kind = type(self.model).__name__
            raise ConfigError(
                f"this is for models that interpolate between words; {self.path} holds a {kind}: {instead}."
            )


def train(
    experiment: Experiment,
    path: Path | str,
    *,
    config: str = "notebook",
    size: str = "small",
    overrides: Sequence[str] = (),
    report: Callable[[Mapping[str, Any]], object] | None = None,
    begun: bool = False,
) -> dict[str, Any] | None:
    """Trains an experiment in a new run directory and returns its result; None when a signal stopped it.

    Of several processes (`odeembed.train.cluster.join`), which all call this with one directory that all reach, the
    first returns the result and the others an empty one.

    Args:
      begun: whether the directory may hold this experiment already; then it is continued, as by `resume`.

    Raises:
      RunError: the directory holds something else, or this experiment already.
      ConfigError, DataError, TrainingError: see `odeembed.train.loop.train`.
    """
    path = Path(path)
    plan = Plan(_settled(experiment), config, size, tuple(overrides))
    text = json.dumps(_plan_to_json(plan), indent=1) + "\n"  # before anything is written: it may be refused
    if begun and cluster.any_of(cluster.first() and (path / EXPERIMENT).exists()):
        cluster.alone(lambda: _refuse_different(path, plan), f"looking at {path}")
        return resume(path, report, own_classes(plan.experiment))
    cluster.alone(lambda: _refuse_other(path, plan), f"looking at {path}")
    dataset = _open_data(plan.experiment)

    def begin() -> None:
        path.mkdir(parents=True, exist_ok=True)
        _write(path / EXPERIMENT, text)

    cluster.alone(begin, f"writing {path}")
    return _run(plan, path, dataset, report, resume=False)


def resume(
    path: Path | str,
    report: Callable[[Mapping[str, Any]], object] | None = None,
    classes: Iterable[type] = (),
) -> dict[str, Any] | None:
    """Continues an unfinished run as if it had never stopped; of a finished one it returns the result.

    Args:
      classes: of the user's own, where its experiment has any.

    Raises:
      RunError: not a run directory; CheckpointError: damaged checkpoints; ConfigError: the data has changed.
    """
    path = Path(path)
    plan = read_plan(path, classes)
    if (path / RESULT).exists():
        return read_result(path / RESULT)
    return _run(plan, path, _open_data(plan.experiment), report, resume=True)


def read_plan(path: Path | str, classes: Iterable[type] = ()) -> Plan:
    """Reads experiment.json of a run directory; nothing that it names is run.

    Args:
      classes: of the user's own, which it may have beside those of this package.

    Raises:
      RunError: there is none, or it is not what this version writes.
    """
    file = Path(path) / EXPERIMENT
    if not file.exists():
        raise RunError(
            f"{path} is not a run directory: {file} is missing. Name one that odeembed train wrote."
        )
    try:
        found = json.loads(file.read_text("utf-8"))
        experiment = from_json(found["experiment"], tuple(classes))
        plan = Plan(experiment, found["config"], found["size"], tuple(found["overrides"]))
    except ConfigError as error:
        raise RunError(f"{file}: {error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(
            f"{file} is damaged: {type(error).__name__}: {error}. Restore it, or train again."
        ) from error
    if not isinstance(plan.experiment, Experiment):
        raise RunError(f"{file} holds no Experiment. Restore it, or train again.")
    return plan


def read_result(file: Path | str) -> dict[str, Any]:
    """Reads a result.json.

    Raises:
      MissingFileError: no such file; RunError: not a result.
    """
    file = Path(file)
    if not file.exists():
        raise MissingFileError(
            f"no result {file}. Finish the run with odeembed resume, or name a file of results/."
        )
    try:
        found = json.loads(file.read_text("utf-8"))
        if isinstance(found["metrics"], dict) and isinstance(found["experiment"], dict):
            return found
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise RunError(f"{file} is not a result of odeembed. Name a result.json, or a file of results/.")


def publish(
    path: Path | str,
    results: Path | str = "results",
    name: str | None = None,
    classes: Iterable[type] = (),
) -> Path:
    """Copies a finished run's result to results/<config>-<size>-seed<k>.json and returns that path.

    Raises:
      RunError: no result yet, or settings were overridden and no `name` tells what the run is.
    """
    path = Path(path)
    plan = read_plan(path, classes)
    if not (path / RESULT).exists():
        raise RunError(f"{path} has no result yet. Finish it with: odeembed resume {path}")
    result = read_result(path / RESULT)
    if plan.overrides and name is None:
        changed = " ".join(plan.overrides)
        raise RunError(
            f"{path} is not {plan.config}-{plan.size} as configured but with {changed}. Give it a --name."
        )
    stem = name or f"{plan.config}-{plan.size}-seed{plan.experiment.seed}"
    target = Path(results) / f"{stem}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(target, json.dumps(result, indent=1, allow_nan=False) + "\n")
    return target


def facts(path: Path | str, classes: Iterable[type] = ()) -> Facts:
    """What the files of a run tell of it; `classes` as of `Run.open`.

    Raises:
      RunError: not a run directory, or a damaged one.
    """
    path = Path(path)
    plan = read_plan(path, classes)
    result = read_result(path / RESULT) if (path / RESULT).exists() else None
    return Facts(
        path.resolve().name,
        plan.config,
        plan.size,
        plan.overrides,
        plan.experiment,
        result,
        read_metrics(path),
    )


def report(
    path: Path | str,
    output: Path | str | None = None,
    which: Which = "best",
    classes: Iterable[type] = (),
) -> Path:
    """Writes the report of a run, one HTML page that needs nothing beside it; by default RUN/report.html.

    `which` and `classes` are as of `Run.open`.

    Raises:
      RunError: not a run directory; CheckpointError: no such checkpoint.
    """
    from odeembed.pages.report import report

    output, classes = Path(path) / REPORT if output is None else Path(output), tuple(classes)
    page = report(Run.open(path, which, classes), facts(path, classes))
    output.parent.mkdir(parents=True, exist_ok=True)
    _write(output, page)
    return output


def compare(
    paths: Sequence[Path | str], output: Path | str = "runs/comparison.html", classes: Iterable[type] = ()
) -> tuple[Path, list[Facts]]:
    """Writes a page of several runs beside each other; returns its path and what is known of the runs.

    `classes` are as of `Run.open`.

    Raises:
      ConfigError: no run; RunError: not a run directory.
    """
    from odeembed.pages.comparison import comparison

    classes = tuple(classes)
    found = [facts(path, classes) for path in paths]
    page = comparison(found)
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    _write(output, page)
    return output, found


class Demo(NamedTuple):
    """What the demonstration shows.

    Attributes:
      neighbors: for some words the nearest ones and their cosines.
      scores: mean reciprocal rank of the config's pairs of words, by reading of the vectors.
      filled: a sentence whose gaps were filled.
      files: what was written: vectors, pictures and the report.
    """

    neighbors: dict[str, list[tuple[str, float]]]
    scores: dict[str, float]
    filled: sentences.Filled
    files: list[Path]


def demo(path: Path | str = "runs/demo") -> Demo | None:
    """Trains the demonstration, continues or reopens it, and shows what came of it; None when a signal stopped it."""
    from odeembed.plots.run import draw  # matplotlib: a second that the other verbs need not wait

    path = Path(path)
    experiment = experiments["small"]
    ours = (path / EXPERIMENT).exists() and not differences(read_plan(path).experiment, experiment)
    result = resume(path) if ours else train(experiment, path, config="demo")
    if result is None:
        return None
    run = Run.open(path)
    vectors = run.vectors()
    words = [word for word in DEMO_WORDS if vectors.find(word) is not None]
    found = {word: vectors.neighbors(word, 6, DEMO_MIN_COUNT) for word in words}
    prefix = "neighbors/mrr/"
    scores = {
        name[len(prefix) :]: value for name, value in result["metrics"].items() if name.startswith(prefix)
    }
    return Demo(
        found,
        scores,
        run.infill(DEMO_SENTENCE),
        [export(vectors, path / "vectors").path, *draw(run), report(path)],
    )


def bench_adjoints(
    folder: Path | str = "runs/bench",
    lab: adjoints.Lab | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> dict[str, Any]:
    """Measures every gradient method and writes adjoints.json and adjoints.png.

    Args:
      lab: sizes, steps and tolerances; by default those of the published measurement.
      say: told of each measurement as soon as it is done.
    """
    from odeembed.plots.adjoints import costs, described
    from odeembed.plots.figure import save

    lab = adjoints.Lab() if lab is None else lab
    result = {"kind": "adjoints", "sizes": asdict(lab), **_circumstances()}
    rows = adjoints.measure(lab, say=say)
    result |= {"advice": adjoints.advice(rows), "rows": rows}
    _write_bench(result, folder)
    save(costs(rows), Path(folder) / "adjoints.png", described(rows))
    return result


def bench_orders(
    folder: Path | str = "runs/bench", say: Callable[[str], object] = lambda line: None
) -> dict[str, Any]:
    """Measures how fast every method converges and writes orders.json and orders.png.

    Args:
      say: told of each measurement as soon as it is done.
    """
    from odeembed.plots.figure import save
    from odeembed.plots.orders import convergence, described

    result = {"kind": "orders", **_circumstances(), "rows": orders.measure(say=say)}
    _write_bench(result, folder)
    save(convergence(result["rows"]), Path(folder) / "orders.png", described(result["rows"]))
    return result


class Compared(NamedTuple):
    """A metric measured again, beside the recorded one and the difference allowed."""

    name: str
    again: float
    recorded: float
    allowed: float

    @property
    def within(self) -> bool:
        """Whether the difference is allowed; a NaN never is."""
        return abs(self.again - self.recorded) <= self.allowed


def reproduce(
    result: Path | str,
    path: Path | str | None = None,
    tolerance: float = 0.02,
    classes: Iterable[type] = (),
) -> list[Compared] | None:
    """Runs a published result's experiment again and compares; None when a signal stopped it.

    A difference is allowed up to the spread (largest less smallest) over the seeds published beside it, and in any case
    up to `tolerance` times the recorded value. A reproduction that was stopped is continued.

    Args:
      path: run directory; by default runs/reproduce-<name of the result>.
      classes: of the user's own, where the experiment has any.
    """
    recorded = read_result(result)
    path = Path(path) if path is not None else reproduction_path(result)
    classes = tuple(classes)
    experiment = from_json(recorded["experiment"], classes)
    if (path / EXPERIMENT).exists() and read_plan(path, classes).experiment == experiment:
        again = resume(path, classes=classes)
    else:
        again = train(experiment, path, config=recorded["config"], size=recorded["size"])
    if again is None:
        return None
    return compare_results(recorded, again, _siblings(Path(result), recorded), tolerance)


def reproduction_path(result: Path | str) -> Path:
    """Where `reproduce` runs by default."""
    return Path("runs") / f"reproduce-{Path(result).stem}"


def compare_results(
    recorded: Mapping[str, Any],
    again: Mapping[str, Any],
    siblings: Iterable[Mapping[str, Any]],
    tolerance: float,
) -> list[Compared]:
    """Compares two results' held-out metrics and scores; `siblings` are the same experiment's results for all seeds."""
    siblings = list(siblings)
    compared = []
    for name, value in recorded["metrics"].items():
        if value is None or isinstance(value, str) or not _is_compared(name):
            continue
        known = [found["metrics"].get(name) for found in siblings]
        seeds = [found for found in known if found is not None] or [value]
        allowed = max(max(seeds) - min(seeds), tolerance * abs(value))
        found = again["metrics"].get(name)
        compared.append(Compared(name, math.nan if found is None else found, value, allowed))
    return compared


def _is_compared(name: str) -> bool:
    """Whether a metric is a claim: scores and the held-out metrics themselves, not parts, costs or repetitions."""
    first, _, rest = name.partition("/")
    return (
        name in _HELD_OUT
        if first in _HELD_OUT or not rest
        else first not in ("solver", "valid", "perplexity")
    )


def _siblings(file: Path, recorded: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for other in sorted(file.parent.glob("*.json")):
        found = read_result(other)
        if identity(found) == identity(recorded):
            yield found


def _run(
    plan: Plan, path: Path, dataset: Any, report: Callable[[Mapping[str, Any]], object] | None, resume: bool
) -> dict[str, Any] | None:
    if _has_words(plan.experiment):
        cluster.alone(lambda: dataset.vocabulary.save(path / VOCABULARY), f"writing {path}")
    outcome = train_loop(plan.experiment, dataset, path, resume=resume, report=report)
    cluster.part()
    if outcome.stopped == "signal":
        return None
    if not cluster.first():
        return {}
    run = Run.open(path, classes=own_classes(plan.experiment))
    run.__dict__["dataset"] = dataset  # it is open already

    def notice(text: str) -> None:
        (report or Progress())({"kind": "notice", "text": text})

    result = _result(plan, run, outcome, notice)
    if result["metrics"].get("codes/active_units") == 0:
        notice(_COLLAPSED)
    _write(path / RESULT, json.dumps(result, indent=1, allow_nan=False) + "\n")
    return result


def _result(plan: Plan, run: Run, outcome: Outcome, notice: Callable[[str], object]) -> dict[str, Any]:
    start = time.perf_counter()
    valid = {f"valid/{name}": value for name, value in outcome.metrics.items()}
    metrics = run.evaluate() | valid | run.score(notice)
    return {
        "config": plan.config,
        "size": plan.size,
        "seed": plan.experiment.seed,
        "overrides": list(plan.overrides),
        "fingerprint": fingerprint(plan.experiment),
        "experiment": to_json(plan.experiment),
        **_circumstances(),
        "steps": outcome.steps,
        "best_step": run.step,
        "stopped": outcome.stopped,
        "seconds": outcome.total_seconds,
        "score_seconds": time.perf_counter() - start,
        "time": dict(outcome.time),
        "tokens": outcome.tokens,
        "tokens_per_second": outcome.tokens / max(outcome.total_seconds, 1e-9),
        "parameters": _parameters(run.params),
        "memory": {
            "peak_bytes": outcome.peak_memory_bytes,
            "device_bytes": outcome.device_memory_bytes,
            "step_bytes": outcome.step_bytes,
        },
        "metrics": {
            name: value if isinstance(value, str) or np.isfinite(value) else None
            for name, value in metrics.items()
        },
    }


def _circumstances() -> dict[str, Any]:
    """In which something was measured."""
    commit, clean = commit_of_source()
    return {"commit": commit, "clean": clean, "versions": _versions(), "device": _device()}


def _write_bench(result: Mapping[str, Any], folder: Path | str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    _write(Path(folder) / f"{result['kind']}.json", json.dumps(result, indent=1, allow_nan=False) + "\n")


def _parameters(params: Any) -> dict[str, int]:
    """How many numbers are learned: in all, and beside the tables of words and the read-out onto them."""
    sizes = {name: sum(leaf.size for leaf in jax.tree.leaves(part)) for name, part in params.items()}
    total = sum(sizes.values())
    return {"total": total, "body": total - sum(sizes.get(name, 0) for name in _WORDS)}


def _versions() -> dict[str, str]:
    from odeembed import __version__

    found = {"odeembed": __version__, "python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in _PACKAGES}


def _device() -> dict[str, Any]:
    devices = jax.devices()
    kind = devices[0].device_kind
    return {"platform": devices[0].platform, "kind": kind, "count": len(devices), "cores": os.cpu_count()}


def commit_of_source() -> tuple[str | None, bool | None]:
    """The commit of the checkout this package runs from and whether it is clean; None where it is not a checkout.

    Where the sources were copied, into a container or over another checkout, $ODEEMBED_COMMIT says of which commit they
    are, and whether they are clean is not known. Results that were published from a checkout do not count: they are
    written one after the other, and are no code.
    """
    if told := os.environ.get("ODEEMBED_COMMIT"):
        return told, None
    folder = Path(__file__).parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", folder, *words], capture_output=True, text=True, check=True, timeout=30
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    if (
        git("ls-files", "--error-unmatch", "__init__.py") is None
    ):  # a package installed below some other checkout
        return None, None
    changes = git("-C", str(folder.parent), "status", "--porcelain", "--", ".", *_PUBLISHED)
    return git("rev-parse", "HEAD"), None if changes is None else changes == ""


def _seconds_a_sentence(model: nn.Module, params: Any, batches: Sequence[Batch]) -> float:
    forward = jax.jit(lambda params, batch: model.apply({"params": params}, batch))
    for batch in {batch.mask.shape: batch for batch in batches}.values():
        jax.block_until_ready(forward(params, batch))
    start = time.perf_counter()
    for batch in batches:
        jax.block_until_ready(forward(params, batch))
    sentences = sum(int((np.asarray(batch.index) >= 0).sum()) for batch in batches)
    return (time.perf_counter() - start) / max(sentences, 1)


def _refuse_other(path: Path, plan: Plan) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / EXPERIMENT).exists():
        raise RunError(
            f"{path} exists and is not a run directory. Choose another one with --run, or empty it."
        )
    with Checkpoints(path, write=True) as checkpoints:  # refused while another process trains there
        if not checkpoints.steps() and not checkpoints.damaged:
            return  # nothing was trained that could be lost: a mistake in the config, mended since
    _refuse_different(path, plan)
    if (path / RESULT).exists():
        raise RunError(
            f"{path} already holds this run, finished. See odeembed evaluate {path}, or use another --seed."
        )
    raise RunError(f"{path} already holds this run, unfinished. Continue it with: odeembed resume {path}")


def _refuse_different(path: Path, plan: Plan) -> None:
    changed = differences(read_plan(path, own_classes(plan.experiment)).experiment, plan.experiment)
    if changed:
        shown = "; ".join(changed[:5]) + (f"; and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise RunError(
            f"{path} already holds another experiment ({shown}). Choose a new directory with --run."
        )


def _settled(experiment: Experiment) -> Experiment:
    """The experiment with standard input replaced by a copy that can be opened again."""
    settled = getattr(experiment.data, "settled", None)
    return replace(experiment, data=settled()) if settled else experiment


def _open_data(experiment: Experiment) -> Any:
    """The data, of several processes each its share of the training batches; the first prepares what must be."""

    def opened() -> Any:
        share = {"share": Share(jax.process_index(), jax.process_count())} if cluster.several() else {}
        return experiment.data.open(experiment.seed, progress=_told, **share)

    dataset = cluster.alone(opened, "opening the data")
    return dataset if cluster.first() else opened()


def _told(text: str) -> None:
    if cluster.first():
        print(text, file=sys.stderr, flush=True)


def _has_words(experiment: Experiment) -> bool:
    return hasattr(experiment.data, "vocabulary")


def _specialise(model: nn.Module, vocabulary: Vocabulary | None) -> nn.Module:
    return model.clone(vocab_size=vocabulary.size) if vocabulary and hasattr(model, "vocab_size") else model


def _plan_to_json(plan: Plan) -> dict[str, Any]:
    facts = {"config": plan.config, "size": plan.size, "overrides": list(plan.overrides)}
    return facts | {"experiment": to_json(plan.experiment)}


def _write(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, "utf-8")
    os.replace(part, path)
