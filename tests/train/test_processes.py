"""Several processes as one run, on this machine: the same losses, what a dead one does to the others, what then."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from odeembed.train.logs import TIMING, read_metrics

WORKER = """
import json, os, signal, sys
from pathlib import Path
folder, options = sys.argv[1], json.loads(sys.argv[2])
sys.path.insert(0, folder)
from odeembed.train import cluster
cluster.HEARTBEAT = 6
cluster.join(**options["join"])
import jax
from conftest import TinyExperiment, TinyText
from odeembed.train.loop import train
number, count = jax.process_index(), jax.process_count()

class Share(TinyText):
    def batch(self, step):
        if step == options.get("at") and number == options["process"]:
            if options["signal"] == "error":
                raise ValueError("a batch that only this process cannot read")
            os.kill(os.getpid(), getattr(signal, options["signal"]))
        return jax.tree.map(lambda x: x[number::count], super().batch(step))

try:
    outcome = train(TinyExperiment(**options["experiment"]), Share(), options["run"], resume=options["resume"])
    cluster.part()
except BaseException as error:
    print(type(error).__name__, error, file=sys.stderr)
    cluster.abandon(1)
if cluster.first():
    print(json.dumps([outcome.steps, outcome.tokens, outcome.stopped]))
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def ran(run, processes, devices, *, resume=False, timeout=240, experiment=None, **options):
    """The ended processes of a run: exit status, output, errors, and when each ended."""
    experiment = {"steps": 12, "checkpoint_every": 4, "evaluate_every": 6, "log_every": 2} | (
        experiment or {}
    )
    coordinator = f"127.0.0.1:{free_port()}"
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)}
    started = []
    for process in range(processes):
        join = {"coordinator": coordinator, "processes": processes, "process": process}
        given = {"join": join, "run": str(run), "resume": resume, "experiment": experiment, **options}
        output, errors = ((run.parent / f"{run.name}-{process}.{kind}").open("w+") for kind in ("out", "err"))
        command = [sys.executable, "-c", WORKER, str(Path(__file__).parent), json.dumps(given)]
        started.append(
            (subprocess.Popen(command, env=environment, stdout=output, stderr=errors), output, errors)
        )
    ended, deadline = {}, time.monotonic() + timeout
    while len(ended) < processes and time.monotonic() < deadline:
        time.sleep(0.05)
        for number, (process, *_) in enumerate(started):
            if number not in ended and process.poll() is not None:
                ended[number] = time.monotonic()
    found = []
    for number, (process, output, errors) in enumerate(started):
        process.kill()
        for file in (output, errors):
            file.seek(0)
        found.append(
            SimpleNamespace(
                status=process.wait(), out=output.read(), err=errors.read(), when=ended.get(number)
            )
        )
        output.close()
        errors.close()
    return found


def said(process):
    """The last line of its output; gloo writes some there before."""
    return json.loads(process.out.splitlines()[-1])


def lines(run):
    return [{name: value for name, value in line.items() if name not in TIMING} for line in read_metrics(run)]


def assert_same(found, wanted, rel):
    assert len(found) == len(wanted) > 0
    for line, other in zip(found, wanted, strict=True):
        assert line.pop("kind") == other["kind"]
        assert line == pytest.approx({name: other[name] for name in other if name != "kind"}, rel=rel)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """One process with four devices, and its metrics."""
    run = tmp_path_factory.mktemp("one") / "run"
    (process,) = ran(run, 1, 4)
    assert process.status == 0, process.err
    return SimpleNamespace(outcome=said(process), lines=lines(run))


def test_two_processes_have_the_losses_of_one_with_as_many_devices(one, tmp_path):
    processes = ran(tmp_path / "run", 2, 2, experiment={"tensor": 2})
    assert [process.status for process in processes] == [0, 0], processes[0].err + processes[1].err
    assert said(processes[0]) == one.outcome and "finished" not in processes[1].out
    assert "step 12/12" in processes[0].err and "step " not in processes[1].err  # one tells it
    assert_same(lines(tmp_path / "run"), one.lines, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["jit", "shard_map"])
