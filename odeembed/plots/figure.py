"""Figures that look alike, can be told apart without colour, and are the same file each time they are drawn."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from odeembed.errors import ConfigError

# Okabe and Ito 2008, Color Universal Design; yellow, too faint for lines on white, left out.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
GREY = "#767676"


class Shown(Figure):
    """A figure that belongs to no window and no global list, so that drawing needs no display and leaks no memory.

    In a notebook it shows itself where it is the last value of a cell.
    """

    def _repr_png_(self) -> bytes:
        return png(self, "", dpi=100)


def panels(columns: int = 1, width: float = 6.4, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """Makes a figure with panels side by side; sizes in inches."""
    figure = Shown(figsize=(width, height), layout="constrained")
    axes = list(figure.subplots(1, columns, squeeze=False)[0])
    _dress(axes)
    return figure, axes


def mosaic(rows: Sequence[Sequence[str]], width: float, height: float) -> tuple[Figure, dict[str, Axes]]:
    """Makes a figure with named panels in rows; one whose name stands in several places takes them all."""
    figure = Shown(figsize=(width, height), layout="constrained")
    axes = figure.subplot_mosaic([list(row) for row in rows])
    _dress(axes.values())
    return figure, axes


def save(figure: Figure, path: Path | str, alt: str) -> Path:
    """Writes a figure as .png or .svg with its text for those who cannot see it; equal figures give equal bytes.

    Args:
      alt: what the picture shows, in a sentence; goes into the file's Description.

    Raises:
      ConfigError: another ending.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        path.write_bytes(png(figure, alt))
    elif path.suffix == ".svg":
        # The ids within the file are hashes of content and salt; without a salt they are random.
        salt = hashlib.sha256(alt.encode()).hexdigest()
        with matplotlib.rc_context({"svg.hashsalt": salt}):
            figure.savefig(path, metadata={"Description": alt, "Date": None, "Creator": None})
    else:
        raise ConfigError(f"a picture's name must end in .png or .svg; got {path.name!r}. Change its ending.")
    return path


def png(figure: Figure, alt: str, dpi: int = 160) -> bytes:
    """A figure as the bytes of a .png with its text; equal figures give equal bytes."""
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=dpi, metadata={"Description": alt, "Software": None})
    return written.getvalue()


def style(number: int) -> dict[str, Any]:
    """Colour and dash pattern of line `number`."""
    return {"color": PALETTE[number % len(PALETTE)], "linestyle": DASHES[number % len(DASHES)]}


def _dress(axes: Iterable[Axes]) -> None:
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="#E4E4E4", linewidth=0.6)
        ax.set_axisbelow(True)
