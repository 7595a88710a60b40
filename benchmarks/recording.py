"""Results of benchmarks as JSON, each with the circumstances it was measured in."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def circumstances(*packages: str) -> dict[str, Any]:
    """Commit, whether the tree was clean, versions, processor, and the accelerator if jax computes on one."""
    from odeembed.runs import commit_of_source

    commit, clean = commit_of_source()
    return {
        "commit": commit,
        "clean": clean,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "machine": platform.machine(),
        "processor": _processor(),
        "accelerator": accelerator(),
    }


def accelerator() -> str | None:
    """The name of the device that jax computes on; None where it is the CPU."""
    import jax  # not before: it counts the cores when it is imported

    device = jax.devices()[0]
    return None if device.platform == "cpu" else device.device_kind


def need_accelerator() -> None:
    """Ends the program in a line where jax computes on the CPU."""
    if accelerator() is None:
        raise SystemExit("jax has no accelerator here, see odeembed doctor. Leave out --accelerator.")


def result_file(folder: Path, name: str) -> Path:
    """Where a result is written: what was measured on an accelerator stands beside what was measured on a CPU."""
    return folder / (f"{name}.json" if accelerator() is None else f"{name}-accelerator.json")


def write_result(path: Path, result: dict[str, Any]) -> Path:
    """Writes one result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return path


def _processor() -> str:
    """The processor's name; Linux tells it in a file only."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
