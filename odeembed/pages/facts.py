"""What is known of a run without its data and parameters."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from odeembed.errors import ConfigError
from odeembed.experiment import Experiment

# What the numbers mean, for those who meet them first; those that are not here are explained where they are computed.
MEANINGS = {
    "accuracy": "share of the held-out targets whose likeliest candidate is right",
    "cross_entropy": "nats an image",
    "elbo": "lower bound of the log-likelihood, negated, in nats: less is better",
    "error": "share that is told wrongly",
    "exact": "share of the targets that are said without a mistake",
    "kl": "divergence of the codes from the prior, in nats",
    "milliseconds": "of one pass of the model over a sentence, a series, an image or a point",
    "mse": "mean squared error",
    "nats": "minus the log-likelihood of a point, in nats: less is better",
    "nll": "minus the log-likelihood of a held-out token, in nats",
    "perplexity": "exp of nll: among how many equally likely words the model hesitates",
    "reconstruction": "minus the log-likelihood of what was read, in nats",
    "solver/accepted": "steps of the solver",
    "solver/evaluations": "evaluations of the vector field",
    "solver/failed": "share of the solves that failed",
    "solver/rejected": "steps that were tried again, smaller",
    "top10": "share of the held-out targets among the ten likeliest words",
}


class Facts(NamedTuple):
    """A run as its files tell it.

    Attributes:
      name: of its directory.
      config, size, overrides: where its experiment came from.
      experiment: as read from its JSON.
      result: its result.json; None while it is not finished.
      records: the lines of its metrics.jsonl.
    """

    name: str
    config: str
    size: str
    overrides: tuple[str, ...]
    experiment: Experiment
    result: Mapping[str, Any] | None
    records: Sequence[Mapping[str, Any]]

    @property
    def metrics(self) -> dict[str, Any]:
        """What was measured at the end, repetitions on the validation split left out."""
        found = {} if self.result is None else self.result["metrics"]
        return {name: value for name, value in found.items() if not name.startswith("valid/")}

    @property
    def command(self) -> str:
        """The command that trains it again."""
        words = ["odeembed train", f"configs/{self.config}.py", "--size", self.size]
        return " ".join([*words, *self.overrides, "--seed", str(self.experiment.seed)])


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics that have no parts in their names."""
    return {name: value for name, value in metrics.items() if "/" not in name}


def circumstances(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Of a result: where, when and of what it was made."""
    device = result["device"]
    commit = result["commit"] or "not known"
    clean = {True: "", False: ", with changes", None: ""}[result["clean"]]
    yield "device", f"{device['count']} x {device['kind']} ({device['platform']}), {device['cores']} cores"
    yield "wall time", f"{result['seconds']:.0f} s of training, {result['score_seconds']:.0f} s of scores"
    yield "steps", f"{result['steps']:,}, the best after {result['best_step']:,}"
    yield "parameters", f"{result['parameters']['total']:,}"
    yield (
        "memory of a step",
        f"{result['memory']['step_bytes'] / 2**20:.0f} MiB" if result["memory"]["step_bytes"] else None,
    )
    yield "commit", commit + clean
    yield "fingerprint", result["fingerprint"]
    yield "versions", ", ".join(f"{name} {version}" for name, version in result["versions"].items())


def refuse_none(runs: Sequence[Facts]) -> None:
    """Raises ConfigError where there is no run."""
    if not runs:
        raise ConfigError("expected runs to compare; got none. Name at least one run directory.")
