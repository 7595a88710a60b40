"""Sequence to sequence: a recurrent encoder, a code of fixed size, and a decoder whose state flows between tokens."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from odeembed.batch import Batch
from odeembed.models.decoders import Decoded, FlowDecoder, JumpDecoder, Speaker
from odeembed.models.encoders import JumpFlow, last_states


class Heard(NamedTuple):
    """What is known of a source.

    Attributes:
      code: float [b, d].
      memory: float [b, l, m], the encoder's states at the source's tokens; None without attention.
      keys: bool [b, l], which of them are real; None without attention.
      stats: the encoder's counts a row.
      failed: bool [b], of its solve.
    """

    code: Any
    memory: Any
    keys: Any
    stats: dict[str, Any]
    failed: Any


class Seq2Seq(Speaker):
    """Says a target, given a source. A batch's target is its `target`; of a batch without one, the batch itself.

    Attributes:
      encoder: reads the source in both directions; with a field the ODE-RNN, without one the bidirectional GRU.
      decoder: says the target.
      latent: d, width of the code, in which the source is for a decoder without attention.
      heads: of the attention from the decoder's state, at any time, to the encoder's states; 0: none. What is attended
        to is read out with the state; the state itself does not learn of it but by the tokens.

    References:
      Sutskever et al. 2014, Sequence to Sequence Learning, eq. (1); Luong et al. 2015, Effective Approaches to
      Attention-based Neural Machine Translation, section 3.1 and eq. (5), for attention at the read-out; Vaswani et
      al. 2017, section 3.2.2, for its heads.
    """

    embed_dim: int = 256
    encoder: JumpFlow = JumpFlow(hidden=256, field=None)
    decoder: JumpDecoder | FlowDecoder = JumpDecoder()
    latent: int = 256
    heads: int = 0

    def setup(self):
        """The map from the encoder's last states to the code, and the attention."""
        super().setup()
        self.summary = nn.Dense(self.latent)
        if self.heads:
            width = self.decoder.width
            self.attention = nn.MultiHeadDotProductAttention(
                self.heads, qkv_features=width, out_features=width
            )

    def __call__(self, batch: Batch) -> Decoded:
        """The decoder's states for the target's tokens, those before each being known."""
        self.touch_tables()
        batch = jax.tree.map(jnp.asarray, batch)
        heard = self.encode(batch)
        out = self.decode(heard, target_of(batch))
        if self.is_initializing():
            self.read(out.states, heard)
        return out

    def encode(self, batch: Batch, scale: Float[Array, "b l e"] | None = None) -> Heard:
        """Reads the source.

        Args:
          scale: multiplies the inputs (dropout).
        """
        embedded = self.embed(batch.values)
        embedded = embedded if scale is None else embedded * scale
        flow = self.encoder(embedded, batch.times, batch.mask, batch.mask)
        code = jnp.tanh(self.summary(last_states(flow, self.encoder.directions, batch.mask)))
        memory = jnp.concatenate(flow.after, axis=-1) if self.heads else None
        return Heard(code, memory, batch.mask if self.heads else None, flow.stats, flow.failed)

    def code_in(self, context: Heard) -> Float[Array, "b d"]:
        """The code."""
        return context.code

    def read(self, states: Float[Array, "b *n h"], context: Any = None) -> Float[Array, "b *n e"]:
        """Read-outs of the decoder's states, and of what they attend to in a context, which may lack without heads."""
        if self.heads:
            many = states.reshape(states.shape[0], -1, states.shape[-1])
            attended = self.attention(
                many, context.memory, mask=context.keys[:, None, None, :], sow_weights=True
            )
            states = jnp.concatenate([states, attended.reshape(states.shape)], axis=-1)
        return self.read_out(states)


def target_of(batch: Batch) -> Batch:
    """What is to be said."""
    return batch if batch.target is None else batch.target
