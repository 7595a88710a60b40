"""How a process learns whether it has others."""

import pytest

from odeembed.errors import ConfigError, DataError
from odeembed.train import cluster


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("COORDINATOR", "PROCESSES", "PROCESS"):
        monkeypatch.delenv(f"ODEEMBED_{name}", raising=False)
    for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "TPU_WORKER_HOSTNAMES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cluster.jax.distributed, "initialize", lambda **given: calls.append(given))
    calls.clear()
    return monkeypatch


calls = []


def test_a_process_alone_starts_nothing():
    assert not cluster.join() and not cluster.join("localhost:1234", 1, 0)
    assert not calls and not cluster.several() and cluster.first()


def test_three_values_say_all_by_argument_or_by_the_environment(environment):
    cluster.join("10.0.0.1:8476", 2, 1)
    environment.setenv("ODEEMBED_COORDINATOR", "10.0.0.1:8476")
    environment.setenv("ODEEMBED_PROCESSES", "2")
    environment.setenv("ODEEMBED_PROCESS", "0")
    cluster.join()
    cluster.join(process=1)
    numbers = [(call["coordinator_address"], call["num_processes"], call["process_id"]) for call in calls]
    assert numbers == [("10.0.0.1:8476", 2, 1), ("10.0.0.1:8476", 2, 0), ("10.0.0.1:8476", 2, 1)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("10.0.0.1:8476", 2, None), r"all of --coordinator .* got 10\.0\.0\.1:8476, 2 and None"),
        ((None, None, 0), "all of --coordinator"),
        (("10.0.0.1:8476", 2, 2), r"--process must lie in 0\.\.1.*got 2"),
        (("10.0.0.1", 2, 1), r"--coordinator must be HOST:PORT; got '10\.0\.0\.1'"),
        ((":80", 2, 1), "HOST:PORT"),
        (("host:port", 2, 1), "HOST:PORT"),
    ],
)
def test_halves_and_numbers_out_of_range_are_refused(arguments, text):
    with pytest.raises(ConfigError, match=text):
        cluster.join(*arguments)
    assert not calls


def test_a_number_in_the_environment_that_is_none_is_named(environment):
    environment.setenv("ODEEMBED_PROCESSES", "two")
    with pytest.raises(ConfigError, match="ODEEMBED_PROCESSES must be a number of at least 0; got 'two'"):
        cluster.join()


@pytest.mark.parametrize(
    ("name", "alone", "several"),
    [
        ("SLURM_STEP_NUM_TASKS", "1", "4"),
        ("OMPI_COMM_WORLD_SIZE", "1", "2"),
        ("TPU_WORKER_HOSTNAMES", "a", "a,b"),
    ],
)
def test_launchers_that_announce_several_are_asked_for_the_rest(name, alone, several, environment):
    environment.setenv(name, alone)
    cluster.join()
    assert not calls
    environment.setenv(name, several)
    cluster.join()
    assert calls and "coordinator_address" not in calls[0]


def test_a_process_alone_agrees_with_itself():
    assert cluster.alone(lambda: 3, "counting") == 3
    assert cluster.total(2**40) == 2**40 and cluster.any_of(True) and not cluster.any_of(False)
    assert not cluster.preempted(7)
    cluster.wait("nobody")

    def fails():
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        cluster.alone(fails, "failing")
