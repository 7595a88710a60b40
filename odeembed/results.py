"""The tables of the README and of docs/, generated from results/ and benchmarks/results/ and from nothing else.

A table stands between `<!-- table: NAME -->` and `<!-- end table -->`; `python -m odeembed.results` fills them all.
"""

import json
import math
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from odeembed.errors import DataError
from odeembed.experiment import identity

Result = Mapping[str, Any]
GAPS = (1, 2, 4, 8)
_BASELINES = {"word2vec": "word2vec (gensim)", "fasttext": "fastText (gensim)"}
_MARKED = re.compile(
    r"(<!-- table: (?P<name>[\w-]+) -->\n)(?P<table>.*?)(?P<end><!-- end table -->)", re.DOTALL
)


def tables(root: Path | str = ".") -> dict[str, str]:
    """Every table there are results for, as Markdown, by name.

    For each corpus: interpolation-, gaps-, shifts-, words- (vectors as they are), readings- (every reading tried),
    differences- and all-differences- (likewise), analogies- and sentences-<corpus>. Runs that differ by their seed
    alone share a row: the mean, with half the distance between the largest and the smallest after a ±. The runs of
    <corpus>_adaptive, which are shorter, stand in evaluations-<corpus> and in no other. Sentence VAEs have tables
    of their own: vae-, codes-, samples-, walks- (between sentences), prior-walks- and grammar-<corpus>, and
    vae-goals for all; sequence to sequence has sequences-, bleu-, between- and probes-<corpus>, decoding and
    collapse; densities have densities-known and densities-tables; images have images- and exactness-<corpus>,
    convolutions, image-steps and image-memory; steps on many devices have scale; series have series-<corpus>, and
    spirals for all of these. Of the solvers: solvers-<workload> (every variant), solver-ratios (with their
    targets), solver-speeds (on all devices), solver-circumstances, overheads and precision; what was measured on an
    accelerator has -accelerator after its name. Of the gradient methods: adjoints-steps, adjoints-tolerance,
    adjoints-advice and adjoints-circumstances; of the solvers' convergence orders; of what runs and files withstand
    battery, of how fast batches are read reading, and of how fast a page answers moves. Of all runs, index: what
    each result was made of.

    Args:
      root: the checkout.

    Raises:
      DataError: a result that cannot be read, or runs under one name that are not of one experiment.
    """
    runs, measured = _read(Path(root))
    baselines: dict[str, list[Result]] = defaultdict(list)
    for result in measured["word_vectors"]:
        baselines[f"{result['corpus']}-{result['model']}"].append(result)
    comparisons, solvers = measured["word_vectors_comparison"], measured["solvers"]
    found: dict[str, str] = {}
    for corpus in sorted({_corpus(rows[0]) for rows in [*runs.values(), *baselines.values()]}):
        ours = {name: rows for name, rows in runs.items() if _corpus(rows[0]) == corpus}
        coders = {name: ours.pop(name) for name in list(ours) if _is_of(ours[name][0], "SentenceVAE")}
        translators = {name: ours.pop(name) for name in list(ours) if _is_of(ours[name][0], "Seq2Seq")}
        adaptive = {name: ours.pop(name) for name in list(ours) if _is_adaptive(ours[name][0])}
        images = {name: ours.pop(name) for name in list(ours) if _is_of(ours[name][0], "ImageClassifier")}
        series = {name: ours.pop(name) for name in list(ours) if _is_of(ours[name][0], "SeriesData")}
        ours = {name: rows for name, rows in ours.items() if not _is_of(rows[0], "DensityEstimator")}
        theirs = {name: rows for name, rows in baselines.items() if _corpus(rows[0]) == corpus}
        compared = [row for row in comparisons if _corpus(row) == corpus]
        drawn = {
            "interpolation": _interpolation(ours),
            "gaps": _gaps(ours),
            "shifts": _shifts(ours),
            "words": _words(theirs, ours, _as_it_is),
            "readings": _words(theirs, ours, lambda reading: True),
            "differences": _differences(compared, _as_it_is),
            "all-differences": _differences(compared, lambda reading: True),
            "analogies": _scores(ours, "analogy", "asked"),
            "sentences": _scores(ours, "sts", "pairs"),
            "evaluations": _evaluations(adaptive),
            "vae": _bounds(coders),
            "codes": _metrics(coders, _CODES),
            "samples": _metrics(coders, _SAMPLES),
            "walks": _walks(coders, "walks", _WALKS),
            "prior-walks": _walks(coders, "prior_walks", _WALKS),
            "grammar": _walks(coders, "grammar", _PARSED),
            "sequences": _sequences(translators),
            "bleu": _bleu(translators),
            "between": _metrics(translators, _BETWEEN),
            "probes": _metrics(translators, _PROBES),
            "images": _images(images),
            "exactness": _exactness(images),
            "series": _series(series),
        }
        found |= {f"{name}-{corpus}": table for name, table in drawn.items() if table}
    if runs:
        found["index"] = _index(row for rows in runs.values() for row in rows)
    found |= _densities(runs, measured["densities"])
    if spirals := _spirals(runs):
        found["spirals"] = spirals
    if goals := _goals(runs):
        found["vae-goals"] = goals
    for end, measured_there in _by_device(solvers).items():
        found |= {f"solvers-{one['workload'].lower()}{end}": _solver_variants(one) for one in measured_there}
        found[f"solver-ratios{end}"] = _solver_ratios(measured_there)
        found[f"solver-circumstances{end}"] = _solver_circumstances(measured_there)
    if solvers:
        found["solver-speeds"] = _solver_speeds(_by_device(solvers))
    if measured["reading"]:
        found["reading"] = _reading(measured["reading"])
    if measured["moves"]:
        found["moves"] = _moves(measured["moves"])
    if measured["battery"]:
        found["battery"] = _battery(measured["battery"])
    if measured["overheads"]:
        found["overheads"] = _overheads(measured["overheads"])
    if measured["decoding"]:
        found["decoding"] = _decoding(measured["decoding"])
    if measured["collapse"]:
        found["collapse"] = _collapse(measured["collapse"])
    for end, measured_there in _by_device(measured["precision"]).items():
        found[f"precision{end}"] = _precision(measured_there)
    for end, measured_there in _by_device(measured["image_steps"]).items():
        found[f"image-steps{end}"] = _image_steps(measured_there)
    for end, measured_there in _by_device(measured["convolutions"]).items():
        found[f"convolutions{end}"] = _convolutions(measured_there)
    if measured["image_memory"]:
        found["image-memory"] = _image_memory(measured["image_memory"])
    if measured["scale"]:
        found["scale"] = _scale(measured["scale"])
    for result in measured["adjoints"]:
        found |= adjoint_tables(result)
    for result in measured["orders"]:
        found["orders"] = order_table(result)
    return found


