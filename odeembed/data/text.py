"""Text as batches: sentences of like length together, `batch(step)` a pure function of seed and step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from odeembed.batch import Batch
from odeembed.data.buckets import WHOLE, Buckets, Share, check_buckets, rows_of
from odeembed.data.examples import Examples, Pairs
from odeembed.data.prepare import (
    Recipe,
    cache_root,
    corpus_vocabulary,
    prepared,
    read_manifest,
    target_texts,
)
from odeembed.data.sources import InstalledDocs, Source, TextFiles, spool
from odeembed.data.splits import SPLITS, check_split
from odeembed.data.vocabulary import SentencePiece, Vocabulary, Words
from odeembed.errors import ConfigError, DataError


@dataclass(frozen=True)
class TextData:
    """A corpus, its vocabulary and the arithmetic of its batches.

    Attributes:
      train: the text trained on.
      valid, test: the other splits' text; None: `held_out` of the train lines, chosen by a hash of the line's number.
      held_out: that fraction, for each of the two.
      vocabulary: made from the train split alone.
      unit: whether an example is a line, a sentence or a pair; for pairs every line must be source, tab, target.
      buckets: the lengths, in tokens, to which examples are padded; at most four, so that few shapes are compiled. The
        longer half of a pair decides its bucket.
      batch_tokens: a batch of bucket length l has batch_tokens // l rows, rounded down to a multiple of 8.
      min_length: examples, or last pieces of examples, with fewer tokens are left out and counted; so are pairs with
        such a half.
      evaluation_tokens: valid and test are cut after so many tokens, those of both halves; None: all.
      longer: what is done with an example longer than the last bucket: "cut" it into pieces of that length, of a half
        of a pair only the first, or "leave" it out whole, with the other half where it has one.
    """

    train: Source = InstalledDocs()
    valid: Source | None = None
    test: Source | None = None
    held_out: float = 0.02
    vocabulary: Words | SentencePiece = Words()
    unit: Literal["line", "sentence", "pair"] = "line"
    buckets: tuple[int, ...] = (16, 32, 48, 64)
    batch_tokens: int = 8192
    min_length: int = 2
    evaluation_tokens: int | None = None
    longer: Literal["cut", "leave"] = "cut"

    def __post_init__(self):
        check_buckets(self.buckets, self.batch_tokens, "batch_tokens")
        if not 1 <= self.min_length <= self.buckets[0]:
            raise ConfigError(
                f"min_length must lie in 1..{self.buckets[0]} (the first bucket); got {self.min_length}. Use 2."
            )
        if not 0 <= self.held_out < 0.5:
            raise ConfigError(
                f"held_out must lie in [0, 0.5), for each of valid and test; got {self.held_out}. Use 0.02."
            )

    def open(
        self,
        seed: int,
        *,
        share: Share = WHOLE,
        cache_dir: Path | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> "TextDataset":
        """Prepares the corpus unless an earlier call has, and opens it.

        Args:
          seed: decides the order of the examples, nothing else.
          share: the rows of this host, of several.
          cache_dir: root of the caches; None: $ODEEMBED_CACHE or ~/.cache/odeembed.
          progress: is told in a line of text, about once a second, how far the preparation has come.

        Raises:
          DataError: text that cannot be used, or too little of it for one batch.
          MissingFileError: a source is not there.
        """
        root = cache_root(cache_dir)
        settled = self.settled(cache_dir)
        return TextDataset(settled, prepared(settled.recipe(), root, progress), seed, share)

    def settled(self, cache_dir: Path | None = None) -> "TextData":
        """The same with standard input ("-") replaced by a copy of it in the cache, which can be reopened."""
        sources = {}
        for split in SPLITS:
            source = getattr(self, split)
            if isinstance(source, TextFiles) and "-" in source.paths:
                copy = str(spool(cache_root(cache_dir) / "corpora"))
                sources[split] = replace(
                    source, paths=tuple(copy if path == "-" else path for path in source.paths)
                )
        return replace(self, **sources)

    def recipe(self) -> Recipe:
        """What of this decides the prepared corpus."""
        return Recipe(
            train=self.train,
            valid=self.valid,
            test=self.test,
            held_out=self.held_out,
            vocabulary=self.vocabulary,
            unit=self.unit,
            longest=self.buckets[-1],
            shortest=self.min_length,
            longer=self.longer,
        )

    def rows(self, bucket: int) -> int:
        """Rows of a global batch whose examples are padded to `bucket` tokens."""
        return rows_of(self.batch_tokens, bucket)


class TextDataset:
    """An open corpus.

    Attributes:
      data: its configuration.
      vocabulary: made or loaded.
      tokens: number of tokens in each split, after `evaluation_tokens`.
      counters: for each split, what preparing it counted: lines, tokens, examples (a pair is two), unknown (words or
        pieces out of the vocabulary), cut (examples longer than the last bucket), short and short_tokens (pieces left
        out because they are shorter than `min_length`, blank lines not among them, and their tokens). Of pairs, short
        counts the pairs left out, blank halves among them, and cut_tokens the tokens cut away. Where longer examples
        are left out, long and long_tokens count them, or pairs with such a half, and their tokens.
      shapes: (rows, length) of the global batches that occur, by rising length; of pairs the targets'.
    """

    def __init__(self, data: TextData, folder: Path, seed: int, share: Share = WHOLE):
        self.data, self.seed, self._folder = data, seed, folder
        self._share = share
        self.vocabulary: Vocabulary = corpus_vocabulary(folder)
        manifest = read_manifest(folder)
        if manifest is None:
            raise DataError(f"{folder} does not hold a whole prepared corpus. Open it through TextData.open.")
        self._manifest = manifest
        self.counters: dict[str, dict[str, int]] = manifest["splits"]
        limits = {"train": None, "valid": data.evaluation_tokens, "test": data.evaluation_tokens}
        self._splits = (Pairs if data.unit == "pair" else Examples).open(folder, limits)
        self.tokens = {split: int(examples.sizes.sum()) for split, examples in self._splits.items()}
        self._buckets = Buckets(self._splits["train"].lengths, data.buckets, data.batch_tokens, seed)
        self.shapes = self._buckets.shapes
        if not self.shapes:
            raise self._too_short()
        share.check((rows for rows, _ in self.shapes), "data.batch_tokens and data.buckets")

    @property
    def steps_per_epoch(self) -> int:
        """Training batches an epoch."""
        return self._buckets.steps_per_epoch

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for a run to continue: text, vocabulary, arithmetic of the batches, seed."""
        return {
            "corpus": self._manifest["corpus"],
            "vocabulary": self.vocabulary.fingerprint,
            "unit": self.data.unit,
            "held_out": self.data.held_out,
            "buckets": list(self.data.buckets),
            "batch_tokens": self.data.batch_tokens,
            "min_length": self.data.min_length,
            "evaluation_tokens": self.data.evaluation_tokens,
            "examples": len(self._splits["train"].lengths),
            "seed": self.seed,
            **({"longer": self.data.longer} if self.data.longer != "cut" else {}),
        }

    def batch(self, step: int) -> Batch:
        """This host's rows of the global training batch of a step; pure in (seed, step)."""
        length, index = self._buckets.batch(step)
        return self._filled("train", self._share.of(index), length)

    def evaluation(self, split: str) -> Iterator[Batch]:
        """Yields every example of a split exactly once, in shapes that training has too, whole on every host.

        Rows that fill up the last batch of a shape have index -1 and an empty mask. Only a split with examples longer
        than all that are trained on needs one more shape, that of the last bucket.

        Raises:
          DataError: the split has no examples.
        """
        examples = self._examples(split)
        if not len(examples.lengths):
            raise DataError(
                f"split {split!r} has no examples; expected one or more. "
                f"Raise data.held_out, or give data.{split} a source."
            )
        for length, index in self._buckets.evaluation(examples.lengths):
            yield self._filled(split, index, length)

    def token_stream(self, split: str) -> Iterator[list[str]]:
        """Yields the examples of a split as token strings, in their order in the text; of a pair source and target."""
        tokens = self.vocabulary.tokens
        for ids in self._examples(split).stream():
            yield [tokens[id] for id in ids]

    def target_texts(self, split: str) -> list[str] | None:
        """The targets of a split's pairs as they stand in the text, uncut, in its order; None without pairs."""
        if self.data.unit != "pair":
            return None
        pairs = len(self._examples(split).lengths)
        return list(islice(target_texts(self.data.recipe(), split, self.vocabulary), pairs))

    def specialise(self, model: Any) -> Any:
        """A copy of the model with its `vocab_size` set to this vocabulary's, if it has that attribute."""
        return model.clone(vocab_size=self.vocabulary.size) if hasattr(model, "vocab_size") else model

    def inspect(self) -> dict[str, Any]:
        """Numbers for people: sizes, rate of unknown words, lengths, and the share of padding in each shape."""
        train, examples = self.counters["train"], self._splits["train"]
        seen = sum(count for name, count in train.items() if name.endswith("tokens"))
        dropped = train["unknown"] if getattr(self.data.vocabulary, "oov", "unk") == "drop" else 0
        return {
            "splits": self.counters,
            "tokens": self.tokens,
            "vocabulary": self.vocabulary.size,
            "unknown_rate": train["unknown"] / max(1, seen + dropped),
            "steps_per_epoch": self.steps_per_epoch,
            "lengths": {
                f"<={bucket}": int(n)
                for bucket, n in zip(self.data.buckets, self._buckets.histogram(), strict=True)
            },
            "shapes": [
                {
                    "rows": rows,
                    **widths,
                    "examples": len(members),
                    "padding": 1.0 - real / sum(widths.values()),
                }
                for (rows, length), members in zip(self.shapes, self._buckets.members, strict=True)
                for widths, real in [(examples.widths(length), float(examples.sizes[members].mean()))]
            ],
            "folder": str(self._folder),
        }

    def _too_short(self) -> DataError:
        longest, examples = self.data.buckets[-1], self._splits["train"]
        rows, there = self.data.rows(longest), len(examples.lengths)
        most = rows_of(there, 1) * longest
        remedy = f"Set data.batch_tokens to {most} or less" if most else examples.remedy
        return DataError(
            f"corpus shorter than one batch: {self.tokens['train']} tokens in {there} {examples.noun}; expected at "
            f"least {rows} rows (data.batch_tokens {self.data.batch_tokens} // {longest}). {remedy}."
        )

    def _examples(self, split: str) -> Examples | Pairs:
        check_split(split)
        return self._splits[split]

    def _filled(self, split: str, index: Int[np.ndarray, " b"], length: int) -> Batch:
        return self._splits[split].batch(index, length, self.vocabulary.starts_word)
