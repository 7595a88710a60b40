"""Tables say what the results say; a table, row or config with no result behind it fails."""

import json
import re

import pytest

from odeembed.errors import DataError
from odeembed.results import check, evaluations, tables, update


def make_run(folder, config, seed, size="full", **changes):
    metrics = {"nll": 4.0, "perplexity": 50.0 + 10 * seed, "accuracy": 0.25, "top10": 0.5}
    metrics |= {f"{name}/gap{gap}": gap + seed for gap in (1, 2, 4, 8) for name in ("perplexity", "accuracy")}
    metrics |= {"accuracy/shift-0.5": 0.125, "accuracy/shift+0.5": None}
    metrics |= {"wordsim/WS/pairs": 353.0, "wordsim/WS/embedding": 0.4, "wordsim/WS/embedding/oov": 7.0}
    metrics |= {"wordsim/WS/embedding-1": 0.5, "wordsim/WS/embedding-1/oov": 7.0}
    metrics |= {"sts/stsb-en-test/context/pearson": 0.61, "sts/stsb-en-test/pairs": 1379.0}
    result = {
        "config": config,
        "size": size,
        "seed": seed,
        "fingerprint": config,
        "commit": "0123456789abcdef",
        "clean": True,
        "steps": 4000,
        "tokens": 18_000_000,
        "seconds": 1200.0,
        "parameters": {"total": 3_456_000, "body": 400_000},
        "memory": {"step_bytes": 64 * 2**20},
        "device": {"kind": "cpu", "count": 1},
        "experiment": {"model": {"type": "odeembed.models.interpolator:MaskedInterpolator"}},
        "metrics": metrics,
    }
    path = folder / "results" / f"{config}-{size}-seed{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result | changes))


def make_benchmarks(folder):
    folder = folder / "benchmarks" / "results"
    folder.mkdir(parents=True)
    metrics = {"wordsim/WS/pairs": 353, "wordsim/WS/vectors": 0.641, "wordsim/WS/vectors/oov": 7}
    baseline = {"kind": "word_vectors", "corpus": "wiki", "model": "word2vec", "seed": 0, "metrics": metrics}
    (folder / "word_vectors-wiki-word2vec-seed0.json").write_text(json.dumps(baseline))
    row = {"set": "WS", "reading": "embedding", "difference": -0.04, "low": -0.1, "high": 0.02}
    rows = [row | {"baseline": f"wiki-word2vec-seed{seed}"} for seed in (0, 1)]
    shared = {"kind": "word_vectors_comparison", "config": "wiki_jump", "size": "full", "seed": 0}
    (folder / "word_vectors-comparison-wiki_jump-full-seed0.json").write_text(
        json.dumps(shared | {"rows": rows})
    )


@pytest.fixture
def checkout(tmp_path):
    for seed in (0, 1):
        make_run(tmp_path, "wiki_jump", seed)
    make_run(tmp_path, "wiki_gru", 0)
    make_benchmarks(tmp_path)
    return tmp_path


def cells(table):
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()]


def test_seeds_share_a_row_with_their_mean_and_half_range(checkout):
    header, _, gru, jump = cells(tables(checkout)["interpolation-wiki"])
    found = dict(zip(header, jump, strict=True))
    assert found["model"] == "jump, full"
    assert (found["perplexity"], found["accuracy"]) == ("55.0 ± 5.0", "0.250 ± 0.000")
    assert (found["parameters (body)"], found["tokens"], found["seeds"]) == ("3.46 M (400 k)", "18 M", "2")
    assert (found["training memory"], found["wall time"]) == ("64 MiB", "20 min")
    assert dict(zip(header, gru, strict=True))["perplexity"] == "50.0"