def evaluations(root: Path | str = ".") -> dict[str, dict[str, list[tuple[float, float, float]]]]:
    """The curve of each corpus: for each kind of regulariser its weight, evaluations a sentence and perplexity.

    Points are in order of weight, means over seeds; the unregularised run is the first of each, with weight 0.
    """
    curves: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
    runs = [rows for rows in _read(Path(root))[0].values() if _is_adaptive(rows[0])]
    for rows in sorted(runs, key=lambda rows: _regulariser(rows[0])[1]):
        kind, weight = _regulariser(rows[0])
        evaluated, perplexity = (
            _average([_value(row, key) for row in rows]) for key in ("solver/evaluations", "perplexity")
        )
        points = curves.setdefault(_corpus(rows[0]), {}).setdefault(kind, [])
        points.append((weight, evaluated, perplexity))
    return {
        corpus: {kind: ([] if kind == "none" else kinds.get("none", [])) + kinds[kind] for kind in kinds}
        for corpus, kinds in curves.items()
    }


def update(path: Path | str, root: Path | str = ".") -> bool:
    """Fills the tables of one file, and says whether that changed it.

    Raises:
      DataError: the file names a table that no result stands behind.
    """
    path = Path(path)
    before = path.read_text(encoding="utf-8")
    after = _filled(before, tables(root), path) if _MARKED.search(before) else before
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before


def check(path: Path | str, root: Path | str = ".") -> list[str]:
    """Returns the names of the tables in one file that are not what the results say.

    Raises:
      DataError: the file names a table that no result stands behind.
    """
    text = Path(path).read_text(encoding="utf-8")
    if not _MARKED.search(text):
        return []
    filled = _filled(text, tables(root), Path(path))
    pairs = zip(_MARKED.finditer(text), _MARKED.finditer(filled), strict=True)
    return [now["name"] for now, right in pairs if now["table"] != right["table"]]


def _filled(text: str, known: Mapping[str, str], path: Path) -> str:
    def fill(found: re.Match[str]) -> str:
        if found["name"] not in known:
            raise DataError(
                f"{path} names the table {found['name']!r}, which no result stands behind; there are "
                f"{', '.join(known) or 'none'}. Publish the runs first, or take the table out."
            )
        return found[1] + known[found["name"]] + found["end"]

    return _MARKED.sub(fill, text)


def _read(root: Path) -> tuple[dict[str, list[Result]], dict[str, list[Result]]]:
    """Runs by name without seed, and what the benchmarks found by its kind."""
    runs: dict[str, list[Result]] = defaultdict(list)
    for path in sorted((root / "results").glob("*.json")):
        runs[re.sub(r"-seed\d+$", "", path.stem)].append({"file": path.stem, **_load(path, "fingerprint")})
    for name, rows in runs.items():
        if len(rows) > 1 and len({identity(row) for row in rows}) > 1:
            raise DataError(
                f"the results {name}-seed*.json are of different experiments; expected seeds of one. "
                "Run them all again, or publish the odd one under a name of its own."
            )
    measured: dict[str, list[Result]] = defaultdict(list)
    for path in sorted((root / "benchmarks" / "results").glob("*.json")):
        result = _load(path, "kind")
        measured[result["kind"]].append(result)
    return dict(runs), measured


def _load(path: Path, needed: str) -> Result:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found[needed]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is not a result: no JSON with {needed!r}. Publish the run again.") from None
    return found


def _corpus(result: Result) -> str:
    """The first word of the config's name; gensim's results say it."""
    return result.get("corpus") or result["config"].split("_")[0]


def _index(results: Iterable[Result]) -> str:
    """A row for each result file: the config and seed behind it, the code, the settings' fingerprint, the cost."""
    header = "result | config | size | seed | commit | fingerprint | device | steps | wall time"
    rows = [
        [
            f"`{one['file']}`",
            f"`{one['config']}`",
            one["size"],
            one["seed"],
            f"`{_commit(one)}`",
            f"`{one['fingerprint'][:10]}`",
            f"{one['device']['count']} x {one['device']['kind']}",
            f"{one['steps']:,}",
            _minutes([one]),
        ]
        for one in results
    ]
    return _markdown(header, rows)


def _interpolation(runs: Mapping[str, Sequence[Result]]) -> str:
    header = (
        "model | parameters (body) | steps | tokens | perplexity | accuracy | top 10 | training memory | device | "
        "wall time | seeds"
    )
    rows = []
    for name, seeds in runs.items():
        if _value(seeds[0], "nll") is None:
            continue
        first = seeds[0]
        quality = [
            _mean([_value(row, key) for row in seeds], digits)
            for key, digits in (("perplexity", 1), ("accuracy", 3), ("top10", 3))
        ]
        memory = _mean([row["memory"]["step_bytes"] / 2**20 for row in seeds], 0, spread=False)
        device = f"{first['device']['count']} x {first['device']['kind']}"
        rows.append(
            [
                *_training(name, first),
                *quality,
                f"{memory} MiB",
                device,
                _minutes(seeds),
                len(seeds),
            ]
        )
    return _markdown(header, rows)


def _training(name: str, first: Result) -> list[str]:
    """What a row says of the model and its training: name, parameters (body), steps, tokens."""
    parameters = f"{_short(first['parameters']['total'])} ({_short(first['parameters']['body'])})"
    return [_label(name), parameters, f"{first['steps']:,}", _short(first["tokens"])]


def _minutes(seeds: Sequence[Result]) -> str:
    return f"{_mean([row['seconds'] / 60 for row in seeds], 0, spread=False)} min"


