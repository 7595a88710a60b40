"""Decoders: what reads tokens off hidden states, and the flows whose states are read."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.fields.gru import GRUField
from odeembed.fields.waves import waves
from odeembed.models.encoders import JumpFlow
from odeembed.precision import einsum, operands
from odeembed.solve.config import SolveConfig
from odeembed.solve.neural_ode import NeuralODE


class ReadOut(nn.Module):
    """Maps a hidden state into the space of the embeddings, where its product with a word's vector is a logit.

    Attributes:
      features: width e of the embeddings.
      normalise: whether the read-out is normalised (layer norm), which fixes the scale of the logits.
    """

    features: int = 128
    normalise: bool = True

    @nn.compact
    def __call__(self, states: Float[Array, "*b h"]) -> Float[Array, "*b e"]:
        """Read-outs of states of any leading shape."""
        x = nn.gelu(nn.Dense(self.features, name="dense")(states))
        return nn.LayerNorm(name="norm")(x) if self.normalise else x


class WordModel(nn.Module):
    """What every model of words has: their vectors, and logits of words from states that are read out onto them.

    Attributes:
      vocab_size: v; set from the data when a run starts.
      embed_dim: e, width of the word vectors.
      embed_std: standard deviation of the word vectors at the start. Small, so that what a rare word learns in its few
        updates is not drowned by where it started.
      tied: whether the output layer is the embedding itself (Press and Wolf 2017) or a table of its own.
    """

    vocab_size: int = 0
    embed_dim: int = 128
    embed_std: float = 0.01
    tied: bool = True

    def setup(self):
        """Tables and bias of the vocabulary, and the read-out."""
        init = nn.initializers.normal(self.embed_std)
        self.embedding = nn.Embed(self.vocab_size, self.embed_dim, embedding_init=init)
        if not self.tied:
            self.output = nn.Embed(self.vocab_size, self.embed_dim, embedding_init=init)
        self.bias = self.param("bias", nn.initializers.zeros, (self.vocab_size,))
        self.read_out = ReadOut(self.embed_dim)

    def embed(self, values: Int[Array, "*b"]) -> Float[Array, "*b e"]:
        """The words' vectors, scaled so that their size does not depend on e."""
        return self.embedding(values) * self.embed_dim**0.5

    def logits(self, states: Float[Array, "*b e"]) -> Float[Array, "*b v"]:
        """Unnormalised log-probability of each word, from read-outs."""
        return einsum("...e,ev->...v", states, self._output_table().T) + self.bias

    def logits_of(self, states: Float[Array, "*b e"], ids: Int[Array, "k"]) -> Float[Array, "*b k"]:
        """The logits of the words `ids` alone."""
        return einsum("...e,ek->...k", states, self._output_table()[ids].T) + self.bias[ids]

    def logit_of_each(self, states: Float[Array, "*b e"], ids: Int[Array, "*b"]) -> Float[Array, "*b"]:
        """One logit for each state, of its own word."""
        states, vectors = operands(states, self._output_table()[ids])
        return jnp.sum(states * vectors, axis=-1) + self.bias[ids]

    def touch_tables(self) -> None:
        """Makes the tables' parameters exist, at initialisation."""
        if self.is_initializing():
            self._output_table()

    def _output_table(self):
        return (self.embedding if self.tied else self.output).embedding


class Decoded(NamedTuple):
    """States that the tokens of a sentence and its end are read from.

    Attributes:
      states: float [b, l + 1, h]; number i is read for token i, and the one after the last token for the end.
      stats: solver counts a row; empty for a discrete model.
      failed: bool [b].
      penalty: float [b], of the paths; None without one.
    """

    states: Any
    stats: dict[str, Any]
    failed: Any
    penalty: Any = None


class _FromCode(nn.Module):
    """A decoder whose state starts at the code, one token before the first."""

    def setup(self):
        """The map from a code to a state."""
        self.first = nn.Dense(self.width)

    @property
    def width(self) -> int:
        """h, of the state."""
        raise NotImplementedError

    def start(self, z: Float[Array, "b d"]) -> Float[Array, "b h"]:
        """The state one token before the first."""
        return jnp.tanh(self.first(z))

    def __call__(
        self,
        z: Float[Array, "b d"],
        embedded: Float[Array, "b l e"],
        times: Float[Array, "b l"],
        mask: Bool[Array, "b l"],
    ) -> Decoded:
        """The states for every token and for the end, given the inputs `embedded`, zeros for a token not to be seen."""
        ts = jnp.concatenate([times[:, :1] - 1.0, times, times[:, -1:] + 1.0], axis=1)
        # A sentence ends one token after its own last, whatever it is padded to.
        real = jnp.pad(mask, ((0, 0), (2, 0)), constant_values=True)
        out = self.along(
            z, jnp.pad(embedded, ((0, 0), (1, 1), (0, 0))), ts, jnp.pad(mask, ((0, 0), (1, 1))), real
        )
        return out._replace(states=out.states[:, 1:])

    def along(
        self,
        z: Float[Array, "b d"],
        embedded: Float[Array, "b n e"],
        ts: Float[Array, "b n"],
        tokens: Bool[Array, "b n"],
        real: Bool[Array, "b n"],
    ) -> Decoded:
        """The states at any times, the first of which is one token before the first token.

        Args:
          embedded: the tokens' vectors, where they stand.
          tokens: at which of the times a token stands; its state is that before it is known.
          real: which of the times are real.
        """
        raise NotImplementedError


