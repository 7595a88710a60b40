"""Runs as functions: what a directory holds, what is refused, and that results can be had again."""

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from odeembed import runs
from odeembed.data.sources import TextFiles
from odeembed.data.text import TextData
from odeembed.errors import ConfigError, DataError, MissingFileError, RunError
from odeembed.evaluate.neighbor_pairs import NeighborPairs
from odeembed.experiment import Experiment, fingerprint
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator, Transformer
from odeembed.objectives.masked_interpolation import MaskedInterpolation
from odeembed.runs import Run
from odeembed.train.optimizer import Optimizer


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    """Four hundred sentences of a small grammar."""
    rng = np.random.default_rng(0)
    choices = (["a", "the"], ["cat", "dog"], ["sees", "likes"], ["the"], ["tree", "house"])
    lines = [" ".join(rng.choice(words) for words in choices) for _ in range(400)]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def experiment(text: Path, **changes) -> Experiment:
    values = {
        "data": TextData(train=TextFiles((str(text),)), held_out=0.1, buckets=(8,), batch_tokens=64),
        "model": MaskedInterpolator(embed_dim=8, body=Jump(flow=JumpFlow(hidden=8))),
        "objective": MaskedInterpolation(gaps=1),
        "optimizer": Optimizer(warmup=2, peak=1e-2),
        "steps": 20,
        "log_every": 5,
        "evaluate_every": 10,
        "checkpoint_every": 10,
        "scores": (NeighborPairs(pairs=(("cat", "dog"), ("tree", "zebra")), removed=()),),
    }
    return Experiment(**values | changes)


def quiet(record) -> None:
    """A report that says nothing."""


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory) -> Path:
    """A finished run."""
    path = tmp_path_factory.mktemp("runs") / "run"
    assert runs.train(experiment(text), path, config="grammar", report=quiet) is not None
    return path


def test_a_run_directory_holds_all_that_later_commands_need(trained, text):
    plan = runs.read_plan(trained)
    assert plan == runs.Plan(experiment(text), "grammar", "small", ())
    result = runs.read_result(trained / "result.json")
    assert result["fingerprint"] == fingerprint(experiment(text))
    assert (result["config"], result["size"], result["seed"], result["steps"]) == ("grammar", "small", 0, 20)
    assert result["device"]["count"] == len(jax.local_devices())
    params = Run.open(trained).params
    assert result["parameters"]["total"] == sum(leaf.size for leaf in jax.tree.leaves(params))
    assert 0 < result["parameters"]["body"] < result["parameters"]["total"]
    assert result["metrics"]["neighbors/oov/embedding"] == 1  # zebra
    assert math.isclose(result["metrics"]["perplexity"], math.exp(result["metrics"]["nll"]), rel_tol=1e-6)


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """A score whose files are not there."""

    def __call__(self, run):
        raise MissingFileError("no such file: 'words.txt'")


def test_a_score_without_its_files_is_left_out_of_a_result_and_an_error_when_asked_for(trained):
    run, told = Run.open(trained), []
    run = dataclasses.replace(
        run, experiment=dataclasses.replace(run.experiment, scores=(Elsewhere(), *run.experiment.scores))
    )
    assert run.score(told.append) == Run.open(trained).score()
    assert told == ["Elsewhere is left out: no such file: 'words.txt'"]
    with pytest.raises(MissingFileError, match=r"words\.txt"):
        run.score()


def test_opening_a_run_does_not_touch_the_corpus(trained, monkeypatch):
    monkeypatch.setattr(TextData, "open", None)
    run = Run.open(trained)
    assert run.vectors().neighbors("cat", 1)
    assert len(run.infill("the ___ sees the tree").candidates) == 1
    assert run.step in (10, 20)


def test_evaluating_again_gives_the_recorded_metrics(trained):
    recorded = runs.read_result(trained / "result.json")["metrics"]
    again = Run.open(trained).evaluate("test")
    for name in ("nll", "accuracy", "top10", "solver/evaluations"):
        assert again[name] == recorded[name]
    assert again["milliseconds"] > 0


