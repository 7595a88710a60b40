"""gensim's word2vec and fastText on the tokens and vocabulary of a config, and runs compared with them.

    python benchmarks/word_vectors.py train configs/wikipedia_jump.py --model word2vec --epochs 5 --seed 0
    python benchmarks/word_vectors.py compare runs/wikipedia_jump runs/word_vectors/wikipedia-*.npz

The first writes benchmarks/results/word_vectors-<corpus>-<model>-seed<k>.json and puts the vectors under runs/.
The second writes benchmarks/results/word_vectors-comparison-<config>-<size>-seed<k>.json: for each set and reading the
difference of the Spearman correlations, with an interval, over the pairs that both know.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from recording import RESULTS, circumstances, write_result

from odeembed.data.text import TextData
from odeembed.evaluate.bootstrap import spearman_difference
from odeembed.evaluate.vectors import WordVectors, readings, without_common_directions
from odeembed.evaluate.word_similarity import WordSimilarity, judge
from odeembed.experiment import load_config, to_json

LONGEST_LINE = 10_000  # tokens; gensim itself cuts there


def train(arguments: argparse.Namespace) -> Path:
    """Trains one gensim model, saves its vectors, scores them, and returns the path of its result."""
    experiment = load_config(arguments.config, arguments.size)
    if not isinstance(experiment.data, TextData):
        raise SystemExit(f"{arguments.config} has no text")
    data = whole_lines(experiment.data)
    dataset = data.open(experiment.seed)
    start = time.perf_counter()
    model = train_gensim(Stream(dataset), arguments)
    seconds = time.perf_counter() - start
    vectors = vectors_of(model, dataset.vocabulary)
    corpus = arguments.corpus or Path(arguments.config).stem.split("_")[0]
    name = f"{corpus}-{arguments.model}-seed{arguments.seed}"
    save_vectors(vectors, arguments.vectors / f"{name}.npz")
    metrics: dict[str, float] = {}
    for reading, found in variants(vectors).items():
        metrics |= WordSimilarity().score(found, reading)
    return write_result(
        arguments.results / f"word_vectors-{name}.json",
        {
            "kind": "word_vectors",
            "corpus": corpus,
            "config": Path(arguments.config).stem,
            "size": arguments.size,
            "data": to_json(data),
            "dataset": dataset.fingerprint,
            "model": arguments.model,
            "seed": arguments.seed,
            "settings": settings(arguments),
            "tokens": int(model.corpus_total_words),
            "words": len(vectors.words),
            "seconds": round(seconds, 1),
            **circumstances("gensim", "numpy"),
            "metrics": metrics,
        },
    )


def whole_lines(data: Any) -> TextData:
    """The same text and vocabulary without the cuts at the longest bucket, so that a window sees what a line offers.

    Raises:
      TypeError: the config's data is no text.
    """
    if not isinstance(data, TextData):
        raise TypeError(f"data must be TextData; got {type(data).__name__}. Use a config of a corpus.")
    return replace(data, buckets=(LONGEST_LINE,), batch_tokens=8 * LONGEST_LINE)


class Stream:
    """The training examples as lists of words, as often as gensim asks for them."""

    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __iter__(self) -> Iterator[list[str]]:
        return self.dataset.token_stream("train")


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What gensim is given: skip-gram with negative sampling, and every token of the stream (min_count 1)."""
    return {
        "sg": 1,
        "vector_size": arguments.dim,
        "window": arguments.window,
        "negative": arguments.negative,
        "epochs": arguments.epochs,
        "workers": arguments.workers,
        "min_count": 1,
        "seed": arguments.seed,
    }


def train_gensim(sentences: Any, arguments: argparse.Namespace) -> Any:
    """Trains word2vec or fastText; with more than one worker a seed does not fix the result to the last digit."""
    from gensim.models import FastText, Word2Vec

    kind = {"word2vec": Word2Vec, "fasttext": FastText}[arguments.model]
    return kind(sentences, **settings(arguments))


def vectors_of(model: Any, vocabulary: Any) -> WordVectors:
    """The vectors of the words, without the entries that stand for padding and unknown words."""
    special = {vocabulary.tokens[vocabulary.pad_id], vocabulary.tokens[vocabulary.unk_id]}
    words = tuple(word for word in model.wv.index_to_key if word not in special)
    rows = [model.wv.key_to_index[word] for word in words]
    counts = np.array([model.wv.get_vecattr(word, "count") for word in words])
    return WordVectors(words, model.wv.vectors[rows], counts)


