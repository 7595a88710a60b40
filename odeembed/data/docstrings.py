"""Running English out of Python source files: docstrings and the language reference, read with `ast`, never run."""

import ast
import inspect
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

# Tests, and packages inside packages.
SKIPPED_FOLDERS = re.compile(
    r"tests?|testing|(?:site|dist)-packages|idlelib|lib2to3|turtledemo|_vendor|ensurepip|__pycache__"
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
_ITEM = re.compile(  # "- text", "1. text", ":param x: text", "x: text", "x (int): text"
    r"(?:[-*+•]|\d+[.)]|#\.|\(\w\))\s+|:\w+\b[^:]*:\s+|\*{0,2}`*[a-zA-Z_][\w.]*`*(?:\s*\([^()]*\))?:\s+(?=\S)"
)
_CODE_LINE = re.compile(  # "axis : int, optional", "f(x) -> y", "@decorator", "y = f(x)"
    r"[\w.*,\s]{1,60}\s:(?:\s.*)?|[\w.]+\(.*\)(?:\s*->.*)?|@.*|[\w.\[\], ]+\s=\s.*"
)
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
        folders[:] = sorted(name for name in folders if not SKIPPED_FOLDERS.fullmatch(name))
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".py"))


def paragraphs(docstring: str) -> Iterator[str]:
    """Yields the running English of one docstring, a paragraph or list item at a time, without markup or code.

    Doctests, literal blocks, directives, formulas, parameter headings, tables and rules are left out.
    """
    block: list[str] = []
    start, is_item = 0, False
    for line in [*_prose_lines(inspect.cleandoc(docstring)), ""]:
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        item = _ITEM.match(text)
        goes_on = depth > start if is_item else depth == start
        if block and (not text or item or not goes_on):
            yield from _english(" ".join(block))
            block = []
        if text and not block:
            start, is_item = depth, bool(item)
        if text:
            block.append(text[item.end() :] if item else text)


def _texts(file: Path) -> Iterator[str]:
    try:
        source = file.read_bytes()
        if b'"""' not in source and b"'''" not in source:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in other people's strings
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, OSError):
        return  # a template or a file for another Python: it holds no documentation that can be read
    if file.parts[-2:] == ("pydoc_data", "topics.py"):
        yield from _topics(tree)
        return
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if text := ast.get_docstring(node, clean=False):
                yield text
        elif (
            isinstance(node, ast.Expr)
            and getattr(getattr(node.value, "func", None), "id", "") == "add_newdoc"
        ):
            yield from _long_strings(node.value)  # NumPy and SciPy document compiled functions this way


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """A node and the statements in it, in the order of the file; expressions are passed over, for speed."""
    yield node
    for block in ("body", "handlers", "orelse", "finalbody"):
        for statement in getattr(node, block, ()):
            yield from _statements(statement)


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
    return (
        line.startswith((".. ", "```", "$$")) or bool(_RULE.match(line)) or bool(_CODE_LINE.fullmatch(line))
    )


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
