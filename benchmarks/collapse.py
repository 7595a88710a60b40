"""Why a recurrent encoder with a neural ODE as decoder said nothing but the end of the sentence, and what cures it.

    python benchmarks/collapse.py
    python -m odeembed.results

The first writes benchmarks/results/collapse.json, of which the second makes the table `collapse`. The model is that of
mrpositron/gru_node, rebuilt: embeddings of 32, a GRU of 64 whose last state is where dh/dt = W_2 tanh(W_1 h)
starts (8,320 parameters), RK4 with one step from token to token, tokens at linspace(0, 1, n), a linear read-out, Adam
at 1e-3, batches of 32 sentences of one length, dropout of 0.3 before and after (theirs inside the field as well). It
repeats sentences of 5 to 14 words, here those of Yelp, words that occur five times or more. In its training code the
outputs [time, batch, words] and the targets [batch, time] are both flattened as they are, so that nearly every output
is compared with the token of another sentence at another place. Each row changes one thing more than the one before,
but for the last but one, whose state is as narrow as the first.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from recording import RESULTS, circumstances, write_result

from odeembed.batch import Batch
from odeembed.data.sources import TextFiles
from odeembed.data.vocabulary import Words, WordVocabulary
from odeembed.evaluate.held_out import agreement
from odeembed.fields.gru import GRUField
from odeembed.fields.mlp import MLPField
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow, last_states
from odeembed.models.seq2seq import Seq2Seq
from odeembed.objectives.sequence import SequenceNLL
from odeembed.solve.config import SolveConfig
from odeembed.solve.neural_ode import NeuralODE
from odeembed.translate import Translator

FILES = tuple(f"yelp_sentences/sentiment.{part}.{label}.gz" for part in ("dev", "test") for label in (0, 1))
SHORTEST, LONGEST, ROWS, HELD_OUT = 5, 14, 32, 2000
END = 0


@dataclass(frozen=True)
class Rung:
    """One set-up.

    Attributes:
      name: what is changed from the one before.
      shuffled: whether outputs by time are compared with targets by sentence.
      unit: whether the tokens' times are squeezed into [0, 1].
      told: whether the field is told the time and the encoder's state (a GRU-ODE), or is the autonomous MLP.
      hidden: width of the state.
      jump: whether the decoder reads back what it said and jumps at every token.
    """

    name: str
    shuffled: bool = False
    unit: bool = False
    told: bool = True
    hidden: int = 64
    jump: bool = False


RUNGS = (
    Rung("as published", shuffled=True, unit=True, told=False),
    Rung("targets in place", unit=True, told=False),
    Rung("times in tokens", told=False),
    Rung("a field that knows the time and the code"),
    Rung("a state of 256", hidden=256),
    Rung("a state of 64 that jumps at every token", jump=True),
    Rung("a state of 256 that jumps at every token", hidden=256, jump=True),
)


class GruNode(nn.Module):
    """The published model, and with other attributes the next ones: every token is read from one path."""

    vocab_size: int
    rung: Rung

    @nn.compact
    def __call__(self, values: Any, scales: Any = (1.0, 1.0)) -> Any:
        """Logits [b, n, v] of sentences [b, n] with their ends.

        Args:
          scales: what inputs [b, n, 32] and states [b, n, h] are multiplied by (dropout).
        """
        hidden, shape = self.rung.hidden, values.shape
        real = jnp.ones(shape, bool)
        steps = jnp.broadcast_to(jnp.arange(shape[1], dtype=jnp.float32), shape)
        embedded = nn.Embed(self.vocab_size, 32)(values) * scales[0]
        encoder = JumpFlow(hidden, field=None, directions=("forward",))
        code = last_states(encoder(embedded, steps, real, real), encoder.directions, real)
        field = GRUField(waves=6, condition=True) if self.rung.told else MLPField(hidden=(hidden,))
        ts = steps / (shape[1] - 1) if self.rung.unit else steps
        path = NeuralODE(field, SolveConfig(solver="rk4", steps=1))(code, ts, code)
        return nn.Dense(self.vocab_size)(path.ys * scales[1])


class Sentences:
    """Sentences in batches of one length, their ends included, in an order of the seed."""

    def __init__(self, seed: int):
        lines = [line for line in TextFiles(FILES).lines() if SHORTEST <= len(line.split()) <= LONGEST]
        rng = np.random.default_rng(0)
        order = rng.permutation(len(lines))  # what is held out is the same for all
        self.held_out = [lines[number] for number in order[:HELD_OUT]]
        train = [lines[number] for number in order[HELD_OUT:]]
        self.vocabulary = Words(min_count=5).build(train)
        self.rng = np.random.default_rng(seed)
        self.by_length = by_length(train, self.vocabulary)

    def batches(self) -> Iterator[np.ndarray]:
        """Int32 [32, n + 1], without end."""
        while True:
            found = []
            for sentences in self.by_length.values():
                order = self.rng.permutation(len(sentences))
                found += [sentences[order[at : at + ROWS]] for at in range(0, len(order) - ROWS + 1, ROWS)]
            yield from (found[number] for number in self.rng.permutation(len(found)))


def by_length(lines: Sequence[str], vocabulary: WordVocabulary) -> dict[int, np.ndarray]:
    """Token ids with their ends, int32 [count, n + 1] by n."""
    found: dict[int, list[list[int]]] = {}
    for line in lines:
        ids = vocabulary.encode(line)
        found.setdefault(len(ids), []).append([*ids, END])
    return {length: np.array(rows, np.int32) for length, rows in sorted(found.items())}


def trained(rung: Rung, seed: int, steps: int) -> tuple[Any, Any, Sentences, float]:
    """The model, its parameters, the sentences, and the last hundred steps' mean loss in nats a token."""
    sentences = Sentences(seed)
    batches, size = sentences.batches(), sentences.vocabulary.size
    if rung.jump:
        flow = JumpFlow(rung.hidden, GRUField(), SolveConfig(solver="rk4", steps=1), directions=("forward",))
        encoder = JumpFlow(rung.hidden, field=None, directions=("forward",))
        model = Seq2Seq(
            vocab_size=size, embed_dim=32, encoder=encoder, decoder=JumpDecoder(flow), latent=rung.hidden
        )
        objective = SequenceNLL(dropout=0.3)
        params = {"params": objective.init(model, jax.random.key(seed), as_batch(next(batches)))}

        def loss_of(params: Any, values: Any, key: Any) -> Any:
            loss = objective(model, params["params"], as_batch(values), key, 0)["loss"]
            return loss.total / loss.count
    else:
        model = GruNode(size, rung)
        params = model.init(jax.random.key(seed), next(batches))

        def loss_of(params: Any, values: Any, key: Any) -> Any:
            keys = jax.random.split(key)
            scales = [
                jax.random.bernoulli(key, 0.7, (*values.shape, width)) / 0.7
                for key, width in zip(keys, (32, rung.hidden), strict=True)
            ]
            outputs = flattened(model.apply(params, values, scales), rung.shuffled)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(outputs, values.reshape(-1)))

    optimizer = optax.adam(1e-3)

    @jax.jit
    def step(params: Any, state: Any, values: Any, key: Any) -> Any:
        loss, gradient = jax.value_and_grad(loss_of)(params, values, key)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, loss

    state, losses = optimizer.init(params), []
    for number in range(steps):
        key = jax.random.fold_in(jax.random.key(seed), number)
        params, state, loss = step(params, state, next(batches), key)
        losses.append(loss)
    return model, params, sentences, float(np.mean(jax.device_get(losses[-100:])))


