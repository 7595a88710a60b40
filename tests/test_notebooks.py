"""The notebooks as files: whole, without outputs, with a title and a way into Colab, and with public names alone."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
COLAB = "[open in Colab](https://colab.research.google.com/github/odeembed/odeembed/blob/main/notebooks/{})"
PRIVATE = re.compile(r"\._(?!_)")

each = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


def read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8"))


def source_of(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def code_of(file: Path) -> list[dict[str, Any]]:
    return [cell for cell in read(file)["cells"] if cell["cell_type"] == "code"]


def private_names(source: str) -> Iterator[str]:
    """What of odeembed a cell imports by a name with an underscore before it, and such attributes of anything."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [f"odeembed.{node.attr}"]
        yield from (name for name in names if name.startswith("odeembed") and PRIVATE.search(name))


def test_a_private_name_is_noticed() -> None:
    assert list(private_names("from odeembed.runs import _words")) == ["odeembed.runs._words"]
    assert list(private_names("import odeembed._inside as inside")) == ["odeembed._inside"]
    assert list(private_names("from odeembed import runs\nruns.Run.open('x')._words()")) == [
        "odeembed._words"
    ]
    assert list(private_names("from odeembed.runs import Run as _run\nfrom numpy import _core")) == []
    assert list(private_names("import odeembed\nodeembed.__version__")) == []


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@each
def test_is_a_whole_notebook(file: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    book = nbformat.read(file, as_version=nbformat.NO_CONVERT)
    nbformat.validate(book)
    assert (book.nbformat, book.nbformat_minor) == (4, 5)


@each
def test_cells_have_names_of_their_own(file: Path) -> None:
    ids = [cell["id"] for cell in read(file)["cells"]]
    assert len(set(ids)) == len(ids)


@each
def test_holds_no_output(file: Path) -> None:
    for cell in code_of(file):
        assert cell["outputs"] == [] and cell["execution_count"] is None, "strip its outputs"
        assert cell["metadata"] == {}


@each
def test_begins_with_a_title_and_opens_in_colab(file: Path) -> None:
    first = read(file)["cells"][0]
    assert first["cell_type"] == "markdown"
    title, blank, paragraph, *_ = source_of(first).split("\n")
    assert re.match(r"# \w", title) and not blank and paragraph
    assert source_of(first).endswith(COLAB.format(file.name))


@each
def test_first_installs_what_is_not_there(file: Path) -> None:
    second = read(file)["cells"][1]
    assert second["cell_type"] == "code"
    assert 'if importlib.util.find_spec("odeembed") is None:' in source_of(second)
    assert all(source_of(second) == source_of(code_of(other)[0]) for other in NOTEBOOKS)


@each
def test_uses_public_names_alone(file: Path) -> None:
    assert [name for cell in code_of(file) for name in private_names(source_of(cell))] == []