class JumpDecoder(_FromCode):
    """Autoregressive: the state flows from token to token and jumps at each; a token is read just before its own jump.

    The code is where the state starts, one token before the first, and part of every input. With `flow.field=None` this
    is a GRU, the discrete twin. With `tokens=False` nothing is read back: the state jumps by the code alone, which with
    `flow.field=None` is the discrete twin of `FlowDecoder`.

    Attributes:
      flow: the flow and its jumps, in the forward direction alone.
      tokens: whether the tokens are inputs.
      waves: periods 2, 4, ..., 2^waves of which sine and cosine of the time are inputs too; 0: none.

    Raises:
      ConfigError: a flow that goes backward too, and so knows what comes.

    References:
      Rubanova et al. 2019, algorithm 1, for the flow; Bowman et al. 2016, section 3, for the code at the start.
    """

    flow: JumpFlow = JumpFlow(hidden=256, directions=("forward",))
    tokens: bool = True
    waves: int = 0

    def setup(self):
        """Checks the flow."""
        super().setup()
        if self.flow.directions != ("forward",):
            raise ConfigError(
                f"a decoder's flow goes forward alone; got directions {self.flow.directions}. Set --model.decoder.flow."
                "directions forward."
            )

    @property
    def width(self) -> int:
        """h, that of the flow."""
        return self.flow.hidden

    def along(
        self,
        z: Float[Array, "b d"],
        embedded: Float[Array, "b n e"],
        ts: Float[Array, "b n"],
        tokens: Bool[Array, "b n"],
        real: Bool[Array, "b n"],
    ) -> Decoded:
        """The states at any times, at a token's that before its jump; without inputs it jumps at the start too."""
        inputs = self._inputs(embedded, jnp.broadcast_to(z[:, None], (*ts.shape, z.shape[-1])), ts)
        jumps = tokens if self.tokens else tokens.at[:, 0].set(True)
        flow = self.flow(inputs, ts, jumps, real, start=self.start(z))
        return Decoded(flow.before[0], flow.stats, flow.failed, flow.penalty)

    def advance(
        self,
        h: Float[Array, "b h"],
        z: Float[Array, "b d"],
        embedded: Float[Array, "b e"],
        t: Float[Array, " b"],
    ) -> Float[Array, "b h"]:
        """The state before the token at t + 1, from that before the token at t; at t = -1 there is no token."""
        return self._leg(h, self._inputs(embedded, z, t), (t >= 0) | (not self.tokens), t, t + 1)

    def drift(
        self,
        h: Float[Array, "b h"],
        z: Float[Array, "b d"],
        blank: Float[Array, "b e"],
        t0: Float[Array, " b"],
        t1: Float[Array, " b"],
    ) -> Float[Array, "b h"]:
        """The state before the jump at t1, from that at t0, where it does not jump.

        Args:
          blank: in the place of a token's vector; its values do not matter.
        """
        return self._leg(h, self._inputs(blank, z, t0), jnp.zeros(t0.shape, bool), t0, t1)

    def _leg(self, h, inputs, jumps, t0, t1):
        jumps = jnp.stack([jumps, jnp.zeros_like(jumps)], axis=1)
        inputs = jnp.broadcast_to(inputs[:, None], (t0.shape[0], 2, inputs.shape[-1]))
        ts = jnp.stack([t0, t1], axis=1)
        return self.flow(inputs, ts, jumps, jnp.ones_like(jumps), start=h).before[0][:, 1]

    def _inputs(self, embedded, z, t):
        parts = [embedded, z] if self.tokens else [z]
        return jnp.concatenate([*parts, waves(t[..., None], self.waves)] if self.waves else parts, axis=-1)


