"""Files of pictures: the same bytes each time, with their text inside."""

import pytest
from PIL import Image

from odeembed.errors import ConfigError
from odeembed.plots.figure import PALETTE, mosaic, panels, save, style


def draw(values=(1, 2, 3)):
    figure, (ax,) = panels()
    ax.plot(values, label="a", **style(0))
    ax.legend()
    return figure


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_equal_figures_give_equal_bytes(tmp_path, ending):
    first, second = (save(draw(), tmp_path / f"{name}.{ending}", "A rising line.") for name in "ab")
    other = save(draw((3, 2, 1)), tmp_path / f"c.{ending}", "A rising line.")
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


def test_the_text_is_in_the_file(tmp_path):
    assert (
        Image.open(save(draw(), tmp_path / "a.png", "A rising line.")).info["Description"] == "A rising line."
    )
    assert "A rising line." in save(draw(), tmp_path / "a.svg", "A rising line.").read_text()


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"\.svg; got 'a.bmp'"):
        save(draw(), tmp_path / "a.bmp", "A rising line.")


def test_a_panel_may_take_two_places():
    figure, axes = mosaic([["a", "b"], ["c", "b"]], 6.0, 4.0)
    figure.draw_without_rendering()
    heights = {name: ax.get_position().height for name, ax in axes.items()}
    assert set(axes) == {"a", "b", "c"} and heights["b"] > heights["a"] + heights["c"]
    assert not axes["b"].spines["top"].get_visible()


def test_lines_differ_in_more_than_colour():
    styles = [style(number) for number in range(len(PALETTE))]
    assert (
        len({str(one["linestyle"]) for one in styles})
        == len({one["color"] for one in styles})
        == len(PALETTE)
    )