# Of a sentence VAE's tables: heading, metric, digits.
_CODES = (
    ("KL", "codes/kl", 2),
    ("mutual information", "codes/mutual_information", 2),
    ("active units", "codes/active_units", 0),
    ("sentences reconstructed", "codes/reconstructed", 3),
    ("words in place", "codes/reconstructed_words", 3),
)
_SAMPLES = (
    ("forward perplexity", "samples/forward_perplexity", 1),
    ("reverse perplexity", "samples/reverse_perplexity", 1),
    ("distinct", "samples/distinct", 3),
    ("mean length", "samples/length", 1),
)
# And of sequence to sequence.
_BETWEEN = (
    *(
        (f"right at {at}", f"between/accuracy{at}", 3)
        for at in ("-1", "-0.75", "-0.5", "-0.25", "+0", "+0.25")
    ),
    ("hand-over", "between/handover/mean", 2),
    ("its deviation", "between/handover/std", 2),
    ("no third word", "between/handover/direct", 3),
    ("length over straight", "between/length", 2),
    ("jumps' share", "between/jumps", 2),
    ("bending", "between/bending", 4),
    ("of straight lines", "between/bending_linear", 4),
)
_PROBES = tuple(
    (f"{which}, {at}", f"probes/{which}/{at}", 3)
    for which in ("current", "next")
    for at in ("0", "0.25", "0.5", "0.75", "shuffled", "frequent")
)
_WALKS = (
    ("perplexity between", "perplexity", 1),
    ("different sentences", "distinct", 2),
    ("steps without change", "repeats", 3),
    ("steps that approach", "approach", 3),
    ("by BLEU", "bleu_approach", 3),
    ("words changed over distance", "detour", 2),
)
_PARSED = (
    ("pairs that count", "counted", 3),
    ("sentences between that parse", "parse", 3),
    ("steps that keep the production", "production", 3),
    ("steps that keep the topic", "topic", 3),
)


# What sentence VAEs are to reach in the mean over seeds: what, run, metric, the run it is divided by, bound, value.
_GOALS = (
    ("jump: perplexity over its twin's", "ptb_jump-small", "iw/perplexity", "ptb_gru-small", "at most", 1.02),
    ("jump: perplexity (texar's LSTM)", "ptb_jump-small", "iw/perplexity", None, "at most", 105.5),
    ("jump, long: perplexity (texar's LSTM)", "ptb_jump-long", "iw/perplexity", None, "at most", 105.5),
    ("jump, long: KL, nats", "ptb_jump-long", "kl", None, "at least", 4.0),
    ("jump: perplexity (Li et al. 2019)", "ptb_jump-small", "iw/perplexity", None, "at most", 96.9),
    ("jump: KL, nats", "ptb_jump-small", "kl", None, "at least", 4.0),
    ("jump: mutual information, nats", "ptb_jump-small", "codes/mutual_information", None, "at least", 5.3),
    ("jump: active units", "ptb_jump-small", "codes/active_units", None, "at least", 32.0),
    ("flow: perplexity (Bowman et al. 2016)", "ptb_flow-small", "iw/perplexity", None, "at most", 380.0),
    (
        "jump, prior fitted: perplexity over its twin's",
        "ptb_jump_prior-small",
        "iw/perplexity",
        "ptb_gru_prior-small",
        "at most",
        1.02,
    ),
    (
        "jump, prior fitted: perplexity (texar's)",
        "ptb_jump_prior-small",
        "iw/perplexity",
        None,
        "at most",
        105.5,
    ),
    ("jump, prior fitted: KL, nats", "ptb_jump_prior-small", "kl", None, "at least", 4.0),
    (
        "flow, prior fitted: perplexity (Bowman's)",
        "ptb_flow_prior-small",
        "iw/perplexity",
        None,
        "at most",
        380.0,
    ),
    *(
        (
            f"grammar, {way}: share that parses",
            "grammar_jump-small",
            f"grammar/{way}/parse",
            None,
            "at least",
            0.9,
        )
        for way in ("straight", "spherical", "hidden")
    ),
    *(
        (
            f"grammar, {way}: share that does not, over the autoencoder's",
            "grammar_jump-small",
            f"1 - grammar/{way}/parse",
            "grammar_autoencoder-small",
            "at most",
            0.5,
        )
        for way in ("straight", "spherical", "hidden")
    ),
)


def _goals(runs: Mapping[str, Sequence[Result]]) -> str:
    """What is measured beside what was wanted, and by how much it was missed."""

    def measured(name: str, key: str) -> float:
        rest = key.removeprefix("1 - ")
        value = _average([_value(row, rest) for row in runs[name]])
        return value if rest == key else 1 - value

    rows = []
    for what, name, key, other, bound, goal in _GOALS:
        if name not in runs or (other or name) not in runs:
            continue
        value = measured(name, key) / (measured(other, key) if other else 1.0)
        met = value <= goal if bound == "at most" else value >= goal
        outcome = "met" if met else f"missed by {abs(value / goal - 1):.0%}"
        rows.append([what, f"{value:.4g}", f"{bound} {goal:g}", outcome, len(runs[name])])
    return _markdown("goal | measured | wanted | outcome | seeds", rows)


def _is_of(result: Result, model: str) -> bool:
    return any(node.get("type", "").endswith(f":{model}") for node in _nodes(result["experiment"]))


def _sequences(runs: Mapping[str, Sequence[Result]]) -> str:
    """What sequence-to-sequence models say of the test split, and how it was trained."""
    header = (
        "model | parameters (body) | steps | tokens | perplexity | tokens right | sentences exact | in place | "
        "wall time | seeds"
    )
    columns = (("perplexity", 2), ("accuracy", 4), ("translations/exact", 4), ("translations/tokens", 4))
    rows = [
        [
            *_training(name, seeds[0]),
            *(_mean([_value(row, key) for row in seeds], digits) for key, digits in columns),
            _minutes(seeds),
            len(seeds),
        ]
        for name, seeds in runs.items()
    ]
    return _markdown(header, rows)


def _bleu(runs: Mapping[str, Sequence[Result]]) -> str:
    """BLEU on the test split, with the signature of how it was counted."""
    header = "model | BLEU | signature | seeds"
    rows = [
        [
            _label(name),
            _mean([_value(row, "translations/bleu") for row in seeds], 2),
            ", ".join(
                sorted({f"`{row['metrics']['translations/signature']}`".replace("|", r"\|") for row in seeds})
            ),
            len(seeds),
        ]
        for name, seeds in runs.items()
        if _value(seeds[0], "translations/bleu") is not None
    ]
    return _markdown(header, rows)


