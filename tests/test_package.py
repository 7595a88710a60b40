"""The package as a whole: what is shipped, what importing it costs, and which room may import which."""

import subprocess
import sys

import odeembed


def test_version_is_a_release_number() -> None:
    assert [part.isdigit() for part in odeembed.__version__.split(".")] == [True, True, True]


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import odeembed, sys; print(*sorted({'jax', 'flax', 'numpy', 'tensorflow_datasets'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []
