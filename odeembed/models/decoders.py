"""Decoders: what reads tokens off hidden states."""

import flax.linen as nn
from jaxtyping import Array, Float


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
