"""The command line: what is printed, what the exit status says, and that a mistake is one line."""

import dataclasses
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from odeembed import cli, errors, runs
from odeembed.evaluate import adjoints
from odeembed.evaluate.diagnosis import Figure
from odeembed.train.logs import TIMING, read_metrics

CONFIG = """
from odeembed.data.sources import TextFiles
from odeembed.data.text import TextData
from odeembed.experiment import Experiment
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator
from odeembed.objectives.masked_interpolation import MaskedInterpolation
from odeembed.train.optimizer import Optimizer

experiments = {
    "small": Experiment(
        data=TextData(train=TextFiles(("text.txt",)), held_out=0.1, buckets=(8,), batch_tokens=64),
        model=MaskedInterpolator(embed_dim=8, body=Jump(flow=JumpFlow(hidden=8))),
        objective=MaskedInterpolation(gaps=1),
        optimizer=Optimizer(warmup=2, peak=1e-2),
        steps=20,
        log_every=5,
        evaluate_every=10,
        checkpoint_every=10,
    )
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a config, its text and a run."""
    path = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    choices = (["a", "the"], ["cat", "dog"], ["sees", "likes"], ["the"], ["tree", "house"])
    lines = [" ".join(rng.choice(words) for words in choices) for _ in range(400)]
    (path / "text.txt").write_text("\n".join(lines) + "\n")
    (path / "grammar.py").write_text(CONFIG)
    before = os.getcwd()
    os.chdir(path)
    assert cli.main(["train", "grammar", "--run", "run"]) == 0
    yield path
    os.chdir(before)


def spoken(argv, capsys) -> tuple[int, str, str]:
    capsys.readouterr()
    try:
        status = cli.main(argv)
    except SystemExit as left:  # argparse's own --help
        status = int(left.code or 0)
    return status, *capsys.readouterr()


def test_help_names_every_verb(capsys):
    status, out, _ = spoken(["--help"], capsys)
    assert status == 0
    verbs = "train resume evaluate diagnose neighbors infill embed export plot data publish reproduce tables bench "
    verbs += "interpolate sample reconstruct encode translate trajectory report compare explore completion"
    assert all(re.search(rf"^    {verb}\b", out, re.M) for verb in [*verbs.split(), "doctor", "demo"])


@pytest.mark.parametrize("verb", ["train", "evaluate", "infill", "export", "reproduce", "bench"])
def test_every_verb_has_help(verb, capsys):
    status, out, _ = spoken([verb, "--help"], capsys)
    assert status == 0 and f"odeembed {verb}" in out


def test_help_after_a_config_lists_its_settings(folder, capsys):
    status, out, _ = spoken(["train", "grammar", "--help"], capsys)
    assert status == 0 and "--optimizer.peak FLOAT" in out and "--model.body.flow.hidden INT" in out


