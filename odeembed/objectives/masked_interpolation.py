"""Masked interpolation: tokens are hidden, and predicted from the states at their times."""

import dataclasses
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.mean import Mean
from odeembed.objectives.rows import derived, row_keys, solver_means, weighted_mean
from odeembed.objectives.tokens import sampled_nll, token_nll

_NOISE, _JITTER = 2, 3  # what a sentence's key is folded with; masking takes 0 and 1


@dataclasses.dataclass(frozen=True)
class Masking:
    """Which tokens of a sentence are hidden: runs of neighbouring tokens, up to a share of the sentence.

    A sentence is cut at random into runs; runs are hidden in random order while their tokens fit into
    round(rate * tokens), at least one token.

    Attributes:
      rate: share of the tokens that is hidden, between 0 and 1.
      span: mean length of a run in words; 1 hides single words.
      longest: longest run in words.
      law: "geometric" lengths as in SpanBERT, or "uniform" on 1..longest.
      whole_words: whether the pieces of a word are hidden together.

    References:
      Devlin et al. 2019, section 3.1; Joshi et al. 2020 (SpanBERT), section 3.1.
    """

    rate: float = 0.2
    span: float = 1.0
    longest: int = 8
    law: Literal["geometric", "uniform"] = "geometric"
    whole_words: bool = True

    def __post_init__(self):
        if not 0 < self.rate < 1:
            raise ConfigError(f"the masking rate must lie between 0 and 1; got {self.rate}. BERT's is 0.15.")
        if self.span < 1 or self.longest < 1:
            raise ConfigError(f"span and longest count words, from 1; got {self.span} and {self.longest}.")

    def most(self, length: int) -> int:
        """The largest number of hidden tokens in a sentence of at most `length` tokens."""
        return max(1, round(self.rate * length))

    def hidden(
        self, key: PRNGKeyArray, mask: Bool[Array, " l"], groups: Int[Array, " l"] | None
    ) -> Bool[Array, " l"]:
        """True where a token of one sentence is hidden; at most `most(l)` places."""
        length = mask.shape[0]
        position = jnp.arange(length)
        begins = jnp.ones(length, bool)
        if groups is not None and self.whole_words:
            begins = jnp.concatenate([jnp.ones(1, bool), groups[1:] != groups[:-1]])
        run = self._runs(key, jnp.cumsum(begins) - 1)
        score = jax.random.uniform(jax.random.fold_in(key, 1), (length,))[run]
        score = jnp.where(mask, score, 2.0)
        order = jnp.lexsort((position, run, score))
        rank = jnp.zeros(length, jnp.int32).at[order].set(position.astype(jnp.int32))
        last_of_run = jax.ops.segment_max(jnp.where(mask, rank, -1), run, num_segments=length)[run]
        budget = jnp.maximum(1, jnp.round(self.rate * mask.sum())).astype(jnp.int32)
        fits = last_of_run < budget
        # A first run longer than the budget would leave nothing hidden: then its head is.
        return mask & jnp.where(jnp.any(fits & mask), fits, rank < budget)

    def _runs(self, key, word):
        """The number of the run each token is in, given the number of the word it is in."""
        count = word.shape[0]
        if self.law == "uniform":
            lengths = jax.random.randint(jax.random.fold_in(key, 0), (count,), 1, self.longest + 1)
            return jnp.searchsorted(jnp.cumsum(lengths), word, side="right")
        if self.span <= 1:
            return word
        # Lengths 1 + Geometric, cut at `longest`.
        u = jax.random.uniform(jax.random.fold_in(key, 0), (count,), minval=1e-6)
        lengths = 1 + jnp.floor(jnp.log(u) / math.log(1 - 1 / self.span)).astype(jnp.int32)
        return jnp.searchsorted(jnp.cumsum(jnp.minimum(lengths, self.longest)), word, side="right")


