"""What every test stands on: a CPU with one device, caches of its own, and the corpora where there are any."""

import atexit
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Set before anything imports jax, and in the environment, so that the programs that tests start see it too.
os.environ["JAX_PLATFORMS"] = "cpu"
# Compiled programs are kept between runs of the tests (a program's key holds its text, jax's version and the
# flags); prepared corpora are not, since their key does not hold the code that prepares them.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(ROOT / ".pytest_cache" / "jax")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
# What is asked of programs holds of unoptimised ones too, which are compiled in two thirds of the time.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# So do programs of XLA's former code generator for CPUs, in half of the time that is left; newer versions have none.
if version("jaxlib") < "0.11":
    os.environ.setdefault(
        "XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    )
os.environ["ODEEMBED_COMPILE_CACHE"] = "0"
os.environ["ODEEMBED_CACHE"] = tempfile.mkdtemp(prefix="odeembed-tests-")
atexit.register(shutil.rmtree, os.environ["ODEEMBED_CACHE"], ignore_errors=True)
if "ODEEMBED_DATA" not in os.environ and (ROOT.parent / "shared" / "data").is_dir():
    os.environ["ODEEMBED_DATA"] = str(ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of corpora that $ODEEMBED_DATA names; the test is skipped where there is none."""
    folder = os.environ.get("ODEEMBED_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the corpora: set ODEEMBED_DATA to their folder")
    return Path(folder)
