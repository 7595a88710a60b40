"""What a decoder's states are between two tokens: when words hand over, what is read there, how smooth the path is."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from odeembed.errors import ConfigError
from odeembed.evaluate.held_out import held_out_pairs, pair_batches
from odeembed.evaluate.trajectory import legs
from odeembed.models.decoders import JumpDecoder
from odeembed.objectives.tokens import targets_of


class Ways(NamedTuple):
    """The ways to the tokens of some targets and to their ends, the true tokens before each being given.

    Attributes:
      targets: int [b, l], what is read at each way's end, the end of the target being <pad>.
      real: bool [b, l].
      states: float [b, l, f, h], as for `odeembed.evaluate.trajectory.legs`.
      winners: int [b, l, f], the likeliest word.
      margins: float [b, l, f], the logit of the way's own token less the largest of all others.
    """

    targets: Any
    real: Any
    states: Any
    winners: Any
    margins: Any


def ways(run: Any, split: str, sentences: int, fractions: tuple[float, ...]) -> Iterator[Ways]:
    """Follows a `Seq2Seq` along the targets of the first sentences of a split, some at a time.

    Args:
      fractions: as for `odeembed.evaluate.trajectory.legs`.

    Raises:
      ConfigError: the run's model is no `Seq2Seq`.
    """
    translator = run.translator
    follow = _compiled_following(translator.model, fractions)
    sources, targets = (half[:sentences] for half in held_out_pairs(run.dataset, split))
    for batch in pair_batches(sources, targets, translator.vocabulary.pad_id):
        yield jax.device_get(follow(translator.params, batch))


@functools.lru_cache(maxsize=4)
def _compiled_following(model, fractions):
    @jax.jit
    def follow(params, batch):
        batch = jax.tree.map(jnp.asarray, batch)
        apply = lambda method, *args: model.apply({"params": params}, *args, method=method)  # noqa: E731
        heard = apply("encode", batch)
        states = legs(model, params, heard, batch.target, fractions).states
        targets, real = targets_of(batch.target)

        def at_fraction(states):
            logits = apply("logits", apply("read", states, heard))
            own = jnp.take_along_axis(logits, targets[..., None], axis=-1)
            others = jnp.where(jnp.arange(logits.shape[-1]) == targets[..., None], -jnp.inf, logits)
            return jnp.argmax(logits, axis=-1), own[..., 0] - others.max(axis=-1)

        # One fraction at a time: the logits of all would take the most memory by far.
        winners, margins = jax.lax.map(at_fraction, jnp.moveaxis(states, 2, 0))
        real = real & (batch.index >= 0)[:, None]
        return Ways(targets, real, states, jnp.moveaxis(winners, 0, 2), jnp.moveaxis(margins, 0, 2))

    return follow


@dataclass(frozen=True)
class BetweenTokens:
    """When words hand over, what is read at times never trained on, and how smooth the path is.

    All of it along the true targets of the test split. Steps of a solver are taken between neighbouring times, so that
    those of a fixed grid are `points` times finer here than in training.

    Attributes:
      sentences: how many of the split, the first of its text.
      points: times a token, a multiple of 4.

    Raises:
      ConfigError: points that are no multiple of 4, or no sentence.
    """

    sentences: int = 300
    points: int = 20

    def __post_init__(self):
        if self.points < 4 or self.points % 4:
            raise ConfigError(f"points must be a multiple of 4, for the quarters; got {self.points}. Use 20.")
        if self.sentences < 1:
            raise ConfigError(f"sentences must be at least 1; got {self.sentences}. Use some hundreds.")

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns, all as between/...:

        accuracy-0.75, -0.5, -0.25 and +0: how often a token, or the end, is read so long before its own time; -1: right
        after the jump at the token before; and of decoders that are not given the tokens +0.25: after it, ends left
        out. What the finer steps alone change is in +0 beside the accuracy that the run's objective measures.
        handover/mean, /std: when between two different tokens that both win at their own times the second begins to
        win for good, 0 being the time of the first (its jump decides) and 1 that of the second; handover/direct: where
        no third word wins between them; handover/counted: the share of neighbours that are two such tokens. The end is
        a token.
        length: of the path from token time to token time, jumps included, over that of straight lines between the
        states at token times; jumps: their share of the path's length; flow_length: the same without the jumps, from
        just after one to just before the next, NaN where nothing flows.
        bending: the mean square of the second differences of the states, `points` a token, summed over the state's
        entries; bending_linear: that of straight lines between this model's states at token times.

        Args:
          run: of a `Seq2Seq`.
        """
        fractions = tuple(np.linspace(0, 1, self.points + 1).tolist())
        quarter = self.points // 4
        decoder = run.translator.model.decoder
        read: dict[str, list[Any]] = {}
        moments, direct, counted, lengths, bends = [], [], [], [], []
        for found in ways(run, "test", self.sentences, fractions):
            for number in range(5):
                right = found.winners[:, :, number * quarter] == found.targets
                read.setdefault(f"accuracy{number / 4 - 1:+g}", []).append(right[found.real])
            if not (isinstance(decoder, JumpDecoder) and decoder.tokens):
                right = found.winners[:, 1:, quarter] == found.targets[:, :-1]
                read.setdefault("accuracy+0.25", []).append(right[found.real[:, 1:]])
            between = found.real[:, 1:]
            apart = between & (found.targets[:, 1:] != found.targets[:, :-1])
            apart &= (found.margins[:, 1:, -1] > 0) & (found.margins[:, :-1, -1] > 0)
            counted.append(apart[between])
            moments.append(handover(found.margins[:, 1:][apart], np.array(fractions)))
            pair = (found.targets[:, :-1, None], found.targets[:, 1:, None])
            two = (found.winners[:, 1:] == pair[0]) | (found.winners[:, 1:] == pair[1])
            direct.append(two.all(axis=2)[apart])
            lengths.append(path_lengths(found.states, found.real))
            bends.append(bending(found.states, found.real))
        flown, straight_flown, jumped, straight = np.sum(lengths, axis=0)
        bent, bent_linear, triples = np.sum(bends, axis=0)
        at = np.concatenate(moments)
        shares = read | {"handover/direct": direct, "handover/counted": counted}
        return {f"between/{name}": _mean(np.concatenate(parts)) for name, parts in shares.items()} | {
            "between/handover/mean": _mean(at),
            "between/handover/std": float(at.std()) if at.size else float("nan"),
            "between/length": _ratio(flown + jumped, straight),
            "between/jumps": _ratio(jumped, flown + jumped),
            "between/flow_length": _ratio(flown, straight_flown),
            "between/bending": _ratio(bent, triples),
            "between/bending_linear": _ratio(bent_linear, triples),
        }