@dataclasses.dataclass(frozen=True)
class MaskedInterpolation:
    """Cross-entropy of tokens given the visible ones, in nats a token.

    Attributes:
      masking: what is hidden while training.
      held_out: what is hidden when the model is measured; runs of 1 to 8 tokens by default, the same for every model.
      targets: "hidden" tokens alone, or "all": visible ones too, for a body whose state at a token does not contain it.
      negatives: number of words drawn for a sampled softmax while training, shared by the batch; 0 for the full one.
      gaps: perplexity and accuracy are measured for gaps of 1..gaps tokens.
      shifts: accuracy is also measured when a hidden token is read this far from its time, in tokens.
      jitter: while training, every token's time is moved by a uniform random number in (-jitter, jitter), in tokens;
        below 0.5, so that their order stays.

    Raises:
      ConfigError: a jitter outside its range.

    References:
      Devlin et al. 2019, section 3.1, for the task; Jean et al. 2015, eq. (10), for the sampled softmax; Ghosh et al.
      2020, STEER, for random times, which here are the ends of all intervals and not of one.
    """

    masking: Masking = Masking()
    held_out: Masking = Masking(law="uniform")
    targets: Literal["hidden", "all"] = "hidden"
    negatives: int = 0
    gaps: int = 8
    shifts: tuple[float, ...] = ()
    jitter: float = 0.0

    def __post_init__(self):
        if not 0 <= self.jitter < 0.5:
            raise ConfigError(
                f"jitter must be at least 0 and below 0.5, so that tokens keep their order; got {self.jitter}."
            )

    def init(self, model: Any, key: PRNGKeyArray, batch: Batch) -> Any:
        """Parameters of the model, from the shapes of a batch.

        Raises:
          ConfigError: visible tokens are targets, but the body's states contain them.
        """
        if self.targets == "all" and not model.body.excludes_own_token:
            raise ConfigError(
                f'targets = "all" needs states that do not contain their own token; {type(model.body).__name__} has '
                'others. Use targets = "hidden", or the body Jump.'
            )
        return jax.jit(model.init)(key, batch)["params"]

    def __call__(
        self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray, step: Any
    ) -> dict[str, Mean]:
        """Training loss, and how the solver fared; the softmax is sampled when `negatives` says so.

        A penalty on the paths is part of the loss: to the nll of each token is added what its sentence's paths cost a
        token, and "penalty" is the mean of that.
        """
        key = jax.random.fold_in(key, step)
        visible = batch.mask & ~_hide(self.masking, key, batch)
        keys = row_keys(key, batch)
        if self.jitter:
            batch = batch._replace(times=batch.times + self._shifts(keys, batch.times))
        out = model.apply({"params": params}, batch, visible, keys=derived(keys, _NOISE))
        if self.targets == "all":
            states, targets, weight = out.states, batch.values, batch.mask
        else:
            states, targets, weight = _gather_hidden(self.masking, out.states, batch, visible)
        weight = weight & (batch.index >= 0)[:, None]
        if self.negatives:
            key = jax.random.fold_in(key, 2**31 - 1)
            nll = sampled_nll(model, params, states, targets, self.negatives, key)
        else:
            nll = token_nll(model, params, states, targets)[0]
        loss, solver = weighted_mean(nll, weight), solver_means(out, batch)
        if out.penalty is None:
            return {"loss": loss, **solver}
        penalty = weighted_mean(jnp.broadcast_to(out.penalty[:, None], weight.shape), weight)
        return {"loss": Mean(loss.total + penalty.total, loss.count), "penalty": penalty, **solver}

    def evaluate(self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray) -> dict[str, Mean]:
        """Held-out nll, accuracy and top-10 accuracy of the hidden tokens, overall and by length of their gap."""
        visible = batch.mask & ~_hide(self.held_out, key, batch)
        out = model.apply({"params": params}, batch, visible)
        gap = _gap_lengths(batch.mask & ~visible)
        states, targets, weight = _gather_hidden(self.held_out, out.states, batch, visible)
        gap = _gather_hidden(self.held_out, gap[..., None], batch, visible)[0][..., 0]
        weight = weight & (batch.index >= 0)[:, None]
        nll, above = token_nll(model, params, states, targets)
        means = {
            "nll": weighted_mean(nll, weight),
            "accuracy": weighted_mean(above < 1, weight),
            "top10": weighted_mean(above < 10, weight),
            **solver_means(out, batch),
        }
        for g in range(1, self.gaps + 1):
            means[f"nll/gap{g}"] = weighted_mean(nll, weight & (gap == g))
            means[f"accuracy/gap{g}"] = weighted_mean(above < 1, weight & (gap == g))
        return means | self._accuracy_off_time(model, params, batch, visible)

    def _shifts(self, keys, times):
        """By how much each token's time is moved, by its sentence's noise alone."""
        draw = lambda key: jax.random.uniform(key, times.shape[1:], times.dtype, -self.jitter, self.jitter)  # noqa: E731
        return jax.vmap(draw)(derived(keys, _JITTER))

    def _accuracy_off_time(self, model, params, batch, visible):
        """Accuracy of the hidden tokens read at their times plus each shift, all from one solve."""
        if not self.shifts:
            return {}
        times, targets, weight = _gather_hidden(self.held_out, batch.times[..., None], batch, visible)
        weight = weight & (batch.index >= 0)[:, None]
        query = jnp.concatenate([times[..., 0] + shift for shift in self.shifts], axis=1)
        states = model.apply({"params": params}, batch, visible, query).states
        means = {}
        for shift, read in zip(self.shifts, jnp.split(states, len(self.shifts), axis=1), strict=True):
            best = jnp.argmax(model.apply({"params": params}, read, method="logits"), axis=-1)
            means[f"accuracy/shift{shift:+g}"] = weighted_mean(best == targets, weight)
        return means


def _hide(masking, key, batch):
    return jax.vmap(masking.hidden, in_axes=(0, 0, None if batch.groups is None else 0))(
        row_keys(key, batch), batch.mask, batch.groups
    )


def _gather_hidden(masking, values, batch, visible):
    """`values` [b, l, ...], targets and weights at the hidden places, packed into the few places there can be."""
    hidden = batch.mask & ~visible
    most = masking.most(hidden.shape[1])
    place = jnp.argsort(~hidden, axis=1, stable=True)[:, :most]
    return (
        jnp.take_along_axis(values, place[..., None], axis=1),
        jnp.take_along_axis(batch.values, place, axis=1),
        jnp.take_along_axis(hidden, place, axis=1),
    )


def _gap_lengths(hidden: Bool[Array, "b l"]) -> Int[Array, "b l"]:
    """At each hidden place the number of neighbouring hidden places in its run, itself included; elsewhere 0."""
    edge = jnp.pad(hidden, ((0, 0), (1, 0)))[:, :-1] != hidden
    run = jnp.cumsum(edge, axis=1)
    length = jax.vmap(
        lambda h, r: jax.ops.segment_sum(h.astype(jnp.int32), r, num_segments=h.shape[0] + 1)[r]
    )
    return jnp.where(hidden, length(hidden, run), 0)