def test_the_index_traces_every_result_to_what_it_was_made_of(checkout):
    make_run(checkout, "wiki_gru", 1, clean=False, fingerprint="f" * 64)
    (checkout / "results" / "wiki_gru-full-seed0.json").unlink()
    header, _, gru, *jumps = cells(tables(checkout)["index"])
    made_of = ["result", "config", "size", "seed", "commit", "fingerprint", "device", "steps", "wall time"]
    assert header == made_of
    seen = dict(zip(made_of, gru, strict=True))
    assert (seen["result"], seen["config"], seen["seed"]) == ("`wiki_gru-full-seed1`", "`wiki_gru`", "1")
    assert (seen["commit"], seen["fingerprint"]) == ("`0123456789, with changes`", f"`{'f' * 10}`")
    assert (seen["device"], seen["steps"], seen["wall time"]) == ("1 x cpu", "4,000", "20 min")
    assert [row[0] for row in jumps] == ["`wiki_jump-full-seed0`", "`wiki_jump-full-seed1`"]


def test_gaps_and_shifts(checkout):
    _, _, gru, jump = cells(tables(checkout)["gaps-wiki"])
    assert gru[1:] == ["1.0", "2.0", "4.0", "8.0", "1.000", "2.000", "4.000", "8.000"]
    assert jump[1] == "1.5 ± 0.5"
    header, _, gru, _ = cells(tables(checkout)["shifts-wiki"])
    assert (header, gru) == (["model", "t -0.5", "t", "t +0.5"], ["gru, full", "0.125", "0.250", "–"])


def test_the_shift_of_zero_is_the_column_of_the_time_itself(checkout):
    result = json.loads((checkout / "results" / "wiki_gru-full-seed0.json").read_text())
    make_run(checkout, "wiki_gru", 0, metrics=result["metrics"] | {"accuracy/shift+0": 0.375})
    header, _, gru, _ = cells(tables(checkout)["shifts-wiki"])
    assert (header, gru) == (["model", "t -0.5", "t", "t +0.5"], ["gru, full", "0.125", "0.375", "–"])


def test_words_stand_beside_gensims(checkout):
    header, _, first, *rest = cells(tables(checkout)["words-wiki"])
    assert header == ["model", "reading", "WS (353)", "unknown pairs", "seeds"]
    assert first == ["word2vec (gensim)", "vectors", "0.641", "7", "1"]
    assert rest[1] == ["jump, full", "embedding", "0.400 ± 0.000", "7", "2"]
    assert any(row[1] == "embedding-1" for row in cells(tables(checkout)["readings-wiki"]))


def test_differences_are_to_the_same_seed(checkout):
    _, _, *rows = cells(tables(checkout)["differences-wiki"])
    assert rows == [["jump, full", "0", "embedding", "word2vec (gensim)", "-0.040 [-0.100, +0.020]"]]


def test_sentences_have_a_column_a_model(checkout):
    header, _, *rows = cells(tables(checkout)["sentences-wiki"])
    assert header == ["score", "gru, full", "jump, full"]
    assert rows[0] == ["stsb-en-test, context, pearson", "0.610", "0.610 ± 0.000"]


def test_gradient_methods_have_a_table_by_steps_and_one_by_tolerance(tmp_path):
    row = {"method": "replay", "steps": 8, "rtol": None, "solver": "midpoint", "skipped": None}
    row |= {"bytes": 3 << 19, "seconds": 0.25, "compile_seconds": 2.0, "evaluations": 16.4, "error": 2e-3}
    row |= {"rounding": 4e-7, "inexactness": 0.0}
    large = row | {"method": "direct", "skipped": "needs too much"}
    adaptive = row | {"steps": None, "rtol": 1e-4, "inexactness": None}
    result = {
        "kind": "adjoints",
        "sizes": {"batch": 32, "width": 64, "grid_solver": "midpoint", "solver": "dopri5", "repeats": 5},
        "commit": "0123456789abcdef",
        "clean": True,
        "versions": {"python": "3.11", "jax": "0.10", "diffrax": "0.7", "numpy": "2"},
        "device": {"platform": "cpu", "kind": "cpu", "count": 1, "cores": 2},
        "advice": "take replay.",
        "rows": [row, large, adaptive],
    }
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    (folder / "adjoints.json").write_text(json.dumps(result))
    found = tables(tmp_path)
    header, _, first, second = cells(found["adjoints-steps"])
    assert header[:2] == ["steps", "method"]
    assert first == ["8", "replay", "16", "1.50", "250", "2.0", "2e-03", "4e-07", "0e+00"]
    assert second == ["8", "direct", "–", "1.50", "left out: needs too much", "2.0", "–", "–", "–"]
    header, _, first = cells(found["adjoints-tolerance"])
    assert (header[0], first[0], first[-1]) == ("rtol", "1e-04", "–")
    assert found["adjoints-advice"] == "take replay.\n"
    assert cells(found["adjoints-circumstances"])[2][-1] == "0123456789"