def _densities(runs: Mapping[str, Sequence[Result]], baselines: Iterable[Result]) -> dict[str, str]:
    """Flows and simple estimators by what they are fitted to: densities that are known, and tables of measurements."""
    rows = [_estimated(row) for result in baselines for row in result["rows"]]
    rows += [_fitted(name, seeds) for name, seeds in runs.items() if _is_of(seeds[0], "DensityEstimator")]
    rows.sort(key=lambda row: row["points"])  # a stable order: the simple ones first
    known = [row for row in rows if row["KL from the truth"] is not None]
    others = [
        {heading: cell for heading, cell in row.items() if heading not in ("KL from the truth", "mass")}
        for row in rows
        if row["KL from the truth"] is None
    ]
    return {
        name: _markdown(" | ".join(table[0]), [list(row.values()) for row in table])
        for name, table in (("densities-known", known), ("densities-tables", others))
        if table
    }


def _estimated(row: Mapping[str, Any]) -> dict[str, Any]:
    """A simple estimate's row, by heading; the distance is None where the truth is not known."""
    cells = {"points": row["corpus"], "model": row["model"], "parameters": "–", "steps": "–"}
    distance = f"{row['nats'] - row['truth']:.4f}" if "truth" in row else None
    cells |= {"nats": f"{row['nats']:.3f}", "KL from the truth": distance}
    costs = ("mass", "evaluations", "there and back", "by the fine solve", "wall time", "seeds")
    return cells | dict.fromkeys(costs, "–")


def _fitted(name: str, seeds: Sequence[Result]) -> dict[str, Any]:
    """A flow's row, likewise; errors are the largest over the seeds."""

    def mean(key: str, digits: int) -> str:
        return _mean([_value(row, f"density/{key}") for row in seeds], digits)

    def largest(key: str) -> str:
        found = [value for row in seeds if (value := _value(row, f"density/{key}")) is not None]
        return f"{max(found):.0e}" if found else "–"

    return {
        "points": _corpus(seeds[0]),
        "model": _label(name),
        "parameters": _short(seeds[0]["parameters"]["total"]),
        "steps": f"{seeds[0]['steps']:,}",
        "nats": mean("nats", 3),
        "KL from the truth": mean("divergence", 4) if "density/truth" in seeds[0]["metrics"] else None,
        "mass": mean("mass", 4),
        "evaluations": mean("evaluations", 0),
        "there and back": largest("inverse"),
        "by the fine solve": largest("fine_inverse"),
        "wall time": _minutes(seeds),
        "seeds": len(seeds),
    }


def _images(runs: Mapping[str, Sequence[Result]]) -> str:
    """Classifiers of images: how good, how large, and what a training step takes."""
    header = (
        "model | parameters | steps | error, % | cross entropy, nats | calibration error | evaluations forward | "
        "backward | memory of a step | time of a step | device | wall time | seeds"
    )
    rows = []
    for name, seeds in runs.items():
        first, device = seeds[0], seeds[0]["device"]
        error = [None if (value := _value(row, "error")) is None else 100 * value for row in seeds]
        quality = [
            _mean([_value(row, key) for row in seeds], 4) for key in ("cross_entropy", "labels/calibration")
        ]
        asked = [_mean([_value(row, f"labels/{way}") for row in seeds], 0) for way in ("forward", "backward")]
        memory = _mean([row["memory"]["step_bytes"] / 2**20 for row in seeds], 0, spread=False)
        step = _mean([1000 * row["time"]["step"] / row["steps"] for row in seeds], 0, spread=False)
        rows.append(
            [
                _label(name),
                f"{first['parameters']['total']:,}",
                f"{first['steps']:,}",
                _mean(error, 2 if len(seeds) == 1 else 3),
                *quality,
                *asked,
                f"{memory} MiB",
                f"{step} ms",
                f"{device['count']} x {device['kind']}",
                _minutes(seeds),
                len(seeds),
            ]
        )
    return _markdown(header, rows)


def _exactness(runs: Mapping[str, Sequence[Result]]) -> str:
    """Error and evaluations of one trained model by tolerance, or by steps, a row each."""
    rows = []
    for name, seeds in runs.items():
        for key in seeds[0]["metrics"]:
            if not key.startswith("labels/error/"):
                continue
            setting = key.removeprefix("labels/error/")
            error = _mean([100 * row["metrics"][key] for row in seeds], 2)
            asked = _mean([_value(row, f"labels/evaluations/{setting}") for row in seeds], 1)
            rows.append([_label(name), setting.replace("=", " "), error, asked, len(seeds)])
    return _markdown("model | solved with | error, % | evaluations | seeds", rows)


def _series(runs: Mapping[str, Sequence[Result]]) -> str:
    """Models of irregular series: how good, and what it took; with cross-validation a fold counts as a seed."""
    header = (
        "model | parameters | steps | error, % | area under the curve | its standard error | mean squared error | "
        "evaluations | wall time | seeds"
    )
    columns = (("mse", 6), ("solver/evaluations", 0))
    rows = [
        [
            _label(name),
            f"{seeds[0]['parameters']['total']:,}",
            f"{seeds[0]['steps']:,}",
            _mean([None if (share := _value(row, "error")) is None else 100 * share for row in seeds], 1),
            *_with_standard_error([_value(row, "labels/auc") for row in seeds]),
            *(_mean([_value(row, key) for row in seeds], digits) for key, digits in columns),
            _minutes(seeds),
            len(seeds),
        ]
        for name, seeds in runs.items()
    ]
    return _markdown(header, rows)


