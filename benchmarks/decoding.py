"""What greedy decoding costs with an equation in the decoder, beside its twin without: a thousand sentences.

    python benchmarks/decoding.py
    python -m odeembed.results

The first writes benchmarks/results/decoding.json, the second fills the table in docs/seq2seq.md from it. The models are
those of the configs, untrained: every decoding takes as many steps as the longest sentence may have, whatever is said,
so that the parameters do not matter. Sentences are random, of 5 to 14 words; one is decoded as often as the other, in
an order drawn anew each round.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from recording import RESULTS, circumstances, write_result
from workloads.measuring import ratios, time_rounds
from workloads.steps import Counts, Step

from odeembed.data.padding import padded
from odeembed.data.vocabulary import Words
from odeembed.experiment import load_config
from odeembed.translate import Translator

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
PAIRS = (
    ("repeat_jump", "repeat_gru"),
    ("repeat_flow", "repeat_inputless_gru"),
    ("multi30k_jump", "multi30k_gru"),
)
WORDS, AT_MOST = 8000, 1.5


def decoder(config: str, size: str, sentences: list[list[int]]) -> Step:
    """Decodes all the sentences with the untrained model of a config."""
    experiment = load_config(CONFIGS / f"{config}.py", size)
    vocabulary = Words().build([" ".join(f"w{number}" for number in range(WORDS))])
    model: Any = experiment.model
    model = model.clone(vocab_size=vocabulary.size)
    batch = jax.tree.map(jax.numpy.asarray, padded(sentences[:2], [0, 1], (2, 16), vocabulary.pad_id))
    params = experiment.objective.init(model, jax.random.key(0), batch)
    translator = Translator(model, params, vocabulary, 14)
    run = lambda: translator.translate(sentences)  # noqa: E731
    run()
    return Step("odeembed", run, lambda: None, (0.0, 0.0), Counts(0, 0, 0, 0), 0.0, None)


def measure(size: str, count: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each model and its twin: seconds, and their ratio in the same round."""
    rng = np.random.default_rng(0)
    sentences = [rng.integers(2, WORDS, rng.integers(5, 15)).tolist() for _ in range(count)]
    found = []
    for name, twin in PAIRS:
        timed = time_rounds({key: decoder(key, size, sentences) for key in (name, twin)}, rounds, rng)
        found.append(
            {
                "model": name,
                "twin": twin,
                "seconds": float(np.median(timed[name].seconds)),
                "twin_seconds": float(np.median(timed[twin].seconds)),
                "over_twin": float(np.median(ratios(timed[name], timed[twin]))),
                "at_most": AT_MOST,
            }
        )
        print(f"{name}: {found[-1]['seconds']:.2f} s, {found[-1]['over_twin']:.2f} of {twin}", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description="Measure what decoding costs with an equation and without.")
    parser.add_argument("--size", default="small")
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows = measure(options.size, options.sentences, options.rounds)
    result = {"kind": "decoding", "size": options.size, "sentences": options.sentences, "rows": rows}
    facts = circumstances("jax", "jaxlib", "numpy")
    print(write_result(options.results / "decoding.json", result | facts))


if __name__ == "__main__":
    main()