def test_solver_settings_can_be_traded_after_training(trained):
    run = Run.open(trained)
    few, many = (run.with_solver(steps=steps).evaluate("test") for steps in (1, 3))
    assert many["solver/evaluations"] == 3 * few["solver/evaluations"]
    assert few["solver/evaluations"] == run.evaluate("test")["solver/evaluations"]
    assert run.with_solver(rtol=1e-2).model.body.flow.config.steps is None
    with pytest.raises(ConfigError, match="rtol and atol"):
        run.with_solver(rtol=3.0)


def test_a_model_without_an_equation_has_no_solver_settings(trained):
    run = Run.open(trained)
    discrete = dataclasses.replace(run, model=run.model.clone(body=Transformer()))
    with pytest.raises(ConfigError, match="solves no equation"):
        discrete.with_solver(steps=2)


def test_a_diagnosis_measures_the_run_s_own_sentences_under_every_gradient_method(trained):
    run = Run.open(trained)
    found = {figure.name: figure for figure in run.diagnose(rows=2)}
    assert {"body.flow.forward lipschitz", "return replay", "gradient direct", "failed"} <= set(found)
    assert found["gradient direct"].value < 1e-5 and "of 2 rows" in found["failed"].meaning
    discrete = run.model.clone(body=Jump(flow=JumpFlow(hidden=8, field=None)))
    with pytest.raises(RunError, match="solves no equation"):
        next(dataclasses.replace(run, model=discrete).diagnose())
    run.__dict__["dataset"] = SimpleNamespace(evaluation=lambda split: iter(()))
    with pytest.raises(DataError, match="test split"):
        run.diagnose()


def test_another_experiment_in_the_directory_is_refused_by_its_differences(trained, text):
    with pytest.raises(
        RunError, match=r"another experiment \(optimizer.peak: 0.01, not 0.02; steps: 20, not 21\)"
    ):
        runs.train(experiment(text, steps=21, optimizer=Optimizer(warmup=2, peak=2e-2)), trained)
    with pytest.raises(RunError, match="finished"):
        runs.train(experiment(text), trained)


def test_what_may_have_begun_is_begun_or_continued_but_only_as_the_same_experiment(trained, text, tmp_path):
    short = experiment(text, steps=2, scores=())
    assert runs.train(short, tmp_path / "new", report=quiet, begun=True)
    before = (trained / "result.json").stat().st_mtime_ns
    found = runs.train(experiment(text), trained, report=quiet, begun=True)
    assert found == runs.read_result(trained / "result.json")
    assert (trained / "result.json").stat().st_mtime_ns == before
    with pytest.raises(RunError, match=r"already holds another experiment \(seed: 0, not 5\)"):
        runs.train(experiment(text, seed=5), trained, report=quiet, begun=True)


def test_an_unfinished_run_is_to_be_resumed(trained, text, tmp_path):
    import shutil

    unfinished = tmp_path / "run"
    shutil.copytree(trained, unfinished)
    (unfinished / "result.json").unlink()
    with pytest.raises(RunError, match=f"odeembed resume {unfinished}"):
        runs.train(experiment(text), unfinished)
    with pytest.raises(RunError, match="no result yet"):
        runs.publish(unfinished, tmp_path)
    result = runs.resume(unfinished, quiet)
    recorded = runs.read_result(trained / "result.json")
    measured = {name: value for name, value in result["metrics"].items() if name != "milliseconds"}
    assert measured == {name: value for name, value in recorded["metrics"].items() if name != "milliseconds"}


def test_a_directory_of_something_else_is_left_alone(text, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="not a run directory"):
        runs.train(experiment(text), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_mistake_before_the_first_step_leaves_the_directory_free(text, tmp_path):
    wrong = experiment(text, optimizer=Optimizer(frozen=("bodi",)))
    with pytest.raises(ConfigError, match="frozen"):
        runs.train(wrong, tmp_path / "run", report=quiet)
    runs._refuse_other(tmp_path / "run", runs.Plan(experiment(text)))


def test_a_run_that_names_other_code_is_refused(trained, tmp_path):
    plan = json.loads((trained / "experiment.json").read_text())
    plan["experiment"]["model"] = {"type": "subprocess:Popen", "args": "true"}
    (tmp_path / "experiment.json").write_text(json.dumps(plan))
    with pytest.raises(RunError, match="only hold classes of odeembed"):
        Run.open(tmp_path)
    (tmp_path / "experiment.json").write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        Run.open(tmp_path)
    with pytest.raises(RunError, match="not a run directory"):
        Run.open(tmp_path / "nowhere")


def test_publishing_and_reproducing(trained, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    published = runs.publish(trained, tmp_path / "results")
    assert published.name == "grammar-small-seed0.json"
    compared = runs.reproduce(published, tolerance=0.0)
    assert [line for line in compared if not line.within] == []
    names = {line.name for line in compared}
    assert {"nll", "accuracy", "neighbors/mrr/embedding"} <= names
    assert not [name for name in ("milliseconds", "nll/gap1", "valid/nll", "perplexity") if name in names]
    assert runs.resume(tmp_path / "runs" / "reproduce-grammar-small-seed0") is not None


def test_comparison_allows_the_spread_over_seeds_and_the_tolerance():
    recorded = {"metrics": {"nll": 4.0, "accuracy": 0.5, "wordsim/x/embedding": None}}
    other = {"metrics": {"nll": 4.5, "accuracy": 0.5}}
    again = {"metrics": {"nll": 4.4, "accuracy": 0.489}}
    lines = {line.name: line for line in runs.compare_results(recorded, again, [recorded, other], 0.02)}
    assert set(lines) == {"nll", "accuracy"}
    assert lines["nll"].allowed == 0.5 and lines["nll"].within
    assert math.isclose(lines["accuracy"].allowed, 0.01) and not lines["accuracy"].within
    assert not runs.compare_results(recorded, {"metrics": {}}, [recorded], 0.02)[0].within


def test_an_overridden_run_is_published_only_under_a_name_of_its_own(trained, tmp_path):
    import shutil

    changed = tmp_path / "run"
    shutil.copytree(trained, changed)
    plan = json.loads((changed / "experiment.json").read_text())
    (changed / "experiment.json").write_text(json.dumps(plan | {"overrides": ["--steps", "20"]}))
    with pytest.raises(RunError, match=r"--steps 20. Give it a --name"):
        runs.publish(changed, tmp_path)
    assert runs.publish(changed, tmp_path, "mine-seed0").name == "mine-seed0.json"


def test_the_demonstration_shows_words_gaps_and_files_and_is_not_trained_twice(text, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "experiments", {"small": experiment(text)})
    monkeypatch.setattr(runs, "DEMO_WORDS", ("cat", "zebra"))
    monkeypatch.setattr(runs, "DEMO_MIN_COUNT", 1)
    first = runs.demo(tmp_path / "demo")
    assert set(first.neighbors) == {"cat"} and len(first.neighbors["cat"]) == 6
    assert set(first.scores) == {"embedding"} and "___" not in first.filled.text
    assert [path.name for path in first.files if not path.is_file()] == []
    assert {"vectors.txt", "training.png"} <= {path.name for path in first.files}
    monkeypatch.setattr(runs, "train_loop", None)
    assert runs.demo(tmp_path / "demo") == first


def test_results_that_are_none_are_named(tmp_path):
    with pytest.raises(MissingFileError, match="no result"):
        runs.read_result(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(RunError, match="not a result"):
        runs.read_result(tmp_path / "x.json")


def test_the_commit_is_that_of_the_package_s_own_checkout(monkeypatch, tmp_path):
    import subprocess

    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", "-C", str(tmp_path)]
    package = tmp_path / "odeembed"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(runs, "__file__", str(package / "runs.py"))
    subprocess.run([*git, "init", "-q"], check=True)
    assert runs.commit_of_source() == (None, None)  # a checkout, but of something else
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    commit, clean = runs.commit_of_source()
    assert len(commit) == 40 and clean is True
    published = tmp_path / "benchmarks" / "results" / "x.json"
    published.parent.mkdir(parents=True)
    published.write_text("{}")
    assert runs.commit_of_source() == (commit, True)
    (package / "__init__.py").write_text("changed")
    assert runs.commit_of_source() == (commit, False)
    monkeypatch.setenv("ODEEMBED_COMMIT", "1" * 40)  # copied over that checkout
    assert runs.commit_of_source() == ("1" * 40, None)
