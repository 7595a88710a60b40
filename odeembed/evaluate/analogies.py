"""Word analogies a : b = c : ? answered by 3CosAdd, questions with unknown words counted."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from odeembed.data.sources import locate
from odeembed.errors import DataError
from odeembed.evaluate.vectors import WordVectors, readings_of

Question = tuple[str, str, str, str]


@dataclass(frozen=True)
class Analogies:
    """Scores every reading of a model's word vectors on analogy questions.

    Attributes:
      path: the questions, in sections `: name`; tried as given, then under $ODEEMBED_DATA.
      restrict: the answer is sought among so many of the most frequent words, and questions with a rarer word are
        skipped; 0 for no limit.
      tokens: how many training tokens the readings that average states use; 0 leaves these readings out.
      removed: numbers of common directions to remove from each reading.
    """

    path: str = "analogy/questions-words.txt"
    restrict: int = 30_000
    tokens: int = 0
    removed: tuple[int, ...] = (1, 2, 3)

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns analogy/{semantic,syntactic,total}/<reading> with .../asked and .../skipped.

        Args:
          run: has model, params, vocabulary and dataset.
        """
        found = readings_of(run, self.tokens, self.removed)
        scores: dict[str, float] = {}
        for name, vectors in found.items():
            scores |= self.score(vectors, name)
        return scores

    def score(self, vectors: WordVectors, reading: str) -> dict[str, float]:
        """Scores one set of vectors under the name of its reading."""
        sections = read_questions(locate(self.path))
        right, asked, skipped = (defaultdict(int) for _ in range(3))
        for section, questions in sections.items():
            answers = answer(vectors, questions, self.restrict)
            for kind in ("syntactic" if section.startswith("gram") else "semantic", "total"):
                right[kind] += int(answers.right.sum())
                asked[kind] += len(answers.right)
                skipped[kind] += answers.skipped
        scores: dict[str, float] = {}
        for kind in ("semantic", "syntactic", "total"):
            scores[f"analogy/{kind}/{reading}"] = right[kind] / asked[kind] if asked[kind] else float("nan")
            scores[f"analogy/{kind}/{reading}/asked"] = float(asked[kind])
            scores[f"analogy/{kind}/{reading}/skipped"] = float(skipped[kind])
        return scores


@dataclass(frozen=True)
class Answers:
    """What came of a list of questions.

    Attributes:
      right: bool, one entry for each question asked.
      skipped: how many questions hold a word without a vector.
    """

    right: np.ndarray
    skipped: int


def answer(vectors: WordVectors, questions: list[Question], restrict: int = 0) -> Answers:
    """Answers a : b = c : ? with the word nearest to b - a + c, these three left out; case is of no account.

        argmax over w of cos(w, b - a + c), all vectors of length 1

    References:
      Mikolov, Yih and Zweig 2013, Linguistic Regularities in Continuous Space Word Representations, section 4;
      called 3CosAdd by Levy and Goldberg 2014.
    """
    frequent = np.argsort(-vectors.counts, kind="stable")[: restrict or None]
    allowed = WordVectors(
        tuple(vectors.words[row] for row in frequent), vectors.matrix[frequent], vectors.counts[frequent]
    )
    rows = [[allowed.find(word) for word in question] for question in questions]
    known = np.array([row for row in rows if None not in row], int).reshape(-1, 4)
    return Answers(_three_cos_add(allowed.unit, known), len(rows) - len(known))


def _three_cos_add(
    unit: Float[np.ndarray, "v d"], questions: Int[np.ndarray, "q 4"], block: int = 1024
) -> np.ndarray:
    right = np.zeros(len(questions), bool)
    for start in range(0, len(questions), block):
        a, b, c, expected = questions[start : start + block].T
        cosine = (unit[b] - unit[a] + unit[c]) @ unit.T
        np.put_along_axis(cosine, np.stack([a, b, c], 1), -np.inf, axis=1)
        right[start : start + block] = cosine.argmax(1) == expected
    return right


def read_questions(path: Path) -> dict[str, list[Question]]:
    """Reads sections of lines of four words.

    Raises:
      DataError: a line has other than four words, or stands before the first section.
    """
    sections: dict[str, list[Question]] = {}
    section: list[Question] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith(":"):
            section = sections.setdefault(line[1:].strip(), [])
        elif line.strip():
            words = tuple(line.split())
            if section is None or len(words) != 4:
                raise DataError(
                    f"{path}, line {number}: expected four words within a section ': name'; got {line!r}. "
                    "Mend the line."
                )
            section.append(words)
    return sections