def handover(
    margins: Float[np.ndarray, "m f"], fractions: Float[np.ndarray, " f"]
) -> Float[np.ndarray, " m"]:
    """From which fraction of each way on its token wins until its end, in a line between two fractions; 0: throughout.

    Args:
      margins: by how much it wins, above 0 at the end.
    """
    loses = margins <= 0
    last = len(fractions) - 1 - np.argmax(loses[:, ::-1], axis=1)
    last = np.where(loses.any(axis=1), last, 0)
    rows = np.arange(len(margins))
    before, after = margins[rows, last], margins[rows, np.minimum(last + 1, len(fractions) - 1)]
    share = -before / np.where(loses.any(axis=1), after - before, 1.0)
    step = np.diff(fractions, append=fractions[-1])[last]
    return np.where(loses.any(axis=1), fractions[last] + share * step, 0.0)


def path_lengths(
    states: Float[np.ndarray, "b l f h"], real: Bool[np.ndarray, "b l"]
) -> Float[np.ndarray, "4"]:
    """Sums over the ways from the first token on: flown, and straight so; jumped; straight from token to token."""
    length = lambda way: np.linalg.norm(way.astype(np.float64), axis=-1)  # noqa: E731
    between = real[:, 1:]
    flow = states[:, 1:]
    return np.array(
        [
            length(np.diff(flow, axis=2)).sum(axis=2)[between].sum(),
            length(flow[:, :, -1] - flow[:, :, 0])[between].sum(),
            length(flow[:, :, 0] - states[:, :-1, -1])[between].sum(),
            length(flow[:, :, -1] - states[:, :-1, -1])[between].sum(),
        ]
    )


def bending(states: Float[np.ndarray, "b l f h"], real: Bool[np.ndarray, "b l"]) -> Float[np.ndarray, "3"]:
    """Sums of squared second differences from the first token on, of the path and of straight lines; and their number.

    The state at a token's time is that before its jump.
    """
    sums = np.zeros(3)
    share = np.linspace(0, 1, states.shape[2])[1:, None]
    for row, ends in zip(states.astype(np.float64), real.sum(axis=1), strict=True):
        if ends < 2:
            continue
        at_tokens = row[:ends, -1]
        path = np.concatenate([at_tokens[:1], row[1:ends, 1:].reshape(-1, row.shape[-1])])
        lines = at_tokens[:-1, None] + share * np.diff(at_tokens, axis=0)[:, None]
        lines = np.concatenate([at_tokens[:1], lines.reshape(-1, row.shape[-1])])
        squares = [np.sum(np.diff(line, n=2, axis=0) ** 2) for line in (path, lines)]
        sums += [*squares, len(path) - 2]
    return sums