def adaptive(folder, size, evaluations, jitter=0.0, **weights):
    penalty = {
        "type": "odeembed.solve.config:Penalty",
        "kinetic": 0.0,
        "jacobian": 0.0,
        "taylor": 0.0,
    } | weights
    tree = {"model": [{"penalty": penalty if weights else None}], "objective": {"jitter": jitter}}
    metrics = {
        "nll": 4.0,
        "perplexity": evaluations / 2,
        "solver/evaluations": evaluations,
        "solver/rejected": 1.5,
    }
    for seed in (0, 1):
        make_run(
            folder,
            "wiki_adaptive",
            seed,
            fingerprint=size,
            size=size,
            experiment=tree,
            metrics=metrics,
            steps=300,
        )


def test_adaptive_runs_have_a_table_of_their_own_and_are_a_curve(checkout):
    before = tables(checkout)
    adaptive(checkout, "small", 100.0)
    adaptive(checkout, "small-b", 60.0, kinetic=1.0)
    adaptive(checkout, "small-a", 80.0, kinetic=0.1)
    adaptive(checkout, "small-jitter", 90.0, jitter=0.4)
    after = tables(checkout)
    assert cells(after.pop("evaluations-wiki"))[2:] == [
        [kind, weight, "300", count, "1.5 ± 0.0", perplexity, "20 min", "2"]
        for kind, weight, count, perplexity in (
            ("kinetic", "0.1", "80.0 ± 0.0", "40.0 ± 0.0"),
            ("kinetic", "1", "60.0 ± 0.0", "30.0 ± 0.0"),
            ("none", "0", "100.0 ± 0.0", "50.0 ± 0.0"),
            ("random times", "0.4", "90.0 ± 0.0", "45.0 ± 0.0"),
        )
    ]
    assert after.pop("index") != before.pop("index")
    assert after == before
    assert evaluations(checkout)["wiki"] == {
        "none": [(0.0, 100.0, 50.0)],
        "kinetic": [(0.0, 100.0, 50.0), (0.1, 80.0, 40.0), (1.0, 60.0, 30.0)],
        "random times": [(0.0, 100.0, 50.0), (0.4, 90.0, 45.0)],
    }


def test_a_file_is_filled_and_then_found_right(checkout):
    page = checkout / "README.md"
    page.write_text("Before\n\n<!-- table: gaps-wiki -->\nold\n<!-- end table -->\nAfter\n")
    assert check(page, checkout) == ["gaps-wiki"]
    assert update(page, checkout)
    assert not update(page, checkout)
    assert check(page, checkout) == []
    text = page.read_text()
    assert text.startswith("Before\n\n<!-- table: gaps-wiki -->\n| model |")
    assert text.endswith("|\n<!-- end table -->\nAfter\n")
    make_run(checkout, "wiki_gru", 1)
    assert check(page, checkout) == ["gaps-wiki"]


def test_a_row_written_by_hand_is_found(checkout):
    page = checkout / "README.md"
    page.write_text("<!-- table: gaps-wiki -->\n<!-- end table -->\n")
    update(page, checkout)
    page.write_text(
        page.read_text().replace("<!-- end table -->", "| dreamt, full | 1.0 |\n<!-- end table -->")
    )
    assert check(page, checkout) == ["gaps-wiki"]


