"""Results of benchmarks as JSON, each with the circumstances it was measured in."""

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def circumstances(*packages: str) -> dict[str, Any]:
    """Commit, whether the tree was clean, versions and processor."""

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *command], capture_output=True, text=True, check=True
        ).stdout

    return {
        "commit": git("rev-parse", "HEAD").strip(),
        "clean": not git("status", "--porcelain", "--untracked-files=no").strip(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "machine": platform.machine(),
        "processor": _processor(),
    }


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