@dataclass(frozen=True)
class Probes:
    """How well the tokens on either side can be read from a state between them by a linear map.

    At fractions of the way between two tokens of a true target, a linear map is fitted on the valid split by ridge
    least squares onto one column for each of the most frequent words, 1 for that word and 0 for others; its largest
    output is its answer. Measured on the test split. Fit and measurement leave out states whose token is a rarer word,
    and all that is before the first token or after the last.

    Attributes:
      sentences: how many of either split, the first of its text.
      fractions: of the way; 0 is just after the jump at the current token, 1 just before that at the next.
      words: how many of the most frequent words of the valid split's targets.
      ridge: added to the covariance of the standardised states' entries.

    Raises:
      ConfigError: a fraction outside [0, 1], or another setting that is not above 0.

    References:
      Alain and Bengio 2016, Understanding intermediate layers using linear classifier probes, section 3.
    """

    sentences: int = 1000
    fractions: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    words: int = 500
    ridge: float = 1e-2

    def __post_init__(self):
        if not self.fractions or not all(0 <= fraction <= 1 for fraction in self.fractions):
            raise ConfigError(f"fractions of the way lie between 0 and 1; got {self.fractions}.")
        if min(self.sentences, self.words, self.ridge) <= 0:
            raise ConfigError(
                f"sentences, words and ridge must be above 0; got {self.sentences}, {self.words} and {self.ridge}."
            )

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns probes/current/<fraction> and probes/next/<fraction>, shares of the tokens that are told right.

        Beside them probes/<which>/frequent, what the most frequent word of the fit would get; probes/<which>/shuffled,
        what the same fits get when tokens are dealt to the states at random, a mean over the fractions; and
        probes/covered, the share of the test split's tokens that are among the words.

        Args:
          run: of a `Seq2Seq`.
        """
        fit, test = (self._pairs(run, split) for split in ("valid", "test"))
        counts = np.bincount(np.concatenate([fit[1]["current"], fit[1]["next"]]))
        known = np.argsort(-counts, kind="stable")[: min(self.words, np.count_nonzero(counts))]
        rng, found = np.random.default_rng(run.experiment.seed), {}
        for which in ("current", "next"):
            control = []
            labels, wanted = fit[1][which], test[1][which]
            here, there = np.isin(labels, known), np.isin(wanted, known)
            for number, fraction in enumerate(self.fractions):
                states = fit[0][here, number], test[0][there, number]
                told = probe(states[0], labels[here], states[1], self.ridge)
                found[f"probes/{which}/{fraction:g}"] = _mean(told == wanted[there])
                told = probe(states[0], rng.permutation(labels[here]), states[1], self.ridge)
                control.append(told == wanted[there])
            found[f"probes/{which}/shuffled"] = _mean(np.concatenate(control))
            frequent = np.bincount(labels[here]).argmax()
            found[f"probes/{which}/frequent"] = _mean(wanted[there] == frequent)
        found["probes/covered"] = _mean(np.isin(np.concatenate([*test[1].values()]), known))
        return found

    def _pairs(self, run, split):
        """States [n, f, h] between two tokens, and these, int [n] each."""
        read = tuple(sorted({0.0, 1.0, *self.fractions}))
        places = [read.index(fraction) for fraction in self.fractions]
        states, current, after = [], [], []
        for found in ways(run, split, self.sentences, read):
            # From the second way on, without that to the end.
            between = found.real[:, 1:] & np.pad(found.real[:, 2:], ((0, 0), (0, 1)))
            states.append(found.states[:, 1:, places][between])
            current.append(found.targets[:, :-1][between])
            after.append(found.targets[:, 1:][between])
        return np.concatenate(states), {"current": np.concatenate(current), "next": np.concatenate(after)}


def probe(
    states: Float[np.ndarray, "n h"],
    labels: Int[np.ndarray, " n"],
    others: Float[np.ndarray, "m h"],
    ridge: float,
) -> Int[np.ndarray, " m"]:
    """The labels that ridge least squares on one column a label gives to other states.

    References:
      Hastie, Tibshirani and Friedman 2009, The Elements of Statistical Learning, section 4.2, and eq. (3.44).
    """
    classes, columns = np.unique(labels, return_inverse=True)
    mean, std = states.mean(axis=0, dtype=np.float64), states.std(axis=0, dtype=np.float64)
    x, new = ((some - mean) / np.maximum(std, 1e-9) for some in (states, others))
    wanted = np.eye(len(classes))[columns]
    share = wanted.mean(axis=0)
    covariance = x.T @ x / len(x) + ridge * np.eye(x.shape[1])
    weights = np.linalg.solve(covariance, x.T @ (wanted - share) / len(x))
    return classes[np.argmax(new @ weights + share, axis=1)]


def _mean(values):
    return float(np.mean(values)) if len(values) else float("nan")


def _ratio(a, b):
    return float(a / b) if b else float("nan")