def variants(vectors: WordVectors) -> dict[str, WordVectors]:
    """The vectors as they are, and without common directions, as a run's readings are tried."""
    return {"vectors": vectors} | {f"vectors-{n}": without_common_directions(vectors, n) for n in (1, 2, 3)}


def save_vectors(vectors: WordVectors, path: Path) -> None:
    """Writes words, matrix and counts into an .npz file without pickle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, words=np.array(vectors.words), matrix=vectors.matrix, counts=vectors.counts)


def load_vectors(path: Path) -> WordVectors:
    """Reads what `save_vectors` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return WordVectors(tuple(stored["words"].tolist()), stored["matrix"], stored["counts"])


def compare(arguments: argparse.Namespace) -> Path:
    """Compares every reading of a run with each file of vectors, and returns the path of the result."""
    from odeembed.runs import Run

    run = Run.open(arguments.run)
    facts = json.loads((Path(arguments.run) / "result.json").read_text())
    found = readings(run.model, run.params, run.vocabulary, run.dataset, tokens=arguments.tokens or None)
    rows = [
        {"baseline": path.stem, **row}
        for path in arguments.vectors
        for row in compared(found, load_vectors(path), WordSimilarity(), arguments.resamples)
    ]
    shared = {key: facts[key] for key in ("config", "size", "seed", "fingerprint")}
    name = "word_vectors-comparison-{config}-{size}-seed{seed}.json".format(**shared)
    return write_result(
        arguments.results / name,
        {
            "kind": "word_vectors_comparison",
            **shared,
            "step": run.step,
            "reading_tokens": arguments.tokens or None,
            "resamples": arguments.resamples,
            **circumstances("jax", "numpy"),
            "rows": rows,
        },
    )


def compared(
    found: dict[str, WordVectors], baseline: WordVectors, similarity: WordSimilarity, resamples: int
) -> Iterator[dict[str, Any]]:
    """Yields for each set and reading both correlations over the pairs that both know, and their difference."""
    for name, pairs in similarity.pairs().items():
        theirs = judge(baseline, pairs)
        for reading, vectors in found.items():
            ours = judge(vectors, pairs)
            both = [pair for pair, known in zip(pairs, ours.known & theirs.known, strict=True) if known]
            first, second = judge(vectors, both), judge(baseline, both)
            difference = spearman_difference(first.human, first.cosine, second.cosine, resamples=resamples)
            yield {
                "set": name,
                "reading": reading,
                "pairs": len(pairs),
                "compared": len(both),
                "oov": ours.oov,
                "baseline_oov": theirs.oov,
                "spearman": first.spearman,
                "baseline_spearman": second.spearman,
                "difference": difference.value,
                "low": difference.low,
                "high": difference.high,
                "p": difference.p,
            }


def parser() -> argparse.ArgumentParser:
    """The two commands and their options."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("train", help="train and score gensim's vectors on the tokens of a config")
    one.set_defaults(command=train)
    one.add_argument("config")
    one.add_argument("--size", default="full")
    one.add_argument(
        "--corpus", help="name of the corpus in the result (default: the config's, up to its first _)"
    )
    one.add_argument("--model", choices=("word2vec", "fasttext"), default="word2vec")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--epochs", type=int, default=5)
    one.add_argument("--dim", type=int, default=128)
    one.add_argument("--window", type=int, default=5)
    one.add_argument("--negative", type=int, default=5)
    one.add_argument("--workers", type=int, default=2)
    one.add_argument(
        "--vectors", type=Path, default=Path("runs/word_vectors"), help="where vectors are saved"
    )
    one.add_argument("--results", type=Path, default=RESULTS)
    one = commands.add_parser("compare", help="compare a run's vectors with saved ones by paired bootstrap")
    one.set_defaults(command=compare)
    one.add_argument("run", type=Path, metavar="RUN")
    one.add_argument("vectors", type=Path, nargs="+", metavar="VECTORS")
    one.add_argument("--tokens", type=int, default=2_000_000, help="for mean states; 0: an epoch")
    one.add_argument("--resamples", type=int, default=10_000)
    one.add_argument("--results", type=Path, default=RESULTS)
    return top


if __name__ == "__main__":
    chosen = parser().parse_args()
    print(chosen.command(chosen))
