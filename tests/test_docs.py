"""The documentation says what is so: commands parse, Python runs, figures stand where they are said to stand."""

import ast
import importlib
import os
import re
import shlex
from pathlib import Path

import pytest

import odeembed
from odeembed import cli, experiment

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
TUTORIALS = sorted(page for page in (DOCS / "tutorials").glob("*.md") if page.stem != "index")
NAMED = [page.relative_to(ROOT).as_posix() for page in PAGES]
YOURS = {"CONFIG", "my_text.py", "configs/wikitext2_swirl.py"}  # configs that a page has its reader write

# A block of Python; a comment before it says why it is not run.
BLOCK = re.compile(r"(?P<not_run><!-- not executed: .+ -->\n)?^```python\n(?P<code>.*?)^```$", re.M | re.S)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


def verbs(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    return re.findall(r"^    ([a-z]+)\b", capsys.readouterr().out, re.M)


def commands(text):
    """The arguments of every `odeembed ...` in the text's console blocks, as a shell would hand them over."""
    for block in CONSOLE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words, simple = iter(lexer), [[]]
            for word in words:
                if set(word) <= set("<>"):
                    next(words)  # a redirection's file
                elif set(word) <= set("|&;()"):
                    simple.append([])
                elif simple[-1] or not re.fullmatch(r"\w+=.*", word):
                    simple[-1].append(word)
            yield from (words[1:] for words in simple if words[:1] == ["odeembed"])


def test_commands_are_found_in_pipes_and_behind_settings_of_the_environment():
    text = """
```console
JAX_PLATFORMS=cpu odeembed doctor   # checks
echo "a b" | odeembed embed runs/x --output "v 1.npy" < lines.txt > out && odeembed tables
odeembed train configs/a.py \\
  --seed 3
make demo
```
odeembed evaluate runs/x
"""
    assert list(commands(text)) == [
        ["doctor"],
        ["embed", "runs/x", "--output", "v 1.npy"],
        ["tables"],
        ["train", "configs/a.py", "--seed", "3"],
    ]


def test_every_verb_has_a_section_and_every_section_its_verb(capsys):
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    found = re.split(r"^## (.+)$", text, flags=re.M)[1:]
    sections = dict(zip(found[::2], found[1::2], strict=True))
    assert sorted(sections) == sorted(verbs(capsys))
    for verb, section in sections.items():
        assert any(words[:1] == [verb] for words in commands(section)), f"{verb} has no example"
        assert "*The usual error:*" in section, f"{verb} does not tell its usual error"


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_every_command_parses(page):
    for words in commands(page.read_text(encoding="utf-8")):
        arguments, rest = cli._parser().parse_known_args([word for word in words if word != "--help"])
        assert arguments.settings or not rest, words
        if arguments.settings and arguments.config not in YOURS:
            one = experiment.load_config(arguments.config, arguments.size)
            experiment.override(one, rest)


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_every_verb_named_in_a_sentence_exists(page, capsys):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`odeembed ([a-z]+)\b", text)
    assert set(named) <= set(verbs(capsys))


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_every_block_of_python_compiles_and_imports_what_there_is(page, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "configs")  # whose files import their neighbours
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        tree = ast.parse(block["code"])
        if block["not_run"]:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)
            elif isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=[page.stem for page in TUTORIALS])
def test_a_tutorial_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    blocks = [block for block in BLOCK.finditer(text) if not block["not_run"]]
    assert blocks
    namespace = {"__name__": page.stem}
    for block in blocks:
        lines = "\n" * text[: block.start("code")].count("\n")  # so that an error names its line on the page
        exec(compile(lines + block["code"], page, "exec"), namespace)


def test_the_navigation_names_every_page_and_no_other():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    named = re.findall(r"[\w/]+\.md", nav)
    assert sorted(named) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


def test_a_citation_names_this_version():
    for file, pattern in (("CITATION.cff", r"^version: (.+)$"), ("docs/citing.md", r"version = \{(.+)\}")):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert re.findall(pattern, text, re.M) == [odeembed.__version__], file


def test_the_citation_file_has_what_its_format_asks_for():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    keys = set(re.findall(r"^([\w-]+):", text, re.M))
    assert {"cff-version", "message", "title", "authors", "license", "type"} <= keys
    assert re.search(r"^cff-version: 1\.2\.0$", text, re.M)


def test_every_figure_of_the_limitations_stands_on_a_page_that_is_named_beside_it():
    text = (DOCS / "limitations.md").read_text(encoding="utf-8")
    items = re.split(r"\n(?=- |\| |## |\n)", text)
    told = 0
    for item in items:
        links = re.findall(r"\]\(([\w/.:-]+)", item)
        if not links:
            continue
        files = [ROOT / "README.md" if "github.com" in link else DOCS / link for link in links]
        there = "\n".join(file.read_text(encoding="utf-8") for file in files)
        said = re.sub(r"\]\([^)]*\)|`[^`]*`", "", item)
        for figure in re.findall(r"(?<![\w-])\d+(?:[.,]\d+)*(?:e-\d+)?", said):
            assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", there), f"{figure} of: {item}"
            told += 1
    assert told > 20


def test_a_page_on_github_finds_its_links():
    for page in PAGES:
        text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.S)
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
            if not re.match(r"https?://", link):
                target = Path(os.path.normpath(page.parent / link))
                assert target.exists(), f"{page.relative_to(ROOT)}: {link}"
                within = page == ROOT / "README.md" or target.is_relative_to(DOCS)
                assert within, (
                    f"{page.relative_to(ROOT)}: {link} leaves docs/. Use the address of the repository."
                )
