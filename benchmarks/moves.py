"""How long a move on the page of `odeembed explore` takes, from the hand to the picture, in a headless Chromium.

    odeembed demo
    python benchmarks/moves.py runs/demo && python -m odeembed.results

The first trains the run, the second writes benchmarks/results/moves.json, the last fills the table of docs/commands.md
from it. A move ends when the browser has painted what it changed; what it does is done on the same cores.
"""

import argparse
import contextlib
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from browser import Browser, chromium
from recording import RESULTS, circumstances, write_result

from odeembed.runs import read_plan

# Both wait for the second frame: the first one is that in which the page draws.
_PAINTED = "requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begin)))"
_DRAG = f"""
const [slider, share, done] = arguments, begin = performance.now();
slider.value = Number(slider.min) + share * (slider.max - slider.min);
slider.dispatchEvent(new Event("input"));
{_PAINTED};
"""
_ASK = f"""
const [form, element, done] = arguments;
const watch = new MutationObserver(() => {{ watch.disconnect(); {_PAINTED}; }});
watch.observe(form, {{ attributes: true, attributeFilter: ["data-answered"] }});
const begin = performance.now();
if (element === form) form.requestSubmit(); else element.click();
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, and writes the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--moves", type=int, default=60, help="of each kind")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    plan = read_plan(options.run)
    with explored(options.run) as url:
        measured = measure(url, options.moves)
    rows = [{"name": name, "milliseconds": milliseconds} for name, milliseconds in measured.items()]
    result = {"kind": "moves", "config": plan.config, "size": plan.size, "rows": rows}
    print(write_result(options.results / "moves.json", result | circumstances("jax", "plotly", "selenium")))
    return 0


@contextlib.contextmanager
def explored(run: Path) -> Iterator[str]:
    """The address of the page while it is served by the command."""
    words = [sys.executable, "-m", "odeembed", "explore", str(run), "--no-browser"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield re.findall(r"http://\S+", server.stdout.readline())[0]
        finally:
            server.send_signal(signal.SIGINT)


def measure(url: str, moves: int) -> dict[str, list[float]]:
    """Milliseconds of every move, by what was done."""
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder)) as browser:
        browser.open(url)
        form = browser.find("form[data-verb=sentence]")
        browser.wait("a0.dataset.answered === '1'", form)
        # Its example has gaps, which cannot be clicked away; the same without them can.
        browser.value("a0.text.value = a0.text.value.replaceAll('___ ', '')", form)
        browser.driver.execute_async_script(_ASK, form, form)
        shares = np.random.default_rng(0).uniform(size=moves).tolist()
        slider = browser.find("#sentence input[type=range]")
        time = [browser.driver.execute_async_script(_DRAG, slider, share) for share in shares]
        count = browser.value("document.querySelectorAll('#sentence .token').length")
        hide = repeated(browser, form, moves, lambda i: f"#sentence .token:nth-child({i % count + 1})")
        words = browser.find("form[data-verb=neighbors]")
        near = repeated(browser, words, moves, lambda i: "form[data-verb=neighbors]")
    return {"the slider is moved": time, "a word is hidden or shown": hide, "neighbours are asked for": near}


def repeated(browser: Browser, form: Any, moves: int, selector: Callable[[int], str]) -> list[float]:
    """Milliseconds of clicks on elements whose form asks the server; the first, which compiles, left out."""
    found = []
    for number in range(moves + 1):
        element = browser.find(selector(number))
        found.append(browser.driver.execute_async_script(_ASK, form, element))
    return found[1:]


if __name__ == "__main__":
    sys.exit(main())