def _with_standard_error(values: Sequence[float | None]) -> tuple[str, str]:
    """The mean, as elsewhere, and its standard error over the seeds."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return _mean(values, 3), "–"
    return _mean(values, 3), f"{statistics.stdev(known) / len(known) ** 0.5:.3f}"


def _spirals(runs: Mapping[str, Sequence[Result]]) -> str:
    """Distances to the true paths, by how much was seen."""
    rows = []
    for name, seeds in runs.items():
        if _value(seeds[0], "rmse/after") is None:
            continue
        errors = [
            _mean([_value(row, f"rmse/{part}") for row in seeds], 4)
            for part in ("between", "after", "before")
        ]
        seen = seeds[0]["experiment"]["data"]["train"]["observed"]
        size = f"{seeds[0]['parameters']['total']:,}"
        rows.append(
            [seen, _label(name), size, f"{seeds[0]['steps']:,}", *errors, _minutes(seeds), len(seeds)]
        )
    header = "seen of 100 | model | parameters | steps | between | after | before | wall time | seeds"
    return _markdown(header, sorted(rows, key=lambda row: row[0]))


def _image_steps(results: Iterable[Result]) -> str:
    """What a training step takes, and over that of the residual network of one block, with quartiles."""
    rows = [
        [
            row["variant"].removeprefix("mnist_"),
            f"{row['parameters']:,}",
            row["rows"],
            _digits(row["milliseconds"]),
            f"{row['over_twin']:.2f}"
            + (f" [{row['low']:.2f}, {row['high']:.2f}]" if row["low"] < row["high"] else ""),
            f"{row['evaluations']:.0f}" if row["evaluations"] else "–",
            f"{row['temporary_bytes'] / 2**20:.0f}",
            result["accelerator"] or f"one core of {result['processor']}",
        ]
        for result in results
        for row in result["measured"]
    ]
    header = (
        "model | parameters | images | time of a step, ms | over resnet1 | forward | memory, MiB | device"
    )
    return _markdown(header, rows)


def _convolutions(results: Iterable[Result]) -> str:
    """Milliseconds of a convolution, alone and with its gradient, and ratios to ours."""
    cells: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for result in results:
        for row in result["measured"]:
            size = f"{row['side']} x {row['side']}"
            cells[size, row["place"], row["form"]] += [
                f"{row['milliseconds']:.2f}",
                f"{row['over_ours']:.2f}",
            ]
    header = "images | place | form | forward, ms | over ours | with gradient, ms | over ours"
    return _markdown(header, [[*key, *row] for key, row in cells.items()])


def _reading(results: Iterable[Result]) -> str:
    """What one process reads a second, over what is trained on, and over one process what several read."""
    header = "config | read a second | trained on a second | reading over training"
    rows, counts = [], []
    for result in results:
        for row in result["rows"]:
            counts = list(row["processes"])
            first = row["processes"][counts[0]]
            rows.append(
                [
                    row["config"],
                    f"{row['read']:,.0f}",
                    f"{row['trained']:,.0f}",
                    f"{row['read'] / row['trained']:,.0f}",
                    *(f"{row['processes'][count] / first:.2f}" for count in counts[1:]),
                ]
            )
    return _markdown(" | ".join([header, *(f"{count} processes over one" for count in counts[1:])]), rows)


def _moves(results: Iterable[Result]) -> str:
    """What was done on the page, and how much of a tenth of a second it took."""
    rows = []
    for result in results:
        for row in result["rows"]:
            times = row["milliseconds"]
            median, most = statistics.median(times), statistics.quantiles(times, n=20, method="inclusive")[-1]
            rows.append([row["name"], len(times), f"{median / 100:.2f}", f"{most / 100:.2f}"])
    header = "what is done | times | median, in tenths of a second | all but one of twenty within"
    return _markdown(header, rows)


def _battery(results: Iterable[Result]) -> str:
    """What was done to runs and files, how often, what must hold, and how often it did not."""
    rows = [
        [
            trial["name"],
            f"{trial['count']:,}",
            trial["bar"],
            trial["failed"],
            "; ".join(f"{what} {value:,.3g}" for what, value in trial["figures"].items()) or "–",
        ]
        for result in results
        for trial in result["trials"]
    ]
    return _markdown("what is done | times | what must hold | failed | figures", rows)


def _scale(results: Sequence[Result]) -> str:
    """What devices exchange in a step, what each holds, and how long it takes by published rates, a row each."""
    rows = []
    for result in results:
        for row in result["measured"]:
            predicted = [
                f"{1000 * one['computing']:.1f} + {1000 * one['sending']:.2f}"
                for one in row["predicted"].values()
            ]
            rows.append(
                [
                    row["config"],
                    f"{row['devices']:,}",
                    row["mode"],
                    row["fsdp"],
                    row["collectives"],
                    row["looped"],
                    f"{row['exchanged_bytes'] / 2**20:.1f}",
                    f"{row['memory_bytes'] / 2**20:.0f}",
                    *predicted,
                ]
            )
    names = [f"step on {name}, ms" for name in results[0]["accelerators"]]
    header = "config | devices | parallel | fsdp | exchanges | in loops | MiB exchanged | MiB a device"
    return _markdown(" | ".join([header, *names]), rows)


def _image_memory(results: Iterable[Result]) -> str:
    """Temporary memory by gradient method, a column for each number of evaluations."""
    cells: dict[str, dict[int, float]] = defaultdict(dict)
    for result in results:
        for row in result["measured"]:
            cells[row["method"]][row["evaluations"]] = row["bytes"] / 2**20
    counts = sorted({count for row in cells.values() for count in row})
    header = " | ".join(["gradient", *(f"{count} evaluations, MiB" for count in counts), "growth"])
    rows = [
        [name, *(f"{row[count]:.1f}" for count in counts), f"{row[counts[-1]] / row[counts[0]]:.2f}"]
        for name, row in cells.items()
    ]
    return _markdown(header, rows)


def _decoding(results: Iterable[Result]) -> str:
    """Seconds of decoding with an equation and without, and their ratio beside what it may be."""
    header = "model | sentences | seconds | twin | its seconds | ratio | wanted | outcome"
    rows = []
    for result in results:
        for row in result["rows"]:
            ratio, wanted = row["over_twin"], row["at_most"]
            outcome = "met" if ratio <= wanted else f"missed by {ratio / wanted - 1:.0%}"
            times = f"{row['seconds']:.2f}", row["twin"], f"{row['twin_seconds']:.2f}"
            rows.append(
                [row["model"], result["sentences"], *times, f"{ratio:.2f}", f"at most {wanted:g}", outcome]
            )
    return _markdown(header, rows)


def _collapse(results: Iterable[Result]) -> str:
    """What comes back of the sentences held out, in each set-up, over its seeds."""
    cells: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for result in results:
        for row in result["rows"]:
            cells[row["name"]].append(row)
    columns = (("loss", 2), ("tokens", 3), ("exact", 3), ("empty", 3), ("different", 0))
    header = "changed | parameters | loss, nats a token | tokens in place | sentences exact | empty | different | seeds"
    rows = [
        [
            name,
            _short(found[0]["parameters"]),
            *(_mean([row[key] for row in found], digits) for key, digits in columns),
            len(found),
        ]
        for name, found in cells.items()
    ]
    return _markdown(header, rows)


def _bounds(runs: Mapping[str, Sequence[Result]]) -> str:
    """What sentences cost in nats, and perplexities: by the bound on all tokens, and weighted on those named."""
    header = (
        "model | parameters (body) | steps | tokens | -ELBO | reconstruction | KL | perplexity by ELBO | "
        "importance-weighted nats | perplexity | test tokens | wall time | seeds"
    )
    rows = []
    for name, seeds in runs.items():
        first = seeds[0]
        elbo = [None if (value := _value(row, "elbo")) is None else -value for row in seeds]
        point = first["experiment"]["objective"].get("deterministic", False)
        terms = [[_value(row, key) for row in seeds] for key in ("reconstruction", "kl", "perplexity")]
        weighted = [[_value(row, f"iw/{key}") for row in seeds] for key in ("nats", "perplexity")]
        samples = _value(first, "iw/samples")
        tokens = _mean([_value(first, "iw/tokens")], 0)
        rows.append(
            [
                *_training(name, first),
                "–" if point else _mean(elbo, 2),
                _mean(terms[0], 2),
                "–" if point else _mean(terms[1], 2),
                "–" if point else _mean(terms[2], 1),
                _mean(weighted[0], 2),
                _mean(weighted[1], 1),
                tokens if samples in (None, 1) else f"{tokens} (IW-{samples:.0f})",
                _minutes(seeds),
                len(seeds),
            ]
        )
    return _markdown(header, rows)


def _metrics(runs: Mapping[str, Sequence[Result]], columns: Sequence[tuple[str, str, int]]) -> str:
    """A row a run that has any of the metrics, a column each."""
    header = " | ".join(["model", *(heading for heading, _, _ in columns)])
    return _markdown(header, _metric_rows(runs, [(key, digits) for _, key, digits in columns]))


def _walks(runs: Mapping[str, Sequence[Result]], prefix: str, columns: Sequence[tuple[str, str, int]]) -> str:
    """A row a run and way."""
    rows = []
    for name, seeds in runs.items():
        keys = (re.fullmatch(rf"{prefix}/(\w+)/\w+", key) for key in seeds[0]["metrics"])
        for way in dict.fromkeys(found[1] for found in keys if found):
            values = [
                _mean([_value(row, f"{prefix}/{way}/{key}") for row in seeds], digits)
                for _, key, digits in columns
            ]
            rows.append([_label(name), way, *values])
    return _markdown(" | ".join(["model", "way", *(heading for heading, _, _ in columns)]), rows)


def _is_adaptive(result: Result) -> bool:
    return result["config"].endswith("_adaptive")


def _regulariser(result: Result) -> tuple[str, float]:
    """What an experiment adds to make steps fewer, and how much of it."""
    for node in _nodes(result["experiment"]):
        if node.get("type", "").endswith(":Penalty"):
            for name in ("kinetic", "jacobian", "taylor"):
                if node[name]:
                    return name, node[name]
        if node.get("jitter"):
            return "random times", node["jitter"]
    return "none", 0.0


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(tree, Mapping):
        yield tree
    for child in tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list) else ():
        yield from _nodes(child)


def _evaluations(runs: Mapping[str, Sequence[Result]]) -> str:
    header = "regulariser | weight | steps | evaluations a sentence | rejected steps | perplexity | wall time | seeds"
    rows = []
    for seeds in sorted(runs.values(), key=lambda seeds: _regulariser(seeds[0])):
        kind, weight = _regulariser(seeds[0])
        numbers = [
            _mean([_value(row, key) for row in seeds], 1)
            for key in ("solver/evaluations", "solver/rejected", "perplexity")
        ]
        rows.append([kind, f"{weight:g}", f"{seeds[0]['steps']:,}", *numbers, _minutes(seeds), len(seeds)])
    return _markdown(header, rows)


def _gaps(runs: Mapping[str, Sequence[Result]]) -> str:
    columns = [(f"perplexity/gap{gap}", 1) for gap in GAPS] + [(f"accuracy/gap{gap}", 3) for gap in GAPS]
    header = " | ".join(
        ["model", *(f"perplexity, gap {gap}" for gap in GAPS), *(f"accuracy, gap {gap}" for gap in GAPS)]
    )
    return _markdown(header, _metric_rows(runs, columns))


def _shifts(runs: Mapping[str, Sequence[Result]]) -> str:
    """Accuracy of hidden tokens read beside their time; at it, from the same tokens where they were read there too."""
    shifts = {
        float(key.removeprefix("accuracy/shift"))
        for rows in runs.values()
        for key in rows[0]["metrics"]
        if key.startswith("accuracy/shift")
    }
    keys = {shift: f"accuracy/shift{shift:+g}" for shift in shifts}
    keys.setdefault(0.0, "accuracy")
    measured = {
        name: rows
        for name, rows in runs.items()
        if any(keys[shift] in rows[0]["metrics"] for shift in shifts)
    }
    names = [f"t {shift:+g}" if shift else "t" for shift in sorted(keys)]
    columns = [(keys[shift], 3) for shift in sorted(keys)]
    return _markdown(" | ".join(["model", *names]), _metric_rows(measured, columns))


def _words(
    baselines: Mapping[str, Sequence[Result]],
    runs: Mapping[str, Sequence[Result]],
    shown: Callable[[str], bool],
) -> str:
    """Spearman correlations, a column a set with the number of its pairs, a row a model and reading."""
    everyone = [*((_BASELINES[rows[0]["model"]], rows) for rows in baselines.values())]
    everyone += [(_label(name), rows) for name, rows in runs.items()]
    scored = [(label, rows) for label, rows in everyone if _sets(rows[0])]
    if not scored:
        return ""
    sets = list(dict.fromkeys(name for _, rows in scored for name in _sets(rows[0])))
    pairs = {name: _value(rows[0], f"wordsim/{name}/pairs") for _, rows in scored for name in _sets(rows[0])}
    header = " | ".join(
        ["model", "reading", *(f"{name} ({pairs[name]:.0f})" for name in sets), "unknown pairs", "seeds"]
    )
    rows = []
    for label, seeds in scored:
        for reading in filter(shown, _readings(seeds[0])):
            keys = [f"wordsim/{name}/{reading}" for name in sets]
            values = [_mean([_value(row, key) for row in seeds], 3) for key in keys]
            unknown = " / ".join(
                _mean([_value(row, f"{key}/oov") for row in seeds], 0, spread=False) for key in keys
            )
            rows.append([label, reading, *values, unknown, len(seeds)])
    return _markdown(header, rows)


def _sets(result: Result) -> list[str]:
    return [key.split("/")[1] for key in result["metrics"] if re.fullmatch(r"wordsim/[^/]+/pairs", key)]


def _readings(result: Result) -> list[str]:
    found = (re.fullmatch(r"wordsim/[^/]+/([^/]+)/oov", key) for key in result["metrics"])
    return list(dict.fromkeys(match[1] for match in found if match))


def _as_it_is(reading: str) -> bool:
    """Whether a reading has all its directions."""
    return not re.search(r"-\d+$", reading)


def _differences(comparisons: Iterable[Result], shown: Callable[[str], bool]) -> str:
    """Differences to gensim's vectors of the same seed, with 95 % intervals of the paired bootstrap."""
    cells: dict[tuple[str, int, str, str], dict[str, str]] = defaultdict(dict)
    for result in comparisons:
        for row in result["rows"]:
            if not row["baseline"].endswith(f"-seed{result['seed']}") or not shown(row["reading"]):
                continue
            baseline = _BASELINES[row["baseline"].split("-")[1]]
            label = _label(f"{result['config']}-{result['size']}")
            cell = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
            cells[label, result["seed"], row["reading"], baseline][row["set"]] = cell
    sets = list(dict.fromkeys(name for row in cells.values() for name in row))
    header = " | ".join(["model", "seed", "reading", "less", *sets])
    return _markdown(header, [[*key, *(row.get(name, "") for name in sets)] for key, row in cells.items()])


