"""Several processes, one on each host, as one run: how they find each other, agree, and part.

The engine is JAX's multi-controller runtime: every process runs the same program, and arrays span the devices of all.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from odeembed.errors import ConfigError, OdeembedError, RunError

HEARTBEAT = 20  # seconds without a sign of life after which a process counts as dead, and all others end
_WAIT = 300  # seconds that a process waits for the others to start
_TEXT = 1000  # bytes of an error that one process tells the others

T = TypeVar("T")


def join(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> bool:
    """Joins the other processes of this run; whether there are any.

    Without arguments they are found in the environment of a TPU slice, of Slurm and of Open MPI, or in the variables
    ODEEMBED_COORDINATOR, ODEEMBED_PROCESSES and ODEEMBED_PROCESS; elsewhere this process is alone. To be called before
    anything is computed.

    Args:
      coordinator: host:port of the first process, reachable from all.
      processes: how many there are.
      process: which this is, from 0.

    Raises:
      ConfigError: some of the three without the others, or numbers out of range.
      RunError: the others did not come.
    """
    given = _given(coordinator, processes, process)
    if given is None and not _announced(os.environ):
        return False
    if given is not None and given["num_processes"] == 1:
        return False
    named: dict[str, Any] = {} if given is None else given | {"cluster_detection_method": "deactivate"}
    try:
        jax.distributed.initialize(**named, initialization_timeout=_WAIT, heartbeat_timeout_seconds=HEARTBEAT)
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())[:300]
        raise RunError(
            f"the processes of this run did not find each other: {text}. Start as many as are announced, each with the "
            f"same --coordinator, which all must reach."
        ) from error
    return jax.process_count() > 1


def several() -> bool:
    """Whether this run has other processes."""
    return jax.process_count() > 1


def first() -> bool:
    """Whether this process is the one that writes what is written once."""
    return jax.process_index() == 0


def alone(action: Callable[[], T], name: str) -> T | None:
    """Lets the first process do something while the others wait; its errors are the errors of all.

    Returns:
      What the action returns, in the first process; None in the others.

    Raises:
      OdeembedError: as the action did; a RunError with its text in the other processes.
    """
    if not several():
        return action()
    found, told, failure = None, b"", None
    if first():
        try:
            found = action()
        except (OdeembedError, OSError) as error:
            failure, told = error, (str(error) or type(error).__name__).encode()[:_TEXT]
    padded = np.frombuffer(told.ljust(_TEXT, b"\0"), np.uint8)
    told = bytes(np.asarray(multihost_utils.broadcast_one_to_all(padded), np.uint8)).rstrip(b"\0")
    if failure is not None:
        raise failure
    if told:
        raise RunError(f"process 0, {name}: {told.decode(errors='replace')}")
    return found


def total(number: int) -> int:
    """The sum of a number over all processes."""
    if not several():
        return number
    halves = np.array([number >> 24, number & 0xFFFFFF], np.int32)  # JAX has no 64-bit integers by default
    high, low = np.asarray(multihost_utils.process_allgather(halves), np.int64).sum(0)
    return int(high << 24) + int(low)


def any_of(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    return total(int(flag)) > 0


def preempted(step: int) -> bool:
    """Whether a SIGTERM to any process asks all to stop after this step; to be asked by all after every step."""
    return several() and multihost_utils.reached_preemption_sync_point(step)


def wait(name: str) -> None:
    """Waits until all processes are here."""
    if several():
        multihost_utils.sync_global_devices(name)


def part() -> None:
    """Parts from the other processes once the work that needs them is done; what follows is local."""
    if several():
        wait("part")
        jax.distributed.shutdown()


def abandon(status: int) -> NoReturn:
    """Ends this process at once, without waiting for the others, which then end too, within a minute.

    An orderly exit would wait for them, while they wait for this one in the middle of a step.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if first():
        time.sleep(
            2
        )  # the others, if they fail likewise, go first: they are told when the coordinator is gone
    os._exit(status)


def _given(coordinator: str | None, processes: int | None, process: int | None) -> dict[str, Any] | None:
    environment = os.environ
    coordinator = coordinator or environment.get("ODEEMBED_COORDINATOR")
    numbers: list[int | None] = [processes, process]
    for place, name in enumerate(("ODEEMBED_PROCESSES", "ODEEMBED_PROCESS")):
        text = environment.get(name)
        if numbers[place] is None and text:
            if not text.isdigit():
                raise ConfigError(f"{name} must be a number of at least 0; got {text!r}.")
            numbers[place] = int(text)
    processes, process = numbers
    if coordinator is None and processes is None and process is None:
        return None
    if coordinator is None or processes is None or process is None:
        raise ConfigError(
            f"several processes need all of --coordinator HOST:PORT, --processes N and --process I; got {coordinator}, "
            f"{processes} and {process}. Give the three, or none."
        )
    if not 0 <= process < processes:
        raise ConfigError(
            f"--process must lie in 0..{processes - 1}, one number for each of --processes {processes}; got {process}."
        )
    host, colon, port = coordinator.rpartition(":")
    if not host or not colon or not port.isdigit():
        raise ConfigError(f"--coordinator must be HOST:PORT; got {coordinator!r}. Use e.g. 10.0.0.1:8476.")
    return {"coordinator_address": coordinator, "num_processes": processes, "process_id": process}


def _announced(environment: Mapping[str, str]) -> bool:
    """Whether the environment is one in which JAX finds several processes by itself."""
    counted = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
    if any(environment.get(name, "").isdigit() and int(environment[name]) > 1 for name in counted):
        return True
    if environment.get("MEGASCALE_COORDINATOR_ADDRESS"):
        return True
    return "," in environment.get("TPU_WORKER_HOSTNAMES", "")