def test_a_table_without_results_is_refused(checkout):
    page = checkout / "README.md"
    page.write_text("<!-- table: gaps-novels -->\n<!-- end table -->\n")
    with pytest.raises(DataError, match=r"gaps-novels.*gaps-wiki"):
        update(page, checkout)


def test_seeds_of_different_experiments_are_refused(checkout):
    make_run(checkout, "wiki_gru", 1, fingerprint="another")
    with pytest.raises(DataError, match="wiki_gru-full"):
        tables(checkout)


def test_a_damaged_result_is_named(checkout):
    (checkout / "results" / "broken-seed0.json").write_text("{")
    with pytest.raises(DataError, match=r"broken-seed0\.json"):
        tables(checkout)


def test_no_results_make_no_tables(tmp_path):
    assert tables(tmp_path) == {}


def test_the_tables_of_this_checkout_are_what_its_results_say(root):
    for page in [root / "README.md", *(root / "docs").glob("*.md")]:
        assert check(page, root) == [], f"{page} is out of date: make tables"


def test_every_published_result_has_its_config(root):
    for path in (root / "results").glob("*.json"):
        result = json.loads(path.read_text())
        assert (root / "configs" / f"{result['config']}.py").is_file(), path
        assert re.search(rf"-seed{result['seed']}$", path.stem), path


WAYS = ("straight", "spherical", "hidden")


def make_coder(folder, config, seed, metrics, deterministic=False, size="full"):
    model = {"type": "odeembed.models.sentence_vae:SentenceVAE"}
    experiment = {"model": model, "objective": {"deterministic": deterministic}}
    make_run(folder, config, seed, size, metrics=metrics, experiment=experiment)


def test_goals_stand_beside_what_is_measured(tmp_path):
    for seed, perplexity in enumerate((120.0, 124.0)):
        metrics = {"iw/perplexity": perplexity, "kl": 5.0, "codes/active_units": 31.0}
        make_coder(tmp_path, "ptb_jump", seed, metrics, size="small")
    make_coder(tmp_path, "ptb_gru", 0, {"iw/perplexity": 122.0}, size="small")
    for config, share in (("grammar_jump", 0.92), ("grammar_autoencoder", 0.8)):
        make_coder(tmp_path, config, 0, {f"grammar/{way}/parse": share for way in WAYS}, size="small")
    rows = {row[0]: row[1:] for row in cells(tables(tmp_path)["vae-goals"])[2:]}
    assert rows["jump: perplexity over its twin's"] == ["1", "at most 1.02", "met", "2"]
    assert rows["jump: perplexity (Li et al. 2019)"] == ["122", "at most 96.9", "missed by 26%", "2"]
    assert rows["jump: active units"] == ["31", "at least 32", "missed by 3%", "2"]
    assert rows["grammar, straight: share that parses"] == ["0.92", "at least 0.9", "met", "1"]
    failing = rows["grammar, hidden: share that does not, over the autoencoder's"]
    assert failing == ["0.4", "at most 0.5", "met", "1"]
    assert "flow: perplexity (Bowman et al. 2016)" not in rows


def test_sentence_vaes_have_tables_of_their_own(checkout):
    bound = {"elbo": -100.0, "reconstruction": 94.0, "kl": 6.0, "perplexity": 120.0}
    weighted = {"iw/nats": 98.0, "iw/perplexity": 110.0, "iw/tokens": 82430.0, "iw/samples": 50.0}
    walked = {"walks/straight/perplexity": 80.0, "grammar/straight/parse": 0.95, "codes/active_units": 32.0}
    for seed in (0, 1):
        make_coder(checkout, "wiki_vae", seed, bound | weighted | walked | {"elbo": -100.0 - 2 * seed})
    make_coder(checkout, "wiki_autoencoder", 0, bound | {"samples/distinct": 0.5}, deterministic=True)
    found = tables(checkout)
    header, _, points, vae = cells(found["vae-wiki"])
    row = dict(zip(header, vae, strict=True))
    assert (row["model"], row["-ELBO"], row["KL"]) == ("vae, full", "101.00 ± 1.00", "6.00 ± 0.00")
    assert (row["perplexity"], row["test tokens"]) == ("110.0 ± 0.0", "82,430 (IW-50)")
    row = dict(zip(header, points, strict=True))
    assert (row["model"], row["-ELBO"], row["reconstruction"]) == ("autoencoder, full", "–", "94.00")
    assert cells(found["walks-wiki"])[2][:3] == ["vae, full", "straight", "80.0 ± 0.0"]
    assert cells(found["grammar-wiki"])[2][3] == "0.950 ± 0.000"
    assert cells(found["samples-wiki"])[2][3] == "0.500"
    assert [row[0] for row in cells(found["interpolation-wiki"])[2:]] == ["gru, full", "jump, full"]