@pytest.mark.parametrize(
    "line, text",
    [
        ("", "required: VERB"),
        ("trian grammar", "unknown command 'trian'; did you mean train?"),
        ("train", "required: CONFIG"),
        ("train gramar", "no config 'gramar'.*did you mean grammar?"),
        ("train grammar --size full", "has no size 'full'; it has small"),
        ("train grammar --optimizer.peek 1", "--optimizer.peek does not exist; did you mean optimizer.peak?"),
        ("train grammar --optimizer.peak fast", "--optimizer.peak must be float; got 'fast'"),
        ("train grammar --optimizer.peak nan", "must be a finite number.*got nan"),
        ("train grammar --seed x", "invalid int value: 'x'"),
        ("train . --run r2", "'.' is no config"),
        ("train grammar --run r2 --model.embed_dim 0", "model.embed_dim must be at least 1; got 0"),
        ("train grammar --run text.txt/run", "Not a directory: text.txt/run"),
        ("train grammar --run run", "already holds this run, finished"),
        ("train grammar --run run --seed 1", r"another experiment \(seed: 0, not 1\)"),
        ("train grammar --run .", "not a run directory"),
        ("train grammar --run r2 --data.train.paths nowhere.txt", "nowhere.txt"),
        ("neighbors run catt", "Try cat"),
        ("neighbors run cat --kk 3", "unexpected '--kk 3'"),
        ("neighbors run cat -k 0", "argument -k: must be at least 1; got 0"),
        ("neighbors run cat --reading vectors", "Use one of embedding"),
        ("neighbors run cat --which 7", "no usable checkpoint 7"),
        ("neighbors nowhere cat", "not a run directory"),
        ("infill run thecat", "Write ___"),
        ("export run --format glove", "Use one of word2vec"),
        ("evaluate run --rtol 7", "rtol and atol must lie between 0 and 1"),
        ("evaluate run --rtol 1e-3 --solver rk4", "no error estimate"),
        ("diagnose run --rtol 1e-3 --solver rk4", "no error estimate"),
        ("diagnose run --rows 0", "rows must be at least 1; got 0"),
        ("diagnose nowhere", "not a run directory"),
        ("reproduce nowhere.json", "no result nowhere.json"),
        ("reproduce .", "Is a directory: '?.'?. Name another path"),
        ("resume .", "not a run directory"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(line, text, folder, capsys):
    status, out, err = spoken(line.split(), capsys)
    assert status == 2 and out == ""
    assert err.startswith("odeembed: ") and err.count("\n") == 1
    assert re.search(text, err)


def test_typed_overrides_reach_the_run_and_are_recorded(folder, capsys, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        runs, "train", lambda experiment, path, **facts: asked.update(vars(experiment), path=path, **facts)
    )
    argv = "train grammar --model.body.flow.hidden 4 --seed 3 --steps 1"
    status, _, err = spoken(argv.split(), capsys)
    assert (
        status == cli.STOPPED and "odeembed resume runs/grammar-small-seed3" in err
    )  # None: a signal stopped it
    assert asked["model"].body.flow.hidden == 4 and asked["seed"] == 3 and asked["steps"] == 1
    assert (asked["config"], asked["size"], asked["path"]) == (
        "grammar",
        "small",
        Path("runs/grammar-small-seed3"),
    )
    assert asked["overrides"] == ["--model.body.flow.hidden", "4", "--steps", "1"]


def test_neighbors_infill_embed_and_export(folder, capsys, monkeypatch, tmp_path):
    status, out, _ = spoken(["neighbors", "run", "cat", "dog", "-k", "2"], capsys)
    assert status == 0 and re.fullmatch(r"cat: \S+ -?\d\.\d+, \S+ .*\ndog: .*\n", out)

    status, out, err = spoken(["infill", "run", "the ___ sees zebra ___", "-k", "3"], capsys)
    first, second, text = out.splitlines()
    assert status == 0 and first.count(",") == second.count(",") == 2
    assert re.fullmatch(r"the \w+ sees zebra \w+", text) and "1 words" in err

    monkeypatch.setattr(sys, "stdin", open_bytes(tmp_path, b"the cat\n\nthe dog sees\n"))
    status, out, _ = spoken(["embed", "run"], capsys)
    numbers = [list(map(float, line.split())) for line in out.splitlines()]
    assert status == 0 and np.shape(numbers) == (3, 16)
    assert not any(numbers[1]) and any(numbers[0])

    monkeypatch.setattr(sys, "stdin", open_bytes(tmp_path, b"the cat\n\nthe dog sees\n"))
    assert spoken(["embed", "run", "--output", "vectors.npy"], capsys)[0] == 0
    np.testing.assert_allclose(np.load("vectors.npy"), numbers, rtol=1e-5, atol=1e-6)

    status, out, _ = spoken(["export", "run"], capsys)
    assert status == 0 and (folder / "run" / "vectors.txt").read_text().startswith("8 8\n")


def open_bytes(tmp_path: Path, content: bytes):
    file = tmp_path / "input"
    file.write_bytes(content)
    return file.open(encoding="utf-8")


def test_input_that_is_not_utf8_is_named_with_its_byte(folder, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", open_bytes(tmp_path, b"the cat\nthe \xff\n"))
    status, _, err = spoken(["embed", "run"], capsys)
    assert status == 2 and "line 2: byte 12 (0xff) is not UTF-8" in err


def test_diagnose_prints_each_figure_with_its_meaning(folder, capsys, monkeypatch):
    asked = []

    def measured(model, params, batch, under, rows):
        asked.append((under("direct").body.flow.config.adjoint, model.body.flow.config.steps, rows))
        yield Figure("return replay", 0.25, "what it is")
        yield Figure("return backsolve", float("nan"), "needs adaptive steps")

    monkeypatch.setattr(runs, "diagnose", measured)
    status, out, _ = spoken(["diagnose", "run", "--steps", "3", "--rows", "2"], capsys)
    assert status == 0 and asked == [("direct", 3, 2)]
    assert [re.split(" {2,}", line) for line in out.splitlines()] == [
        ["return replay", "0.25", "what it is"],
        ["return backsolve", "-", "needs adaptive steps"],
    ]


def test_evaluate_publish_and_data(folder, capsys, monkeypatch):
    status, out, _ = spoken(["evaluate", "run", "--steps", "2"], capsys)
    assert status == 0 and "nll" in out and "solver/evaluations" in out and "milliseconds" in out
    monkeypatch.setattr(runs.Run, "evaluate", lambda run, split: {"solver/failed": 0.25})
    status, out, error = spoken(["evaluate", "run", "--rtol", "1e-9"], capsys)
    assert status == 0 and "solver/failed" in out and "25% of the solves failed" in error
    monkeypatch.undo()
    assert spoken(["publish", "run"], capsys)[:2] == (0, "results/grammar-small-seed0.json\n")
    status, out, _ = spoken(["data", "grammar"], capsys)
    assert status == 0 and re.search(r"^vocabulary +10$", out, re.M)


def test_report_and_compare_write_their_pages(folder, capsys, tmp_path):
    status, out, _ = spoken(["report", "run"], capsys)
    assert status == 0 and out == f"The report is in {Path('run/report.html')}\n"
    assert "Sentences in time" in (folder / "run" / "report.html").read_text()
    page = tmp_path / "page.html"
    status, out, _ = spoken(["compare", "run", "run", "--output", str(page)], capsys)
    lines = out.splitlines()
    assert status == 0 and lines[0].split() == ["run", "run"]
    result = runs.read_result("run/result.json")["metrics"]
    assert ["perplexity", *[f"{result['perplexity']:.4g}"] * 2] in [line.split() for line in lines]
    assert lines[-1] == f"The curves are in {page}" and page.exists()
    assert spoken(["compare", "run", str(tmp_path)], capsys)[0] == 2


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_explore_tells_its_address_and_ends_by_an_interrupt(host, warned, folder, capsys, monkeypatch):
    asked = []

    def serve(explorer, host, port, *, browser, ready):
        asked.append((host, port, browser))
        ready("http://address/", None)
        raise KeyboardInterrupt

    monkeypatch.setattr("odeembed.pages.explore.serve", serve)
    status, out, err = spoken(["explore", "run", "--host", host, "--port", "80", "--no-browser"], capsys)
    assert status == 0 and asked == [(host, 80, False)]
    assert out == "The page is at http://address/ until Ctrl-C\n"
    assert ("without a password" in err) == warned


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_is_a_script_that_knows_the_verbs(shell, capsys, tmp_path):
    status, out, _ = spoken(["completion", shell], capsys)
    assert status == 0 and "trajectory" in out
    if shell == "bash":
        script = tmp_path / "completion.sh"
        script.write_text(
            f"{out}\nCOMP_WORDS=(odeembed exp) COMP_CWORD=1; _shtab_odeembed; echo ${{COMPREPLY[@]}}\n"
        )
        answer = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True)
        assert answer.stdout.split() == ["export", "explore"]
        assert "_shtab_odeembed_train_pos_0_COMPGEN=_shtab_compgen_files" in out


OWN = """
from dataclasses import replace

import flax.linen as nn
from grammar import experiments as grammar

from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator


class Decay(nn.Module):
    event_ndim = 1

    @nn.compact
    def __call__(self, t, y, context=None):
        return -nn.softplus(self.param("rate", nn.initializers.zeros, (y.shape[-1],))) * y


body = Jump(flow=JumpFlow(hidden=8, field=Decay()))
experiments = {"small": replace(grammar["small"], model=MaskedInterpolator(embed_dim=8, body=body))}
"""


def test_a_run_with_a_field_of_ones_own_is_reopened_by_naming_its_config(folder, capsys):
    (folder / "own.py").write_text(OWN)
    assert spoken(["train", "own.py", "--run", "own"], capsys)[0] == 0
    written = json.loads((folder / "own" / "experiment.json").read_text())
    assert written["experiment"]["model"]["body"]["flow"]["field"]["type"].startswith("own:Decay:")
    status, _, err = spoken(["neighbors", "own", "cat"], capsys)
    assert status == 2 and "'Decay' is a class that odeembed does not have" in err
    status, out, _ = spoken(["neighbors", "own", "cat", "--config", "own.py"], capsys)
    assert status == 0 and out.startswith("cat: ")
    for words in (["resume", "own"], ["report", "own"], ["compare", "own", "run"], ["publish", "own"]):
        assert spoken([*words, "--config", "own.py"], capsys)[0] == 0, words
    (folder / "own.py").write_text(OWN.replace("softplus", "relu"))
    status, _, err = spoken(["neighbors", "own", "cat", "--config", "own.py"], capsys)
    assert status == 2 and "Decay is not what it was" in err


def test_data_of_pairs(folder, capsys):
    source = 'TextFiles(("pairs.txt",)), unit="pair"'
    (folder / "pairs.py").write_text(CONFIG.replace('TextFiles(("text.txt",))', source))
    (folder / "pairs.txt").write_text("the cat\tdie Katze\na dog sees\tein Hund sieht ihn\n" * 100)
    status, out, _ = spoken(["data", "pairs"], capsys)
    assert status == 0
    numbers = dict(re.findall(r"^(\S+) +(\S+)$", out, re.M))
    assert numbers["splits.train.lines"] == numbers["lengths.<=8"] == numbers["shapes.1.examples"]
    assert numbers["vocabulary"] == "13"
    assert (numbers["shapes.1.source_length"], numbers["shapes.1.length"]) == ("8", "8")
    status, out, error = spoken(["data", "pairs", "--data.train.paths", "text.txt"], capsys)
    assert status == 2 and error.startswith("odeembed: data.train, line 1: no tab in ")


def test_exit_status_of_what_ends_a_command(monkeypatch, capsys):
    def raising(error):
        def perform(arguments):
            raise error

        monkeypatch.setattr(cli, "_doctor", perform)
        return spoken(["doctor"], capsys)

    assert raising(errors.TrainingError("the loss is NaN\nat step 3"))[::2] == (
        1,
        "odeembed: the loss is NaN at step 3\n",
    )
    assert raising(errors.DataError("x"))[0] == 2
    assert raising(OSError(errno.ENOSPC, "No space left on device", "/x/y"))[::2] == (
        2,
        "odeembed: No space left on device: /x/y. Free some space there, or name a place on another disk.\n",
    )
    assert "Allow access there" in raising(OSError(errno.EROFS, "Read-only file system", "/x"))[2]
    assert raising(KeyboardInterrupt()) == (130, "", "")
    monkeypatch.setenv("ODEEMBED_TRACEBACK", "1")
    with pytest.raises(errors.DataError):
        raising(errors.DataError("x"))


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "odeembed", *words]


def test_a_reader_that_has_seen_enough_is_no_error(folder):
    listing = subprocess.Popen(command("train", "--help"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    listing.stdout.close()
    assert listing.stderr.read() == b"" and listing.wait() == 0


def until(condition, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def without_clock(path: Path) -> list[dict]:
    return [{key: v for key, v in line.items() if key not in TIMING} for line in read_metrics(path)]


@pytest.mark.slow
def test_kill_then_resume_gives_the_metrics_of_a_run_that_never_stopped(folder, capsys):
    settings = ["--steps", "300", "--checkpoint_every", "40"]
    assert spoken(["train", "grammar", "--run", "whole", *settings], capsys)[0] == 0

    started = subprocess.Popen(
        command("train", "grammar", "--run", "killed", *settings), stderr=subprocess.DEVNULL
    )
    until(lambda: (folder / "killed" / "checkpoints" / "80" / "sha256.json").exists())
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert not (folder / "killed" / "result.json").exists()

    resumed = subprocess.Popen(command("resume", "killed"), stderr=subprocess.PIPE)
    until(lambda: (folder / "killed" / "checkpoints" / "200" / "sha256.json").exists())
    resumed.send_signal(signal.SIGTERM)
    said = resumed.stderr.read().decode()
    assert resumed.wait() == cli.STOPPED, said
    assert "odeembed resume killed" in said

    assert spoken(["resume", "killed"], capsys)[0] == 0
    assert without_clock(folder / "killed") == without_clock(folder / "whole")


def test_bench_prints_tables_and_advice_and_writes_all_of_it(tmp_path, capsys, monkeypatch):
    """What was measured is made up here; tests/evaluate/test_adjoints.py measures."""
    grid = {"rtol": None, "skipped": None, "solver": "midpoint", "evaluations": 16.0, "compile_seconds": 1.25}
    grid |= {"seconds": 0.0125, "error": 2e-3, "rounding": 3e-7, "inexactness": 1e-16}
    rows = [grid | {"method": "replay", "steps": steps, "bytes": steps << 20} for steps in (8, 64)]
    rows.append(
        {"method": "backsolve", "steps": 64, "rtol": None, "solver": "midpoint", "skipped": "no such"}
    )
    rows.append(rows[0] | {"steps": None, "rtol": 1e-3, "inexactness": None})
    asked = []
    monkeypatch.setattr(adjoints, "measure", lambda lab, say: asked.append(lab) or rows)
    argv = ["bench", "adjoints", "--quick", "--width", "5", "--out", str(tmp_path / "out")]
    status, out, _ = spoken(argv, capsys)
    assert status == 0 and asked == [dataclasses.replace(adjoints.QUICK, width=5)]
    assert "| 8 | replay | 16 | 8.00 | 12.5 | 1.2 | 2e-03 | 3e-07 | 1e-16 |" in out
    assert "| 64 | backsolve | – | – | left out: no such | – | – | – | – |" in out
    assert "| 1e-03 | replay | 16 | 8.00 | 12.5 | 1.2 | 2e-03 | 3e-07 | – |" in out
    assert adjoints.advice(rows) in out
    assert (tmp_path / "out" / "adjoints.png").stat().st_size > 0
    written = json.loads((tmp_path / "out" / "adjoints.json").read_text())
    assert written["rows"] == rows and written["sizes"]["width"] == 5 and "jax" in written["versions"]


def test_bench_of_something_else_is_refused(capsys):
    status, _, err = spoken(["bench", "orders", "--width", "5"], capsys)
    assert status == 2 and "has no sizes" in err
    status, _, err = spoken(["bench", "everything"], capsys)
    assert status == 2 and "everything" in err


VAE = """
from dataclasses import replace
from grammar import experiments
from odeembed.evaluate.sentence_codes import Codes, ImportanceWeighted
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.objectives.sentence_vae import Annealing, SentenceELBO

decoder = JumpDecoder(JumpFlow(hidden=16, field=None, directions=("forward",)))
experiments = {
    "small": replace(
        experiments["small"],
        model=SentenceVAE(embed_dim=8, encoder=JumpFlow(8, None), decoder=decoder, latent=4),
        objective=SentenceELBO(Annealing(rise=10)),
        scores=(ImportanceWeighted(5), Codes(reconstructed=10)),
    )
}
"""


@pytest.fixture(scope="module")
def vae(folder):
    """A run of a sentence VAE in that folder."""
    (folder / "vae.py").write_text(VAE)
    assert cli.main(["train", "vae", "--run", "vae"]) == 0
    return "vae"


def test_interpolate_sample_reconstruct_and_encode(vae, capsys, monkeypatch, tmp_path):
    assert (
        cli.main(["interpolate", vae, "a cat sees the tree", "the dog likes the house", "--points", "4"]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["0.00", "0.33", "0.67", "1.00"]
    picture = tmp_path / "walk.png"
    command = ["interpolate", vae, "a cat sees the tree", "a dog", "--way", "spherical", "--beam", "2"]
    assert cli.main([*command, "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    assert cli.main(["sample", vae, "-n", "3"]) == 0
    once = capsys.readouterr().out
    assert len(once.splitlines()) == 3
    assert cli.main(["sample", vae, "-n", "3"]) == 0 and capsys.readouterr().out == once
    assert cli.main(["sample", vae, "-n", "3", "--seed", "1"]) == 0 and capsys.readouterr().out != once
    lines = b"a cat sees the tree\na dog likes the tree and the house too much\n"
    monkeypatch.setattr(sys, "stdin", open_bytes(tmp_path, lines))
    assert cli.main(["reconstruct", vae]) == 0
    out = capsys.readouterr()
    assert (
        len(out.out.splitlines()) == 2
        and "1 sentences were longer" in out.err
        and "not in the vocab" in out.err
    )
    monkeypatch.setattr(sys, "stdin", open_bytes(tmp_path, b"a cat sees the tree\n"))
    assert cli.main(["encode", vae, "--output", str(tmp_path / "codes.npy")]) == 0
    assert np.load(tmp_path / "codes.npy").shape == (1, 4)


def test_what_a_sentence_vae_cannot_do_is_named(vae, capsys, monkeypatch):
    for line, text in (
        (["interpolate", vae, "", "a cat"], "got an empty one"),
        (["interpolate", vae, "quux", "a cat"], "no word of 'quux' is in the vocabulary"),
        (["interpolate", vae, "a cat", "a dog", "--way", "crooked"], "no way 'crooked'"),
        (["interpolate", vae, "a cat", "a dog", "--way", "flow"], "needs a flow as prior"),
        (["sample", vae, "--temperature", "0"], "temperature must be positive"),
        (["sample", "run"], "has no codes"),
        (["sample", vae, "--output", "x.npy"], "--output takes the points"),
        (["infill", vae, "a ___ sees"], "models that interpolate"),
    ):
        assert cli.main(line) == 2
        found = capsys.readouterr().err
        assert text in found and found.count("\n") == 1


SEQ2SEQ = """
from dataclasses import replace
from grammar import experiments
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.seq2seq import Seq2Seq
from odeembed.objectives.sequence import SequenceNLL

decoder = JumpDecoder(JumpFlow(hidden=16, field=None, directions=("forward",)))
experiments = {
    "small": replace(
        experiments["small"],
        model=Seq2Seq(embed_dim=8, encoder=JumpFlow(8, None), decoder=decoder, latent=8, heads=1),
        objective=SequenceNLL(),
        steps=100,
    )
}
"""


@pytest.fixture(scope="module")
def seq2seq(folder):
    """A run of a sequence-to-sequence model in that folder, which has learned to say sentences of a few words."""
    (folder / "seq2seq.py").write_text(SEQ2SEQ)
    assert cli.main(["train", "seq2seq", "--run", "seq2seq"]) == 0
    return "seq2seq"


def test_translate_and_interpolate_at_a_time(seq2seq, capsys, monkeypatch, tmp_path):
    lines = b"a cat sees the tree\nthe dog likes the house\na zebra\n"
    for how in ([], ["--beam", "2", "--alpha", "0.6"]):
        monkeypatch.setattr(sys, "stdin", open_bytes(tmp_path, lines))
        status, out, err = spoken(["translate", seq2seq, *how], capsys)
        assert status == 0 and len(out.splitlines()) == 3 and "1 words" in err
        assert len(out.split()) > 5
    argv = ["interpolate", seq2seq, "a cat sees the tree", "the dog likes the house", "--at", "1.5"]
    status, out, _ = spoken([*argv, "--points", "3"], capsys)
    assert status == 0 and [line.split()[0] for line in out.splitlines()] == ["0.00", "0.50", "1.00"]


def test_trajectory_prints_a_line_a_token_and_writes_what_is_asked_for(
    seq2seq, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(sys, "stdin", open_bytes(tmp_path, b"a cat sees the tree\n"))
    said = spoken(["translate", seq2seq], capsys)[1].split()
    files = tmp_path / "path.png", tmp_path / "path.json"
    argv = ["trajectory", seq2seq, "a cat sees the tree", "--points", "4"]
    status, out, _ = spoken([*argv, "--plot", str(files[0]), "--json", str(files[1])], capsys)
    table = [re.split(" {2,}", line) for line in out.splitlines()]
    assert status == 0 and table[0] == ["word", "wins from", "to", "probability", "speed", "looks at"]
    assert [row[0] for row in table[1 : len(said) + 2]] == [*said, "(end)"]
    assert all(
        len(row) == 6 and row[5] in {"a", "cat", "sees", "the", "tree"} for row in table[1 : len(said) + 2]
    )
    assert re.match(r"\d+% of the words", out.splitlines()[len(said) + 2])
    assert files[0].read_bytes().startswith(b"\x89PNG")
    numbers = json.loads(files[1].read_text())
    assert [token["word"] for token in numbers["said"]] == [*said, "(end)"]
    assert len(numbers["times"]) == 5 * (len(said) + 1)


def test_what_a_sequence_to_sequence_run_cannot_do_is_named(seq2seq, vae, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", open_bytes(tmp_path, b"a cat\n\n"))
    for line, text in (
        (["translate", seq2seq], "got an empty one"),
        (["translate", "run"], "does not translate: MaskedInterpolator"),
        (["trajectory", "run", "a cat"], "does not translate: MaskedInterpolator"),
        (["trajectory", vae, "a cat"], "does not translate: SentenceVAE"),
        (["trajectory", seq2seq, "quux"], "no word of 'quux'"),
        (["trajectory", seq2seq, "a cat", "--points", "0"], "at least 1; got 0"),
        (["trajectory", seq2seq, "a cat", "--points", "2", "--plot", "a.bmp"], ".svg; got 'a.bmp'"),
        (["interpolate", seq2seq, "a cat", "a dog"], "this Seq2Seq has no codes"),
        (["interpolate", vae, "a cat", "a dog", "--at", "1"], "does not translate: SentenceVAE"),
        (["interpolate", seq2seq, "a cat", "a dog", "--at", "99"], "at a time from -1 to"),
        (["interpolate", seq2seq, "a cat", "a dog", "--at", "0", "--way", "hidden"], "--at mixes"),
    ):
        status, _, err = spoken(line, capsys)
        assert status == 2 and text in err and err.count("\n") == 1


def test_a_collapsed_code_is_a_warning_that_names_the_remedies(folder, capsys):
    assert cli.main(["train", "vae", "--run", "collapsed", "--objective.annealing.end", "30"]) == 0
    assert "no active unit" in capsys.readouterr().err


POINTS = """
from odeembed.data.densities import ToyDensity
from odeembed.data.points import PointData
from odeembed.evaluate.densities import Densities
from odeembed.experiment import Experiment
from odeembed.fields.mlp import MLPField
from odeembed.models.density import DensityEstimator
from odeembed.models.flow import ContinuousFlow
from odeembed.objectives.density import FlowMatching
from odeembed.solve.config import SolveConfig
from odeembed.train.optimizer import Optimizer

experiments = {
    "small": Experiment(
        data=PointData(*(ToyDensity("circles", n, seed) for seed, n in enumerate((400, 50, 50))), rows=64),
        model=DensityEstimator(ContinuousFlow(MLPField((16,), time=True), SolveConfig(solver="rk4", steps=2))),
        objective=FlowMatching(),
        optimizer=Optimizer(warmup=2, peak=1e-2),
        steps=20,
        log_every=5,
        evaluate_every=10,
        checkpoint_every=10,
        monitor="nats",
        scores=(Densities(rtol=1e-3, grid=20),),
    )
}
"""


@pytest.fixture(scope="module")
def points(folder):
    """A run on points."""
    (folder / "circles.py").write_text(POINTS)
    assert cli.main(["train", "circles", "--run", "points"]) == 0
    return folder / "points"


def test_a_run_on_points_is_measured_drawn_from_and_resumed(points, capsys):
    metrics = json.loads((points / "result.json").read_text())["metrics"]
    assert {"nats", "density/truth", "density/mass", "density/inverse"} <= set(
        metrics
    ) and "perplexity" not in metrics
    status, out, _ = spoken(
        ["evaluate", "points", "--solver", "dopri5", "--rtol", "1e-5", "--atol", "1e-5"], capsys
    )
    nats = float(re.search(r"^nats +(\S+)", out, re.M)[1])
    assert status == 0 and nats == pytest.approx(metrics["nats"], abs=0.05) and nats != metrics["nats"]
    status, out, _ = spoken(["sample", "points", "-n", "3"], capsys)
    assert status == 0 and np.loadtxt(out.splitlines()).shape == (3, 2)
    assert spoken(["sample", "points", "-n", "5", "--output", "drawn.npy"], capsys)[0] == 0
    np.testing.assert_allclose(np.load("drawn.npy")[:3], np.loadtxt(out.splitlines()), rtol=1e-5)
    status, out, _ = spoken(["diagnose", "points", "--rows", "2"], capsys)
    assert status == 0 and re.search(r"^gradient replay +\S+e-0[678]", out, re.M)
    assert spoken(["resume", "points"], capsys)[0] == 0


@pytest.mark.parametrize(
    "command",
    [["neighbors", "points", "a"], ["infill", "points", "a ___"], ["embed", "points"], ["translate", "points"],
     ["interpolate", "points", "a", "b"], ["export", "points"], ["encode", "points"]],
)  # fmt: skip
def test_what_needs_words_says_that_there_are_none(points, command, capsys):
    status, _, err = spoken(command, capsys)
    assert status == 2 and err.count("\n") == 1
    assert "trained on points, not on words" in err or "holds a DensityEstimator" in err