def test_four_processes_have_the_losses_of_one(parallel, one, tmp_path):
    processes = ran(tmp_path / "run", 4, 2, experiment={"parallel": parallel})
    assert [process.status for process in processes] == [0] * 4, processes[0].err
    assert_same(lines(tmp_path / "run"), one.lines, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("process", "how", "status"), [(0, "SIGKILL", -9), (1, "SIGKILL", -9), (1, "error", 1)]
)
def test_when_one_dies_the_others_end_and_say_so_and_fewer_go_on(process, how, status, one, tmp_path):
    """The run is resumed by one process with two devices, and comes to the same numbers."""
    run = tmp_path / "run"
    processes = ran(run, 2, 2, process=process, at=10, signal=how)
    dead, other = processes[process], processes[1 - process]
    assert dead.status == status and other.status not in (0, None)
    assert 0 < other.when - dead.when < 60
    if process == 1:
        assert re.search(r"tasks are unhealthy.*\n1\n", other.err)
    (resumed,) = ran(run, 1, 2, resume=True)
    assert resumed.status == 0, resumed.err
    assert re.search("resumed after step [468]\n", resumed.err)  # step 6 was saved as the best so far
    assert said(resumed) == one.outcome
    assert_same(lines(run), one.lines, 1e-5)


@pytest.mark.slow
def test_a_run_goes_on_with_other_numbers_of_devices(tmp_path):
    """On eight devices, then two, one, and eight again, with parameters in parts where there are several."""
    long = {"steps": 200, "log_every": 1, "evaluate_every": 200, "checkpoint_every": 1000}
    (whole,) = ran(tmp_path / "whole", 1, 1, experiment=long)
    assert whole.status == 0, whole.err
    run, begun = tmp_path / "run", []
    for devices, at in ((8, 50), (2, 100), (1, 150), (8, None)):
        stop = {} if at is None else {"process": 0, "at": at, "signal": "SIGTERM"}
        layout = long | {"fsdp": min(devices, 2)}
        (process,) = ran(run, 1, devices, resume=run.exists(), experiment=layout, **stop)
        assert process.status == 0, process.err
        begun += [int(step) for step in re.findall(r"resumed after step (\d+)", process.err)]
    assert len(begun) == 3 and all(
        at - 5 < step <= at for step, at in zip(begun, (50, 100, 150), strict=True)
    )
    found, wanted = (
        [line for line in lines(one) if line["kind"] == "train"] for one in (run, tmp_path / "whole")
    )
    assert [line["step"] for line in found] == [line["step"] for line in wanted] == list(range(1, 201))
    for step in begun:  # the loss of the next step, counted from 0
        assert found[step]["loss"] == pytest.approx(wanted[step]["loss"], rel=1e-5)
    for line, other in zip(found, wanted, strict=True):
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("process", "name"), [(1, "SIGTERM"), (0, "SIGUSR1")])
def test_a_signal_to_one_stops_and_saves_all_at_the_same_step(process, name, one, tmp_path):
    run = tmp_path / "run"
    processes = ran(run, 2, 2, process=process, at=5, signal=name, experiment={"checkpoint_every": 100})
    assert [process.status for process in processes] == [0, 0], processes[0].err + processes[1].err
    steps, _, stopped = said(processes[0])
    assert stopped == "signal" and 3 <= steps < 12
    resumed = ran(run, 2, 2, resume=True)
    assert [process.status for process in resumed] == [0, 0], resumed[0].err
    assert f"resumed after step {steps}" in resumed[0].err and said(resumed[0]) == one.outcome
    assert_same(lines(run), one.lines, 1e-5)


@pytest.mark.slow
def test_an_error_of_the_first_is_the_error_of_all(tmp_path):
    (tmp_path / "run" / "checkpoints" / "3").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "3" / "file").write_text("no checkpoint")
    processes = ran(tmp_path / "run", 2, 1)
    assert [process.status for process in processes] == [1, 1]
    for process in processes:
        assert "already holds checkpoints up to step 3" in process.err
