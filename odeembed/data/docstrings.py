"""Running English out of Python source files: docstrings and the language reference, read with `ast`, never run."""

import ast
import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path

SKIPPED_FOLDERS = frozenset(
    [
        "tests",
        "test",
        "testing",
        "site-packages",
        "dist-packages",
        "idlelib",
        "lib2to3",
        "turtledemo",
        "_vendor",
        "__pycache__",
        "ensurepip",
    ]
)

_MARKED = (
    (re.compile(r":[a-z:+]+:`~?(?:[^`<]*\.)?([^`<.]+?)(?:\s*<[^`>]*>)?`"), r"\1"),  # :class:`~package.Name`
    (re.compile(r"`([^`<]+?)\s*<[^`>]+>`_*"), r"\1"),  # `text <address>`_
    (re.compile(r"\[([^\]]+)\]\([^)\s]*\)"), r"\1"),  # [text](address)
    (re.compile(r"https?://\S+|www\.\S+"), ""),
    (re.compile(r"\[[0-9A-Za-z, ]{1,8}\]_"), ""),  # footnotes
    (re.compile(r"\$[^$]*\$|\\[a-zA-Z]+"), " "),  # formulas
    (re.compile(r"[`*|]+"), ""),
)
_FIELD = re.compile(r"^:(?:param|type|returns?|rtype|raises?|keyword|arg)\b[^:]*:\s*")
_BULLET = re.compile(r"^(?:[-*+•]|\d+[.)]|#\.|\(\w\))\s+")
_SIGNATURE = re.compile(
    r"^[\w.*,\s]{1,60}\s:(?:\s.*)?$|^\w+\(.*\)(?:\s*->.*)?$|^@"
)  # "axis : int, optional"; f(x)
_RULE = re.compile(r"^([-=~^\"'`#*+_.:])\1*$|^[-=+| ]+$")
_CODE = re.compile(r"[=(){}\[\]<>/\\_%@#$^&~;\d]")
_COMMON_ENGLISH = re.compile(
    r"\b(?:the|an?|of|to|in|is|are|be|and|or|for|with|that|this|it|as|by|on|if|not|can|from|when|which|will|at|ha[sv]e?)\b",
    re.IGNORECASE,
)


def documentation(roots: list[Path]) -> Iterator[str]:
    """Yields the paragraphs of all files under the folders, each different paragraph once, in a fixed order."""
    seen: set[str] = set()
    for root in roots:
        for file in python_files(root):
            for text in _texts(file):
                for paragraph in paragraphs(text):
                    mark = paragraph.lower()
                    if mark not in seen:
                        seen.add(mark)
                        yield paragraph


def python_files(root: Path) -> Iterator[Path]:
    """The Python files under a folder in the order of their names, tests and vendored packages left out."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".py"))


def paragraphs(docstring: str) -> Iterator[str]:
    """Yields the running English of one docstring, a paragraph or list item at a time, without markup or code.

    Doctests, literal blocks, directives, formulas, parameter headings, tables and rules are left out.
    """
    block: list[str] = []
    indent = 0
    for line in [*_prose_lines(inspect.cleandoc(docstring)), ""]:
        stripped = line.strip()
        depth = len(line) - len(line.lstrip())
        if block and (not stripped or depth != indent or _BULLET.match(stripped)):
            yield from _english(" ".join(block))
            block = []
        if stripped:
            indent = depth + (_BULLET.match(stripped).end() if _BULLET.match(stripped) else 0)
            block.append(_BULLET.sub("", _FIELD.sub("", stripped)))


def _texts(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, OSError):
        return  # a template or a file for another Python: it holds no documentation that can be read
    if file.parts[-2:] == ("pydoc_data", "topics.py"):
        yield from _topics(tree)
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text:
                yield text
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "add_newdoc":
            yield from _long_strings(node)  # NumPy documents its compiled functions this way


def _topics(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            yield from (text for value in node.values for text in _long_strings(value))


def _long_strings(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and len(part.value) > 80:
            yield part.value


def _prose_lines(text: str) -> Iterator[str]:
    """Lines that may be English; a line that is code or a rule becomes a paragraph break."""
    hidden_below: int | None = (
        None  # lines indented deeper than this belong to a literal block or a directive
    )
    doctest = False
    for line in text.expandtabs().split("\n"):
        stripped = line.strip()
        depth = len(line) - len(line.lstrip())
        if hidden_below is not None and stripped and depth <= hidden_below:
            hidden_below = None
        doctest = bool(stripped) and (doctest or stripped.startswith(">>>"))
        if hidden_below is not None or doctest or _is_markup(stripped):
            hidden_below = depth if hidden_below is None and _opens_block(stripped) else hidden_below
            yield ""
            continue
        if _opens_block(stripped):
            hidden_below = depth
        yield line


def _opens_block(line: str) -> bool:
    if line.startswith(".. "):
        return bool(
            re.match(r"\.\. (?:math|code|code-block|plot|sourcecode|doctest|image|figure|_|\[|\|)", line)
        )
    return line.endswith("::")


def _is_markup(line: str) -> bool:
    return line.startswith((".. ", "```", "$$")) or bool(_RULE.match(line)) or bool(_SIGNATURE.match(line))


def _english(text: str) -> Iterator[str]:
    for pattern, replacement in _MARKED:
        text = pattern.sub(replacement, text)
    text = " ".join(text.split())
    words = re.findall(r"[A-Za-z]+", text)
    if len(words) < 4:
        return
    code = len(_CODE.findall(text)) / len(text)
    function_words = len(_COMMON_ENGLISH.findall(text))
    if code < 0.12 and function_words * 12 >= len(words):
        yield text