def _scores(runs: Mapping[str, Sequence[Result]], prefix: str, count: str) -> str:
    """Scores `<prefix>/...` with a row each, and a column each model."""
    scored = {
        name: rows
        for name, rows in runs.items()
        if any(key.startswith(prefix + "/") for key in rows[0]["metrics"])
    }
    keys = dict.fromkeys(
        key for rows in scored.values() for key in rows[0]["metrics"] if key.startswith(prefix + "/")
    )
    whole = (count, "skipped", "unknown", "cut")
    rows = []
    for key in keys:
        digits = 0 if key.rsplit("/", 1)[1] in whole else 3
        values = [_mean([_value(row, key) for row in seeds], digits) for seeds in scored.values()]
        rows.append([key.removeprefix(prefix + "/").replace("/", ", "), *values])
    return _markdown(" | ".join(["score", *map(_label, scored)]), rows)


def _by_device(results: Iterable[Result]) -> dict[str, list[Result]]:
    """The results by the end of their tables' names: none for those of a CPU, "-accelerator" for the others."""
    found: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        found["-accelerator" if result.get("accelerator") else ""].append(result)
    return found


def _solver_variants(result: Result) -> str:
    """What a training step took, with the quartiles of the rounds; evaluations are the mean and the most of a row.

    How long the first step took is told where it was measured.
    """
    first = all(found["first_seconds"] is not None for case in result["cases"] for found in case["variants"])
    time = "time" if result.get("accelerator") else "CPU time"
    header = (
        f"case | variant | evaluations | {time} of a step, ms | "
        f"{'CPU time to the end of the first, s | ' if first else ''}temporary memory, MiB | loss off by"
    )
    rows = []
    for case in result["cases"]:
        for found in case["variants"]:
            mean, most = found["evaluations"], found["most_evaluations"]
            low, middle, high = (1000 * found[key] for key in ("low", "seconds", "high"))
            memory, off = found["temporary_bytes"], found["loss_difference"]
            rows.append(
                [
                    case["name"],
                    found["name"],
                    f"{mean:.0f}" if mean == most else f"{mean:.1f} (to {most:.0f})",
                    f"{_digits(middle)} [{_digits(low)}, {_digits(high)}]",
                    *([f"{found['first_seconds']:.1f}"] if first else []),
                    "–" if memory is None else f"{memory / 2**20:.1f}",
                    "–" if off is None else f"{off:.0e}",
                ]
            )
    return _markdown(header, rows)