class FlowDecoder(_FromCode):
    """Inputless: the state starts at the code and flows; every token is read from the path at its own time.

    Attributes:
      hidden: width of the state.
      field: vector field of the path; its context is the code.
      config: how the path is solved.

    References:
      Bowman et al. 2016, section 5, for the decoder without inputs; Chen et al. 2018, section 5, for the path.
    """

    hidden: int = 256
    field: nn.Module = GRUField(waves=6, condition=True)
    config: SolveConfig = SolveConfig()

    def setup(self):
        """The path."""
        super().setup()
        self.ode = NeuralODE(self.field, self.config)

    @property
    def width(self) -> int:
        """h."""
        return self.hidden

    def along(
        self,
        z: Float[Array, "b d"],
        embedded: Float[Array, "b n e"],
        ts: Float[Array, "b n"],
        tokens: Bool[Array, "b n"],
        real: Bool[Array, "b n"],
    ) -> Decoded:
        """The states at any times; neither `embedded` nor `tokens` is looked at."""
        path = self.ode(self.start(z), ts, z, mask=real)
        return Decoded(path.ys, path.stats, path.failed, path.penalty)

    def advance(
        self,
        h: Float[Array, "b h"],
        z: Float[Array, "b d"],
        embedded: Float[Array, "b e"],
        t: Float[Array, " b"],
    ) -> Float[Array, "b h"]:
        """The state at t + 1 from that at t."""
        return self.drift(h, z, embedded, t, t + 1)

    def drift(
        self,
        h: Float[Array, "b h"],
        z: Float[Array, "b d"],
        blank: Float[Array, "b e"],
        t0: Float[Array, " b"],
        t1: Float[Array, " b"],
    ) -> Float[Array, "b h"]:
        """The state at t1 from that at t0; `blank` is not looked at."""
        return self.ode(h, jnp.stack([t0, t1], axis=1), z).ys[:, 1]


class Speaker(WordModel):
    """A model that says sentences: what a decoder does with what there is to say, the context.

    A context is a code, float [b, d], or whatever else a subclass knows to take a code out of. The word <pad> stands
    for the end of a sentence.

    Attributes:
      decoder: autoregressive (`JumpDecoder`) or inputless (`FlowDecoder`), or a twin of either.
    """

    decoder: JumpDecoder | FlowDecoder = JumpDecoder()

    def code_in(self, context: Any) -> Float[Array, "b d"]:
        """The code of a context."""
        return context

    def decode(
        self,
        context: Any,
        batch: Batch,
        seen: Bool[Array, "b l"] | None = None,
        scale: Float[Array, "b l e"] | None = None,
    ) -> Decoded:
        """States for the tokens of `batch` and their ends, the tokens before each being known.

        Args:
          seen: the tokens that the decoder is shown, the others being zeros (word dropout); None: all.
          scale: multiplies the inputs (dropout).
        """
        embedded = self.embed(batch.values)
        if seen is not None:
            embedded = jnp.where(seen[..., None], embedded, 0.0)
        embedded = embedded if scale is None else embedded * scale
        return self.decoder(self.code_in(context), embedded, batch.times, batch.mask)

    def along(
        self,
        context: Any,
        values: Int[Array, "b n"],
        ts: Float[Array, "b n"],
        tokens: Bool[Array, "b n"],
        real: Bool[Array, "b n"],
    ) -> Decoded:
        """States at any times, between the tokens too; see the decoder's `along`."""
        embedded = jnp.where(tokens[..., None], self.embed(values), 0.0)
        return self.decoder.along(self.code_in(context), embedded, ts, tokens, real)

    def read(self, states: Float[Array, "*b h"], context: Any = None) -> Float[Array, "*b e"]:
        """Read-outs of the decoder's states, for `logits`."""
        return self.read_out(states)

    def start(self, context: Any) -> Float[Array, "b h"]:
        """The state at the first token, for decoding token by token."""
        z = self.code_in(context)
        blank = self._blank(z.shape[0])
        return self.decoder.advance(self.decoder.start(z), z, blank, jnp.full(z.shape[:1], -1.0))

    def advance(
        self, h: Float[Array, "b h"], context: Any, tokens: Int[Array, " b"], t: Float[Array, " b"]
    ) -> Float[Array, "b h"]:
        """The state at t + 1 from that at t, whose token is known."""
        return self.decoder.advance(h, self.code_in(context), self.embed(tokens), t)

    def drift(
        self, h: Float[Array, "b h"], context: Any, t0: Float[Array, " b"], t1: Float[Array, " b"]
    ) -> Float[Array, "b h"]:
        """The state at t1, before its token, from that at t0 without a token between: it flows and does not jump."""
        return self.decoder.drift(h, self.code_in(context), self._blank(h.shape[0]), t0, t1)

    def next_logits(self, h: Float[Array, "b *n h"], context: Any = None) -> Float[Array, "b *n v"]:
        """Logits of the token read from a state."""
        return self.logits(self.read(h, context))

    def _blank(self, rows):
        """What stands where no token does."""
        return jnp.zeros((rows, self.embed_dim))