def flattened(logits: Any, shuffled: bool) -> Any:
    """Logits [b, n, v] as [b * n, v]: in the order of the flattened targets, or by time first, as was published."""
    ordered = jnp.swapaxes(logits, 0, 1) if shuffled else logits
    return ordered.reshape(-1, logits.shape[-1])


def as_batch(values: Any) -> Batch:
    """Sentences as `Seq2Seq` takes them: without their ends."""
    values = jnp.asarray(values)[:, :-1]
    times = jnp.broadcast_to(jnp.arange(values.shape[1], dtype=jnp.float32), values.shape)
    return Batch(values, times, jnp.ones(values.shape, bool), jnp.arange(values.shape[0], dtype=jnp.int32))


def said(model: Any, params: Any, sentences: Sentences) -> tuple[list[list[int]], list[list[int]]]:
    """What is said of the sentences held out, without what comes after an end, and those sentences."""
    groups = by_length(sentences.held_out, sentences.vocabulary)
    wanted = [row[:-1].tolist() for rows in groups.values() for row in rows]
    if isinstance(model, Seq2Seq):
        return Translator(model, params["params"], sentences.vocabulary, LONGEST).translate(wanted), wanted
    words = jax.jit(lambda params, values: jnp.argmax(model.apply(params, values), axis=-1))
    outputs = [row for rows in groups.values() for row in np.asarray(words(params, rows)).tolist()]
    return [row[: row.index(END)] if END in row else row for row in outputs], wanted


def measure(rung: Rung, seed: int, steps: int) -> dict[str, Any]:
    """Trains one set-up and says how much comes back."""
    model, params, sentences, loss = trained(rung, seed, steps)
    found, wanted = said(model, params, sentences)
    exact, tokens = agreement(found, wanted)
    return {
        **asdict(rung),
        "seed": seed,
        "steps": steps,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "loss": loss,
        "exact": exact,
        "tokens": tokens,
        "empty": float(np.mean([not ids for ids in found])),
        "different": len({tuple(ids) for ids in found}),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description="Find out why sentences collapse to their end.")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows = []
    for rung in RUNGS:
        for seed in range(options.seeds):
            rows.append(measure(rung, seed, options.steps))
            shown = {name: rows[-1][name] for name in ("name", "seed", "loss", "exact", "tokens", "empty")}
            print(", ".join(f"{name} {value}" for name, value in shown.items()), flush=True)
    facts = circumstances("jax", "jaxlib", "numpy", "optax")
    result = {"kind": "collapse", "sentences": HELD_OUT, "rows": rows, **facts}
    print(write_result(options.results / "collapse.json", result))


if __name__ == "__main__":
    main()
