"""Films a run's report: the slider is pushed through the time of its sentence, in a headless Chromium.

    odeembed demo
    python benchmarks/film.py runs/demo docs/time.gif

The picture is that of the README. It is looked at, and measures nothing.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from browser import chromium
from PIL import Image

from odeembed import runs

WIDTH, HEIGHT = 860, 1200  # of the window
SCALE, COLOURS = 0.8, 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the film."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("film", type=Path, help="a .gif")
    parser.add_argument("--frames", type=int, default=29)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        page = runs.report(options.run, Path(folder) / "report.html")
        with chromium(Path(folder) / "browser", WIDTH, HEIGHT) as browser:
            browser.open(page.as_uri())
            holder = browser.find("#sentence .widget")
            browser.wait("a0.dataset.time !== undefined", holder)
            browser.value("a0.scrollIntoView()", holder)
            slider = browser.find("#sentence input[type=range]")
            frames = []
            for number in range(options.frames):
                share = number / (options.frames - 1)
                browser.value(
                    "(a0.value = Number(a0.min) + a1 * (a0.max - a0.min), a0.dispatchEvent(new Event('input')))",
                    slider,
                    share,
                )
                browser.wait("Math.abs(Number(a0.dataset.time) - Number(a1.value)) < 1e-3", holder, slider)
                shot = Image.open(io.BytesIO(holder.screenshot_as_png)).convert("RGB")
                size = round(SCALE * shot.width), round(SCALE * shot.height)
                shot = shot.resize(size, Image.Resampling.LANCZOS)
                frames.append(shot.quantize(COLOURS, dither=Image.Dither.NONE))
    frames[0].save(
        options.film,
        save_all=True,
        append_images=frames[1:],
        duration=[200] * (len(frames) - 1) + [1500],
        loop=0,
    )
    print(options.film)
    return 0


if __name__ == "__main__":
    sys.exit(main())