def test_sequences_have_tables_of_their_own_and_bleu_its_signature(checkout):
    model = {"model": {"type": "odeembed.models.seq2seq:Seq2Seq"}}
    signature = "nrefs:1|tok:13a|version:2.6.0"
    for seed, exact in enumerate((0.5, 0.7)):
        metrics = {"perplexity": 2.0, "translations/exact": exact, "translations/tokens": 0.9}
        metrics |= {"translations/bleu": 30.0, "translations/signature": signature}
        metrics |= {"between/accuracy-0.5": 0.25, "between/length": 1.5, "probes/next/0.75": 0.75}
        make_run(checkout, "pairs_jump", seed, metrics=metrics, experiment=model)
    found = tables(checkout)
    header, _, row = cells(found["sequences-pairs"])
    assert dict(zip(header, row, strict=True))["sentences exact"] == "0.6000 ± 0.1000"
    (line,) = found["bleu-pairs"].splitlines()[2:]
    assert line == f"| jump, full | 30.00 ± 0.00 | `{signature}` | 2 |".replace("1|", r"1\|").replace(
        "a|", r"a\|"
    )
    assert "interpolation-pairs" not in found
    for table, column, value in (("between", "right at -0.5", "0.250"), ("probes", "next, 0.75", "0.750")):
        header, _, row = cells(found[f"{table}-pairs"])
        assert dict(zip(header, row, strict=True))[column] == f"{value} ± 0.000"


def test_what_made_sentences_collapse_has_a_row_a_set_up(checkout):
    row = {"name": "as published", "parameters": 715_902, "loss": 5.0, "tokens": 0.0, "exact": 0.0}
    row |= {"empty": 1.0, "different": 1}
    rows = [row, row | {"empty": 0.8}, row | {"name": "targets in place"}]
    result = {"kind": "collapse", "rows": rows}
    (checkout / "benchmarks" / "results" / "collapse.json").write_text(json.dumps(result))
    found = cells(tables(checkout)["collapse"])[2:]
    assert [line[0] for line in found] == ["as published", "targets in place"]
    assert found[0][5] == "0.900 ± 0.100" and found[1][-1] == "1"


def test_densities_stand_beside_simple_estimates_of_the_same_points(checkout):
    model = {"model": {"type": "odeembed.models.density:DensityEstimator"}}
    for seed in range(2):
        metrics = {"density/nats": 2.5 + seed / 10, "density/inverse": 3e-4 * (seed + 1), "nats": 2.5}
        make_run(checkout, "wine_planar", seed, metrics=metrics, experiment=model)
        metrics |= {"density/truth": 2.4, "density/divergence": 0.1, "density/mass": 1.0}
        make_run(checkout, "moons_flow", seed, metrics=metrics, experiment=model)
    rows = [
        {"corpus": "moons", "model": "Gaussian", "nats": 3.0, "truth": 2.4},
        {"corpus": "wine", "model": "Gaussian", "nats": 9.0},
    ]
    (checkout / "benchmarks" / "results" / "densities.json").write_text(
        json.dumps({"kind": "densities", "rows": rows})
    )
    found = tables(checkout)
    header, _, gaussian, flow = cells(found["densities-known"])
    assert dict(zip(header, gaussian, strict=True))["KL from the truth"] == "0.6000"
    row = dict(zip(header, flow, strict=True))
    assert (row["points"], row["model"], row["nats"]) == ("moons", "flow, full", "2.550 ± 0.050")
    assert (row["mass"], row["there and back"], row["by the fine solve"]) == ("1.0000 ± 0.0000", "6e-04", "–")
    header, _, gaussian, planar = cells(found["densities-tables"])
    assert gaussian[:2] == ["wine", "Gaussian"] and planar[:2] == ["wine", "planar, full"]
    assert "interpolation-moons" not in found


