"""What a sequence-to-sequence model says of held-out sources, beside what it should have said."""

from dataclasses import dataclass
from typing import Any

from odeembed.decode import GREEDY, Decoding
from odeembed.evaluate.bleu import corpus_bleu
from odeembed.evaluate.held_out import agreement, held_out_pairs


@dataclass(frozen=True)
class Translations:
    """Decodes the test split.

    Attributes:
      how: greedily, by beam search, or drawn.
      sentences: how many of the split, the first of its text; None: all.
    """

    how: Decoding = GREEDY
    sentences: int | None = None

    def __call__(self, run: Any) -> dict[str, float | str]:
        """Returns translations/bleu with its signature, translations/exact and translations/tokens.

        The latter two are the share of sentences that are said as they should be, and that of tokens at their places.
        BLEU is against the targets as they stand in the text, whatever the vocabulary makes of them; where a target is
        the source itself, against its tokens.

        Args:
          run: of a `Seq2Seq`.
        """
        sources, wanted = (half[: self.sentences] for half in held_out_pairs(run.dataset))
        said = run.translator.translate(sources, self.how, run.experiment.seed)
        exact, tokens = agreement(said, wanted)
        spoken, references = ([*map(run.vocabulary.decode, some)] for some in (said, wanted))
        texts = run.dataset.target_texts("test")
        score, signature = corpus_bleu(spoken, references if texts is None else texts[: self.sentences])
        return {
            "translations/exact": exact,
            "translations/tokens": tokens,
            "translations/bleu": score,
            "translations/signature": signature,
        }
