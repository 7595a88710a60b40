"""The report of every kind of run: what is in it, what is left out, and how it behaves in a browser."""

import shutil

import pytest

from odeembed import runs
from odeembed.pages.page import label
from odeembed.pages.report import report

LARGEST = 6e6  # bytes


@pytest.mark.parametrize(
    ("kind", "sections"),
    [
        ("interpolator", {"sentence", "words", "neighbors", "gaps"}),
        ("vae", {"walk", "words", "neighbors"}),
        ("seq2seq", {"trajectory", "words", "neighbors"}),
        ("density", {"flow", "pictures"}),
    ],
)
def test_each_kind_has_its_sections(kind, sections, request, tmp_path):
    path = request.getfixturevalue(kind)
    page = runs.report(path, tmp_path / "new" / "report.html").read_text()
    found = {part.partition('"')[0] for part in page.split('<section id="')[1:]}
    assert found == sections | {"results", "training", "cost", "again"}
    assert len(page.encode()) < LARGEST
    assert "Left out" not in page


def test_what_needs_text_that_is_gone_is_left_out_with_a_word(interpolator):
    class Elsewhere:
        def evaluation(self, split):
            from odeembed.errors import MissingFileError

            raise MissingFileError("no file text.txt. Set ODEEMBED_DATA.")

    run = runs.Run.open(interpolator)
    run.__dict__["dataset"] = Elsewhere()
    page = report(run, runs.facts(interpolator))
    assert "Left out: no file text.txt." in page and 'id="neighbors"' in page


def test_a_run_that_is_not_finished_has_a_report(interpolator, tmp_path):
    shutil.copytree(interpolator, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    page = runs.report(tmp_path / "run").read_text()
    assert "not finished yet" in page and 'id="results"' not in page


@pytest.mark.slow
def test_in_a_browser_time_moves_and_hostile_words_are_words(interpolator, browser, hostile, tmp_path):
    browser.open(runs.report(interpolator, tmp_path / "report.html").as_uri())
    holder = browser.find("#sentence .widget")
    browser.wait("a0.dataset.time !== undefined", holder)
    slider = browser.find("#sentence input[type=range]")
    bars = "a0.querySelector('.bars').textContent"
    before = browser.wait(bars, holder)
    browser.push(slider, 0.9)
    browser.wait(f"{bars} !== a1", holder, before)
    assert float(holder.get_attribute("data-time")) == pytest.approx(9, abs=0.3)  # of the times 0 to 10
    slider.send_keys("\ue012" * 20)  # the left arrow: the keyboard moves it too
    browser.wait("Number(a0.dataset.time) < 8.6", holder)
    assert browser.value("document.querySelectorAll('.js-plotly-plot').length") >= 7
    drawn = "JSON.stringify([...document.querySelectorAll('.chart')].map((chart) => chart.data))"
    assert label(hostile) in browser.value(drawn)
    assert browser.value("window.pwned") is None
    assert browser.complaints() == []
    assert [name for name in browser.fetched() if not name.startswith("data:")] == []
    unnamed = "[...document.querySelectorAll('img, .chart')].filter((c) => !(c.alt || c.ariaLabel)).length"
    assert browser.value(unnamed) == 0


@pytest.mark.slow
def test_in_a_browser_a_flow_moves_and_a_walk_is_read(density, vae, browser, tmp_path):
    browser.open(runs.report(density, tmp_path / "density.html").as_uri())
    holder = browser.find("#flow .widget")
    browser.wait("a0.dataset.time !== undefined", holder)
    drawn = "JSON.stringify(a0.querySelector('.chart').data[1].x.slice(0, 5))"
    before = browser.wait(drawn, holder)
    browser.push(browser.find("#flow input"), 0.0)
    browser.wait(f"{drawn} !== a1", holder, before)
    browser.open(runs.report(vae, tmp_path / "vae.html").as_uri())
    assert browser.value("document.querySelectorAll('#walk li').length") == 9
    assert browser.complaints() == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["interpolator", "density"])
def test_on_a_narrow_screen_nothing_is_cut_off(kind, request, browser, tmp_path):
    page = runs.report(request.getfixturevalue(kind), tmp_path / "report.html")
    with browser.narrow(360):
        browser.open(page.as_uri())
        browser.wait("document.querySelector('[data-time]') !== null")
        assert browser.value("[document.documentElement.scrollWidth, window.innerWidth]") == [360, 360]