def write_result(folder, config, seed, **facts):
    """A result of a minute, at small size."""
    file = folder / "results" / f"{config}-small-seed{seed}.json"
    file.parent.mkdir(exist_ok=True)
    made = {"config": config, "size": "small", "seed": seed, "fingerprint": config, "seconds": 60.0}
    made |= {"commit": None, "clean": None, "device": {"count": 1, "kind": "cpu"}}
    file.write_text(json.dumps({**made, **facts}))


def test_images_have_rows_by_model_and_by_exactness(tmp_path):
    tree = {"type": "odeembed.models.image_classifier:ImageClassifier"}
    for seed, error in enumerate((0.004, 0.006)):
        metrics = {
            "error": error,
            "cross_entropy": 0.02,
            "labels/calibration": 0.01,
            "labels/forward": 20.0,
            "labels/backward": 26.0,
        }
        metrics |= {"labels/error/rtol=0.1": 2 * error, "labels/evaluations/rtol=0.1": 8.0}
        write_result(
            tmp_path,
            "mnist_odenet",
            seed,
            experiment={"model": tree},
            parameters={"total": 208266},
            memory={"step_bytes": 2**20},
            time={"step": 50.0},
            steps=100,
            metrics=metrics,
        )
    found = tables(tmp_path)
    assert not {"interpolation-mnist", "gaps-mnist"} & found.keys()
    row = found["images-mnist"].splitlines()[2]
    assert row.startswith(
        "| odenet, small | 208,266 | 100 | 0.500 ± 0.100 | 0.0200 ± 0.0000 | 0.0100 ± 0.0000 | 20 ± 0 | 26 ± 0 |"
    )
    assert row.endswith("| 1 MiB | 500 ms | 1 x cpu | 1 min | 2 |")
    assert (
        found["exactness-mnist"].splitlines()[2]
        == "| odenet, small | rtol 0.1 | 1.00 ± 0.20 | 8.0 ± 0.0 | 2 |"
    )


def test_series_have_rows_by_corpus_and_spirals_by_how_much_was_seen(tmp_path):
    def write(config, seed, train, metrics):
        tree = {"data": {"type": "odeembed.data.series:SeriesData", "train": train}}
        facts = {"experiment": tree, "parameters": {"total": 2987}, "steps": 2500, "metrics": metrics}
        write_result(tmp_path, config, seed, **facts)

    for seen in (100, 30):
        for seed in (0, 1):
            errors = {"mse": 0.01, "rmse/after": 0.1 + 0.1 * seed}
            write(f"spirals{seen}_rnn", seed, {"observed": seen}, errors)
    write("physionet_odernn", 0, {}, {"error": 0.1, "labels/auc": 0.8, "solver/evaluations": 150.0})
    for fold in range(3):
        write("physionet_rnn", fold, {}, {"error": 0.1, "labels/auc": 0.7 + 0.1 * fold})
    found = tables(tmp_path)
    assert found["spirals"].splitlines()[2:] == [
        f"| {seen} | rnn, small | 2,987 | 2,500 | – | 0.1500 ± 0.0500 | – | 1 min | 2 |" for seen in (30, 100)
    ]
    one, folds = found["series-physionet"].splitlines()[2:]
    assert one == "| odernn, small | 2,987 | 2,500 | 10.0 | 0.800 | – | – | 150 | 1 min | 1 |"
    assert "| 0.800 ± 0.100 | 0.058 |" in folds, "the spread 0.1 over the root of 3"
    assert "interpolation-physionet" not in found
