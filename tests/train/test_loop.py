import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from odeembed.errors import ConfigError, DataError, RunError, TrainingError
from odeembed.train.checkpoint import Checkpoints
from odeembed.train.logs import TIMING, read_metrics
from odeembed.train.loop import train
from odeembed.train.state import init_state


def metrics(run_dir):
    """The lines of metrics.jsonl without the fields that time a run."""
    return [{k: v for k, v in line.items() if k not in TIMING} for line in read_metrics(run_dir)]


def interrupt_at(step):
    """A report that sends this process a stop signal when it sees the training line of a step."""

    def report(record):
        if record["kind"] == "train" and record["step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return report


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """A run that never stopped, with every feature that keeps something from step to step."""
    folder = tmp_path_factory.mktemp("whole")
    experiment = tiny.Experiment(ema=0.9, accumulate=2, patience=50)
    return experiment, folder, train(experiment, tiny.Text(), folder, report=tiny.silent)


def test_it_learns_and_says_how_it_went(whole):
    experiment, _, outcome = whole
    assert outcome.stopped == "finished" and outcome.steps == experiment.steps
    assert outcome.metrics["nll"] < 1.0 < np.log(16)
    assert outcome.compilations == 2
    assert outcome.best_step == 23
    assert outcome.seconds == pytest.approx(sum(outcome.time.values()), rel=0.1)
    assert outcome.peak_memory_bytes > 10**7 and outcome.step_bytes > 0


def test_tokens_are_the_real_ones(whole, tiny):
    experiment, _, outcome = whole
    assert outcome.tokens == sum(int(tiny.Text().batch(step).mask.sum()) for step in range(experiment.steps))


def test_lines_stand_at_the_multiples_and_at_the_end_in_order(whole):
    lines = metrics(whole[1])
    assert [line["step"] for line in lines] == [5, 10, 10, 15, 20, 20, 23, 23]
    assert [line["step"] for line in lines if line["kind"] == "eval"] == [10, 20, 23]
    assert lines[3]["epoch"] == 3.0 and "perplexity" in lines[2]


def test_checkpoints_stand_at_the_multiples_at_improvements_and_at_the_end(tiny, tmp_path):
    experiment = tiny.Experiment(steps=23, keep_latest=10)
    train(experiment, tiny.Text(), tmp_path, report=tiny.silent)
    assert Checkpoints(tmp_path).steps() == (7, 10, 14, 20, 21, 23)


def test_a_line_is_the_mean_over_all_tokens_of_its_window(tiny, tmp_path):
    experiment = tiny.Experiment(steps=5, evaluate_every=5)
    train(dataclasses.replace(experiment, log_every=1), tiny.Text(), tmp_path / "1", report=tiny.silent)
    train(experiment, tiny.Text(), tmp_path / "5", report=tiny.silent)
    text = tiny.Text()
    counts = [int(text.batch(step).mask[:, 1:].sum()) for step in range(5)]
    assert len(set(counts)) > 1  # else the mean of means would do
    losses = [line["loss"] for line in metrics(tmp_path / "1") if line["kind"] == "train"]
    (window,) = [line["loss"] for line in metrics(tmp_path / "5") if line["kind"] == "train"]
    assert window == pytest.approx(np.average(losses, weights=counts), rel=1e-6)


def test_products_are_rounded_in_steps_and_not_in_evaluations(tiny, tmp_path):
    seen = {}

    @dataclasses.dataclass(frozen=True)
    class Witness(tiny.Objective):
        def __call__(self, *rest):
            seen["step"] = jax.config.jax_default_matmul_precision
            return super().__call__(*rest)

        def evaluate(self, *rest):
            seen["evaluation"] = jax.config.jax_default_matmul_precision
            return super().evaluate(*rest)

    experiment = tiny.Experiment(steps=1, objective=Witness(), products="bfloat16")
    train(experiment, tiny.Text(), tmp_path, report=tiny.silent)
    assert seen == {"step": "bfloat16", "evaluation": None}


@pytest.mark.parametrize("stop", [5, 20])
def test_a_stop_signal_saves_and_the_resumed_run_equals_one_that_never_stopped(whole, tiny, tmp_path, stop):
    experiment, folder, _ = whole
    stopped = train(experiment, tiny.Text(), tmp_path, report=interrupt_at(stop))
    assert stopped.stopped == "signal" and stop <= stopped.steps < experiment.steps
    assert Checkpoints(tmp_path).steps()[-1] == stopped.steps
    outcome = train(experiment, tiny.Text(), tmp_path, resume=True, report=tiny.silent)
    assert (outcome.steps, outcome.stopped) == (23, "finished")
    assert outcome.tokens == whole[2].tokens and outcome.total_seconds > outcome.seconds
    assert metrics(tmp_path) == metrics(folder)
    equal(tmp_path, folder, experiment, tiny.Text())


def equal(one, other, experiment, text):
    """Whether the last states of two runs are equal to the bit."""
    model, optimizer = text.specialise(experiment.model), experiment.optimizer.build(experiment.steps)
    arguments = model, experiment.objective, optimizer, text.batch(0), 0, experiment.ema
    abstract = jax.eval_shape(lambda: init_state(*arguments))
    states = [Checkpoints(run).restore(abstract) for run in (one, other)]
    states = [state._replace(key=jax.random.key_data(state.key)) for state in states]
    jax.tree.map(np.testing.assert_array_equal, *states)


RUN = """
import sys, time
sys.path.insert(0, sys.argv[1])
from conftest import TinyExperiment, TinyText
from odeembed.train.loop import train

class SlowText(TinyText):
    def batch(self, step):
        time.sleep(0.03)
        return super().batch(step)

experiment = TinyExperiment(ema=0.9, accumulate=2, patience=50, steps=60, checkpoint_every=4)
train(experiment, SlowText(), sys.argv[2], resume=True)
"""


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_kill_9_and_resume_equals_a_run_that_never_stopped(tiny, tmp_path, seed):
    experiment = tiny.Experiment(ema=0.9, accumulate=2, patience=50, steps=60, checkpoint_every=4)
    train(experiment, tiny.Text(), tmp_path / "whole", report=tiny.silent)
    run, chance = tmp_path / "killed", random.Random(seed)
    command = [sys.executable, "-c", RUN, str(Path(__file__).parent), str(run)]
    for _ in range(2):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        before = len(read_metrics(run))
        deadline = time.monotonic() + 60
        while len(read_metrics(run)) <= before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.5))
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    outcome = train(experiment, tiny.Text(), run, resume=True, report=tiny.silent)
    assert outcome.steps == 60
    assert metrics(run) == metrics(tmp_path / "whole")
    equal(run, tmp_path / "whole", experiment, tiny.Text())


