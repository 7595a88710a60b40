"""The package as a whole: what is shipped, what importing it costs, and which room may import which."""

import ast
import importlib.metadata
import importlib.resources
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

import odeembed

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "odeembed"
MODULES = sorted(PACKAGE.rglob("*.py"))
FILES = [PACKAGE / "py.typed", *(PACKAGE / "pages").glob("*.js"), *(PACKAGE / "pages").glob("*.css")]

# A room may import the rooms in the lines above its own, and itself.
FLOORS = (
    ("errors",),
    ("batch", "mean", "precision"),
    ("fields", "data"),
    ("solve",),
    ("models", "decode"),
    ("objectives",),
    ("speak",),
    ("codes", "translate"),
    ("evaluate",),
    ("train",),
    ("plots", "experiment"),
    ("export", "results", "sentences"),
    ("demo", "doctor", "pages"),
    ("runs",),
    ("cli",),
    ("__main__",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# Libraries that one room keeps to itself, so that a change of theirs is met in one place.
KEPT = {"diffrax": "solve", "equinox": "solve", "orbax": "train", "optax": "train", "tyro": "experiment"}


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_names(source: str) -> Iterator[str]:
    """Full dotted names of all that a module imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def misplaced_imports(room: str, source: str) -> list[str]:
    """What a module of `room` imports and may not."""
    misplaced = []
    for name in imported_names(source):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        above = top == "odeembed" and other in FLOOR and other != room and FLOOR[other] >= FLOOR[room]
        kept = KEPT.get(top, room) != room
        heavy = room == "data" and top in {"jax", "jaxlib", "flax"}
        if above or kept or heavy:
            misplaced.append(name)
    return misplaced


def test_a_misplaced_import_is_noticed() -> None:
    assert misplaced_imports("fields", "from odeembed.solve.config import SolveConfig")
    assert misplaced_imports("fields", "from odeembed import mean") == []
    assert misplaced_imports("solve", "def f():\n  from odeembed import runs")
    assert misplaced_imports("models", "import diffrax as dfx")
    assert misplaced_imports("data", "import jax.numpy as jnp")
    assert (
        misplaced_imports("train", "import orbax.checkpoint as ocp\nfrom odeembed.evaluate import masked")
        == []
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.relative_to(PACKAGE).as_posix())
def test_rooms_import_only_the_rooms_below(module: Path) -> None:
    room = room_of(module)
    assert room == "__init__" or room in FLOOR, f"{room} has no place in FLOORS yet"
    if room == "__init__":
        assert list(imported_names(module.read_text())) == []
    else:
        assert misplaced_imports(room, module.read_text()) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.relative_to(PACKAGE).as_posix())
def test_no_private_name_of_another_module_is_used(module: Path) -> None:
    private = [name for name in imported_names(module.read_text()) if re.search(r"\._(?!_)", name)]
    assert private == []


def test_every_module_has_its_tests() -> None:
    tested = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    modules = (module.relative_to(PACKAGE) for module in MODULES if not module.name.startswith("__"))
    lacking = [str(module) for module in modules if module.with_name(f"test_{module.name}") not in tested]
    # errors.py holds names and no behaviour, batch.py the fields of a tuple.
    assert [module for module in lacking if module not in ("errors.py", "batch.py")] == []


def test_what_is_installed_is_typed_and_has_its_command() -> None:
    assert importlib.resources.files(odeembed).joinpath("py.typed").is_file()
    assert importlib.metadata.version("odeembed") == odeembed.__version__
    commands = importlib.metadata.entry_points(group="console_scripts", name="odeembed")
    assert [command.value for command in commands] == ["odeembed.cli:main"]


def test_wheel_holds_every_module_and_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(PACKAGE, source / "odeembed", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "configs").mkdir()
    (source / "configs" / "stray.py").touch()
    build = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"
    answer = subprocess.run(
        [sys.executable, "-c", build, tmp_path], cwd=source, capture_output=True, text=True, check=True
    )
    wheel = tmp_path / answer.stdout.split()[-1]
    shutil.unpack_archive(wheel, tmp_path / "wheel", "zip")
    shipped = {
        path.relative_to(tmp_path / "wheel") for path in (tmp_path / "wheel").rglob("*") if path.is_file()
    }
    shipped = {path.as_posix() for path in shipped if ".dist-info" not in path.parts[0]}
    assert shipped == {path.relative_to(ROOT).as_posix() for path in [*MODULES, *FILES]}


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "{'jax', 'flax', 'numpy', 'scipy', 'matplotlib', 'plotly', 'rich', 'tyro', 'tensorflow_datasets'}"
    code = f"import odeembed, odeembed.cli, sys; print(*sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []


@pytest.mark.skipif(sys.platform == "win32", reason="a child's processor time is not told there")
def test_help_takes_less_than_a_second() -> None:
    import resource

    command = Path(sysconfig.get_path("scripts")) / "odeembed"
    seconds = []
    for _ in range(3):  # processor time of the best of three: a busy machine must not fail it
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert "train" in answer.stdout
    assert min(seconds) < 1.0


def tracked_files() -> list[Path]:
    """The files under version control; skips where there is no checkout, or no git."""
    try:
        answer = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a checkout")
    files = [ROOT / name for name in answer.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


# Spelled so that this file does not hold what it looks for.
REGISTRY = re.compile(
    r"https?://[^ /]*(py" r"pi|python" r"hosted|npm" r"js|deb" r"ian)|--(extra-)?index-" r"url\b"
)
MACHINE = re.compile(r"(?<![\w.~$})])/(root|home|work|tmp|opt|Users)/")


def test_no_file_names_a_registry_or_a_place_on_one_machine() -> None:
    found = []
    for file in tracked_files():
        text = file.read_bytes().decode("utf-8", errors="replace")
        found += [f"{file.relative_to(ROOT)}: {match[0]}" for match in REGISTRY.finditer(text)]
        found += [f"{file.relative_to(ROOT)}: {match[0]}" for match in MACHINE.finditer(text)]
    assert found == []


def test_caches_of_the_tests_are_their_own() -> None:
    assert not Path(os.environ["ODEEMBED_CACHE"]).is_relative_to(Path.home() / ".cache")