def _solver_ratios(results: Iterable[Result]) -> str:
    """Medians of paired ratios with their quartiles, beside what they ought to be."""
    rows = []
    for result in results:
        for case in result["cases"]:
            for found in case["comparisons"]:
                ratio = f"{found['ratio']:.2f}"
                if found["low"] != found["high"]:
                    ratio += f" [{found['low']:.2f}, {found['high']:.2f}]"
                target, outcome = "–", "–"
                if found["target"]:
                    ((bound, value),) = found["target"].items()
                    target = f"{bound.replace('_', ' ')} {value:.2f}"
                    outcome = "met" if found["met"] else f"missed by {found['missed_by']:.0%}"
                rows.append([result["workload"], case["name"], found["what"], ratio, target, outcome])
    return _markdown("workload | case | ratio | measured | target | outcome", rows)


def _solver_speeds(solvers: Mapping[str, Sequence[Result]]) -> str:
    """How many times as long as ours a step takes by diffrax and by the faster of torch's, on each kind of device."""
    cells: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    columns: dict[str, None] = {}
    for _, results in sorted(solvers.items()):
        for result in results:
            workload = re.split("[,;]", result["about"])[0]
            device = result.get("accelerator") or f"one core of {result['processor']}"
            for case in result["cases"]:
                for found in case["comparisons"]:
                    theirs, _, ours = found["what"].partition(" over odeembed")
                    if ours.endswith(("replay", "recursive")) and not theirs.startswith("odeembed"):
                        column = f"{'diffrax' if theirs == 'diffrax' else 'torch'}, {device}"
                        columns[column] = None
                        cells[workload, case["name"]][column] = f"{found['ratio']:.2f}"
    rows = [[*key, *(row.get(column, "–") for column in columns)] for key, row in cells.items()]
    return _markdown(" | ".join(["workload", "solve", *columns]), rows)


def _solver_circumstances(results: Iterable[Result]) -> str:
    rows = [
        [
            result["workload"],
            result.get("accelerator") or result["processor"],
            "one" if result["one_core"] else "any",
            result["rounds"],
            ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
            _commit(result),
        ]
        for result in results
    ]
    return _markdown("workload | processor | cores | rounds | versions | commit", rows)


def _commit(result: Result) -> str:
    return f"{(result['commit'] or 'unknown')[:10]}{', with changes' if result['clean'] is False else ''}"