def test_resuming_before_the_first_checkpoint_begins_at_the_start(whole, tiny, tmp_path):
    experiment, folder, _ = whole
    (tmp_path / "metrics.jsonl").write_text('{"step": 5, "kind": "train"}\n')
    train(experiment, tiny.Text(), tmp_path, resume=True, report=tiny.silent)
    assert metrics(tmp_path) == metrics(folder)


def test_a_finished_run_resumes_to_its_outcome(whole, tiny):
    experiment, folder, outcome = whole
    again = train(experiment, tiny.Text(), folder, resume=True, report=tiny.silent)
    assert (again.steps, again.metrics, again.best_step) == (
        outcome.steps,
        outcome.metrics,
        outcome.best_step,
    )
    assert again.compilations == 0


def test_a_folder_with_checkpoints_is_not_overwritten(whole, tiny):
    experiment, folder, _ = whole
    with pytest.raises(
        RunError, match=r"already holds checkpoints up to step 23. Resume it, or name another"
    ):
        train(experiment, tiny.Text(), folder, report=tiny.silent)


def test_resuming_with_other_data_names_the_field(whole, tiny):
    experiment, folder, _ = whole
    other = tiny.Text()
    other.fingerprint = {**other.fingerprint, "corpus": {"sha256": "beef"}}
    with pytest.raises(ConfigError, match=r"corpus was \{'sha256': 'c0ffee'\}, is \{'sha256': 'beef'\}"):
        train(experiment, other, folder, resume=True, report=tiny.silent)


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ({"poisoned_step": 14}, r"steps 11 to 15: loss is nan; .*Lower optimizer.peak \(now 0.05\)"),
        (
            {"failing_step": 14},
            r"steps 11 to 15: solver/failed is 16 of 80 rows; .*Raise max_steps or loosen rtol",
        ),
        ({"poisoned_step": 13}, r"steps 11 to 14: loss is nan; .*the last good checkpoint is of step 10"),
    ],
)
def test_a_bad_step_ends_the_run_and_the_last_good_checkpoint_stays(tiny, tmp_path, objective, words):
    """The first two are seen when the window ends, the third when step 14 is about to be saved."""
    experiment = tiny.Experiment(objective=tiny.Objective(**objective))
    with pytest.raises(TrainingError, match=words):
        train(experiment, tiny.Text(), tmp_path, report=tiny.silent)
    assert Checkpoints(tmp_path).steps()[-1] == (10 if "to 14" in words else 14)
    assert np.isfinite(Checkpoints(tmp_path).restore_params("latest").params["readout"]["kernel"]).all()
    assert [line["step"] for line in metrics(tmp_path)] == [5, 10, 10]