def _precision(results: Iterable[Result]) -> str:
    """What a row takes on average with exact and with rounded products, and the relative error of all states."""
    cells: dict[tuple[str, str], list[str]] = defaultdict(list)
    kinds: list[str] = []
    for result in results:
        for row in result["rows"]:
            kinds += [row["products"]] if row["products"] not in kinds else []
            by = f"{row['steps']} steps an interval" if row["steps"] else f"{row['rtol']:.0e}"
            cells[row["field"], f"{row['solver']}, {by}"] += [
                f"{row['evaluations']:.1f}",
                f"{row['accepted']:.1f}, {row['rejected']:.1f}",
                f"{row['failed']} failed" if row["failed"] else f"{row['error']:.0e}",
            ]
    header = [
        f"{what}, {kind}" for kind in kinds for what in ("evaluations", "accepted and rejected", "error")
    ]
    return _markdown(" | ".join(["field", "solver", *header]), [[*key, *row] for key, row in cells.items()])


def _overheads(results: Iterable[Result]) -> str:
    """A row a workload and way, with the time and its ratio to bare evaluations, forward and with the gradient."""
    cells: dict[tuple[str, str, float], list[str]] = defaultdict(list)
    for result in results:
        for row in result["rows"]:
            cells[row["workload"], row["way"], row["evaluations"]] += [
                f"{row['milliseconds']:.2f}",
                f"{row['over_bare']:.2f}",
            ]
    header = "workload | way | evaluations | forward, ms | over bare | with gradient, ms | over bare"
    return _markdown(header, [[name, way, f"{count:.0f}", *row] for (name, way, count), row in cells.items()])


def adjoint_tables(result: Result) -> dict[str, str]:
    """What `bench adjoints` measured: on grids, over tolerance, what it advises, and where it was measured."""
    sizes, device, versions = result["sizes"], result["device"], result["versions"]
    facts = [
        f"{sizes['batch']} x {sizes['width']}",
        sizes["grid_solver"],
        sizes["solver"],
        sizes["repeats"],
        f"{device['kind']}, {device['cores']} cores" if device["kind"] == "cpu" else device["kind"],
        ", ".join(f"{name} {versions[name]}" for name in ("python", "jax", "diffrax")),
        _commit(result),
    ]
    header = "state | on a grid | with adaptive steps | samples of time | device | versions | commit"
    return {
        "adjoints-steps": _adjoint_table("steps", [row for row in result["rows"] if row["rtol"] is None]),
        "adjoints-tolerance": _adjoint_table(
            "rtol", [row for row in result["rows"] if row["rtol"] is not None]
        ),
        "adjoints-advice": f"{result['advice']}\n",
        "adjoints-circumstances": _markdown(header, [facts]),
    }


def order_table(result: Result) -> str:
    """What `bench orders` measured: for each problem and method the order seen, and the error by steps."""
    steps = sorted({row["steps"] for row in result["rows"]})
    shown = [count for count in steps if count in (4, 16, 64, 256)]
    cells: dict[tuple[str, str], dict[int, Result]] = defaultdict(dict)
    for row in result["rows"]:
        cells[row["problem"], row["method"]][row["steps"]] = row
    rows = []
    for (problem, method), found in cells.items():
        seen = [row["observed"] for _, row in sorted(found.items()) if row["observed"] is not None]
        errors = [f"{found[count]['error']:.0e}" if count in found else "–" for count in shown]
        order = next(iter(found.values()))["order"]
        rows.append([problem, method, order, f"{seen[-1]:.2f}" if seen else "–", *errors])
    header = " | ".join(["problem", "method", "order", "observed", *(f"{count} steps" for count in shown)])
    return _markdown(header, rows)


def _adjoint_table(by: str, rows: Sequence[Result]) -> str:
    header = (
        f"{by} | method | evaluations | temporary memory, MiB | CPU time of a gradient, ms | "
        "CPU time to compile, s | error | rounding | inexactness"
    )

    def shown(row: Result) -> list[str]:
        case = str(row["steps"]) if by == "steps" else f"{row['rtol']:.0e}"
        memory = "–" if row.get("bytes") is None else f"{row['bytes'] / 2**20:.2f}"
        compiling = "–" if row.get("compile_seconds") is None else f"{row['compile_seconds']:.1f}"
        if row["skipped"]:
            return [case, row["method"], "–", memory, f"left out: {row['skipped']}", compiling, "–", "–", "–"]
        off = ["–" if row[key] is None else f"{row[key]:.0e}" for key in ("error", "rounding", "inexactness")]
        milliseconds = _digits(1000 * row["seconds"])
        return [case, row["method"], f"{row['evaluations']:.0f}", memory, milliseconds, compiling, *off]

    return _markdown(header, [shown(row) for row in rows])


def _digits(number: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{number:,.{max(0, 2 - math.floor(math.log10(number)))}f}"


def _metric_rows(runs: Mapping[str, Sequence[Result]], columns: Sequence[tuple[str, int]]) -> list[list[Any]]:
    return [
        [_label(name), *(_mean([_value(row, key) for row in seeds], digits) for key, digits in columns)]
        for name, seeds in runs.items()
        if any(_value(seeds[0], key) is not None for key, _ in columns)
    ]


def _value(result: Result, key: str) -> float | int | None:
    return result["metrics"].get(key)


def _average(values: Sequence[float | int | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else math.nan


def _mean(values: Sequence[float | int | None], digits: int, spread: bool = True) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    text = f"{sum(known) / len(known):,.{digits}f}"
    half = (max(known) - min(known)) / 2
    return f"{text} ± {half:.{digits}f}" if spread and len(known) > 1 else text


def _label(name: str) -> str:
    """wikitext2_jump-full -> jump, full."""
    return name.partition("_")[2].replace("-", ", ").replace("_", " ") or name


def _short(number: float | int) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.0f}"


def _markdown(header: str, rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ""
    columns = header.split(" | ")
    lines = [columns, ["---"] * len(columns), *([str(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(paths: Sequence[str]) -> int:
    """Fills the tables of the files named, by default README.md and docs/*.md, and then draws docs/evaluations-*."""
    files = [Path(path) for path in paths] or [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
    for file in files:
        print(f"{file}: {'updated' if update(file) else 'up to date'}")
    if not paths:
        _draw(evaluations())
    return 0


def _draw(curves: Mapping[str, Mapping[str, Sequence[tuple[float, float, float]]]]) -> None:
    for corpus, kinds in curves.items():
        from odeembed.plots.evaluations import (
            evaluations_curve,
        )  # matplotlib: a second that the tables need not wait
        from odeembed.plots.figure import save

        text = f"Evaluations a sentence against held-out perplexity on {corpus}, by regulariser and weight."
        print(save(evaluations_curve(kinds), Path("docs") / f"evaluations-{corpus}.png", text))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