def test_a_gradient_that_is_not_finite_is_seen_before_the_state_is_saved(tiny, tmp_path):
    # sqrt has a finite value and an infinite slope at 0: the loss shows nothing until a step later
    @dataclasses.dataclass(frozen=True)
    class Steep(tiny.Objective):
        def __call__(self, model, params, batch, key, step):
            means = super().__call__(model, params, batch, key, step)
            flat = 0.0 * params["readout"]["bias"].sum()
            steep = jax.numpy.sqrt(flat + jax.numpy.where(step == 6, 0.0, 1.0))
            return {**means, "loss": means["loss"]._replace(total=means["loss"].total + steep)}

    with pytest.raises(TrainingError, match="steps 6 to 7: gradient_norm is nan"):
        train(tiny.Experiment(objective=Steep()), tiny.Text(), tmp_path, report=tiny.silent)
    assert Checkpoints(tmp_path).steps() == ()


def test_patience_ends_a_run_that_does_not_improve_and_the_best_stays(tiny, tmp_path):
    still = dataclasses.replace(tiny.Experiment().optimizer, frozen=("embedding", "readout"))
    experiment = tiny.Experiment(optimizer=still, evaluate_every=3, patience=2, steps=100)
    outcome = train(experiment, tiny.Text(), tmp_path, report=tiny.silent)
    assert (outcome.stopped, outcome.steps) == ("patience", 9)  # best at 3, then 6 and 9 are equal to it
    assert outcome.steps == Checkpoints(tmp_path).steps()[-1]
    again = train(experiment, tiny.Text(), tmp_path, resume=True, report=tiny.silent)
    assert (again.stopped, again.steps) == ("patience", 9)


def test_a_metric_can_be_maximised(tiny, tmp_path):
    experiment = tiny.Experiment(
        monitor="-accuracy", steps=12, evaluate_every=2, checkpoint_every=2, keep_latest=9
    )
    train(experiment, tiny.Text(), tmp_path, report=tiny.silent)
    accuracy = {line["step"]: line["accuracy"] for line in metrics(tmp_path) if line["kind"] == "eval"}
    assert len(set(accuracy.values())) > 1
    assert accuracy[Checkpoints(tmp_path).best_step()] == max(accuracy.values())


def test_a_wrong_monitor_is_an_error_before_the_first_step(tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"got 'nl'. There are accuracy, nll, perplexity"):
        train(tiny.Experiment(monitor="nl"), tiny.Text(), tmp_path, report=tiny.silent)
    assert metrics(tmp_path) == []


def test_an_empty_valid_split_is_an_error_before_the_first_step(tiny, tmp_path):
    text = tiny.Text()
    text.evaluation = lambda split: iter(())
    with pytest.raises(DataError, match="the valid split has no batch"):
        train(tiny.Experiment(), text, tmp_path, report=tiny.silent)


def test_another_run_gives_the_start(whole, tiny, tmp_path):
    _, folder, _ = whole
    still = dataclasses.replace(tiny.Experiment().optimizer, frozen=("embedding", "readout"))
    numbered = tmp_path / "seed9"
    numbered.symlink_to(folder)
    experiment = tiny.Experiment(steps=1, init_from=f"{tmp_path}/seed{{seed}}", optimizer=still, seed=9)
    start = train(experiment, tiny.Text(), tmp_path / "next", report=tiny.silent)
    best, found = (Checkpoints(run).restore_params().params for run in (folder, tmp_path / "next"))
    jax.tree.map(np.testing.assert_array_equal, best, found)
    assert start.metrics["nll"] < 1.0
    wide = dataclasses.replace(experiment, model=tiny.Model(width=4))
    with pytest.raises(ConfigError, match=r"init_from .* another model; of another shape: .*readout/kernel"):
        train(wide, tiny.Text(), tmp_path / "wide", report=tiny.silent)


def test_a_part_of_another_run_gives_a_part_of_the_start(whole, tiny, tmp_path):
    _, folder, _ = whole
    still = dataclasses.replace(tiny.Experiment().optimizer, frozen=("embedding", "readout"))
    wide = tiny.Experiment(steps=1, init_from=str(folder), init_only=("embedding",), optimizer=still, seed=9)
    train(wide, tiny.Text(), tmp_path / "next", report=tiny.silent)
    best, found = (Checkpoints(run).restore_params().params for run in (folder, tmp_path / "next"))
    jax.tree.map(np.testing.assert_array_equal, best["embedding"], found["embedding"])
    assert (best["readout"]["kernel"] != found["readout"]["kernel"]).any()
    unknown = dataclasses.replace(wide, init_only=("encoder",))
    with pytest.raises(
        ConfigError, match=r"init_only must name parameters.*got encoder. There are embedding, readout"
    ):
        train(unknown, tiny.Text(), tmp_path / "unknown", report=tiny.silent)


def test_the_average_is_what_is_evaluated(tiny, tmp_path):
    plain = train(tiny.Experiment(steps=6), tiny.Text(), tmp_path / "plain", report=tiny.silent)
    average = train(tiny.Experiment(steps=6, ema=0.99), tiny.Text(), tmp_path / "ema", report=tiny.silent)
    losses = [
        [line["loss"] for line in metrics(tmp_path / name) if line["kind"] == "train"]
        for name in ("plain", "ema")
    ]
    assert losses[0] == losses[1] and plain.metrics["nll"] < average.metrics["nll"]


def test_a_full_disk_is_told_with_the_last_good_step(tiny, tmp_path, monkeypatch):
    from odeembed.train.logs import MetricsFile

    def write(self, record):
        if record["step"] > 10:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(MetricsFile, "write", write)
    with pytest.raises(
        TrainingError, match=r"full at step 15; the last good checkpoint is of step 14. Free space"
    ):
        train(tiny.Experiment(), tiny.Text(), tmp_path, report=tiny.silent)


def test_the_host_waits_for_the_device_once_a_window(tiny, tmp_path, monkeypatch):
    reads = []
    get = jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda tree: reads.append(0) or get(tree))
    experiment = tiny.Experiment(steps=20, log_every=10, evaluate_every=20, checkpoint_every=20)
    train(experiment, tiny.Text(), tmp_path, report=tiny.silent)
    assert len(reads) == 2 + 1 + 2  # two windows, the evaluation, and the check and copy of the checkpoint


def test_the_report_follows_the_run(tiny, tmp_path):
    records = []
    train(tiny.Experiment(steps=10), tiny.Text(), tmp_path, report=records.append)
    notices = [record["text"] for record in records if record["kind"] == "notice"]
    assert notices == [f"compiling the step for batches of shape 16x{length}" for length in (6, 10)]
    lines = [record for record in records if record["kind"] != "notice"]
    assert [line["step"] for line in lines] == [5, 10, 10]
    assert {line["entries"] for line in lines} == {"tokens"}
    assert lines[0]["steps"] == 10 and lines[0]["seconds_left"] > 0 == lines[-1]["seconds_left"]


def test_tensorboard_is_written_beside(tiny, tmp_path):
    pytest.importorskip("tensorboardX")
    train(tiny.Experiment(steps=5, tensorboard=True), tiny.Text(), tmp_path, report=tiny.silent)
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"train/loss" in events.read_bytes() and b"eval/nll" in events.read_bytes()


def test_the_first_step_is_the_golden_one(tiny, tmp_path):
    """Renew the numbers when the tiny model, its data, the random bits of jax or the optimizer's defaults change."""
    train(tiny.Experiment(steps=2, log_every=1), tiny.Text(), tmp_path, report=tiny.silent)
    first, second = [line for line in metrics(tmp_path) if line["kind"] == "train"]
    found = [first["loss"], first["gradient_norm"], second["loss"], second["gradient_norm"]]
    assert found == pytest.approx([2.8465494, 0.3935418, 2.7609080, 0.3972177], rel=1e-5)
