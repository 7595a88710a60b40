"""The page to play with: what it answers, what it refuses, and that a picture changes when one types and drags."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from odeembed import runs
from odeembed.errors import ConfigError, DataError, MissingFileError, UnknownWordError
from odeembed.pages.explore import Explorer, serve


@pytest.fixture(scope="module")
def explorers(interpolator, vae, seq2seq, density) -> dict[str, Explorer]:
    found = {"interpolator": interpolator, "vae": vae, "seq2seq": seq2seq, "density": density}
    return {name: Explorer(runs.Run.open(path)) for name, path in found.items()}


@contextlib.contextmanager
def served(explorer: Explorer, host: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    """The page's address, and its port."""
    begun, found = threading.Event(), []

    def ready(url: str, server: Any) -> None:
        found.extend((url, server))
        begun.set()

    thread = threading.Thread(target=serve, args=(explorer, host), kwargs={"ready": ready}, daemon=True)
    thread.start()
    assert begun.wait(60)
    url, server = found
    try:
        yield url, server.server_address[1]
    finally:
        server.shutdown()
        thread.join(10)
    assert not thread.is_alive()


def sent(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """Status and body of an answer; names of headers have _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, json.loads(
        text
    ) if answer.headers.get_content_type() == "application/json" else text


def test_a_kind_of_run_has_its_questions(explorers):
    words = {"neighbors", "analogy"}
    verbs = {name: set(explorer.verbs) for name, explorer in explorers.items()}
    assert verbs == {
        "interpolator": words | {"sentence"},
        "vae": words | {"walk"},
        "seq2seq": words | {"say"},
        "density": {"draw"},
    }


def test_a_run_without_questions_is_refused():
    run = SimpleNamespace(vocabulary=None, model=SimpleNamespace(), path="runs/x")
    with pytest.raises(ConfigError, match="nothing to play with in runs/x"):
        Explorer(run)


def test_a_sentence_hides_its_gaps_and_the_words_one_clicked(explorers):
    text = "the green stone lay ___ a small house"
    answer = explorers["interpolator"].answer("sentence", {"text": text, "hidden": [1, 4]})
    path = answer["path"]
    assert (answer["hidden"], answer["gaps"], answer["unknown"]) == ([1, 4], [4], 0)
    assert path["tokens"] == text.split()
    assert path["visible"] == [number not in (1, 4) for number in range(8)]
    assert len(path["times"]) == 7 * 16 + 1 and np.shape(path["plane"]) == (113, 2)
    assert all(0 < chance <= 1 for row in path["chances"] for chance in row)


def test_hiding_a_word_hides_it_from_the_model(explorers):
    def plane(word: str, hidden: list[int]) -> list[list[float]]:
        request = {"text": f"the {word} stone lay", "hidden": hidden}
        return explorers["interpolator"].answer("sentence", request)["path"]["plane"]

    assert plane("green", [1]) == plane("heavy", [1])
    assert plane("green", []) != plane("heavy", [])


def test_walks_words_and_draws_are_those_of_the_run(explorers, vae):
    run = runs.Run.open(vae)
    request = {"first": "the green stone", "last": "a small house", "steps": 4, "way": "straight"}
    walk, _ = run.coder.interpolate("the green stone", "a small house", 4)
    answer = explorers["vae"].answer("walk", request)
    assert answer["sentences"] == [run.coder.vocabulary.decode(ids) for ids in walk.sentences]
    vectors = explorers["interpolator"].vectors
    asked = explorers["interpolator"].answer("neighbors", {"word": " stone ", "count": 3})
    assert asked["found"] == vectors.neighbors("stone", 3)
    asked = explorers["interpolator"].answer("analogy", {"a": "green", "b": "small", "c": "house"})
    assert asked["found"] == vectors.most_similar(["small", "house"], ["green"])
    one, again, other = (explorers["density"].answer("draw", {"seed": seed}) for seed in (1, 1, 2))
    assert one == again and one["frames"] != other["frames"]
    said = explorers["seq2seq"].answer("say", {"text": "the green stone"})["path"]
    assert len(said["tokens"]) == len(said["ticks"]) and said["source"] == ["the", "green", "stone"]


@pytest.mark.parametrize(
    ("kind", "verb", "request_", "error", "match"),
    [
        ("interpolator", "walk", {}, ConfigError, "no question 'walk'"),
        ("interpolator", "sentence", [], DataError, "JSON object"),
        ("interpolator", "sentence", {"text": 3}, DataError, "text must be text"),
        ("interpolator", "sentence", {"text": "stone"}, DataError, "2 to 16 tokens; got 1"),
        ("interpolator", "sentence", {"text": "stone " * 17}, DataError, "got 17"),
        ("interpolator", "sentence", {"text": "a " * 2000}, DataError, "at most 2000 characters"),
        ("interpolator", "sentence", {"text": "a stone", "hidden": [2]}, DataError, "0 to 1"),
        ("interpolator", "sentence", {"text": "a stone", "hidden": "all"}, DataError, "Click"),
        ("interpolator", "neighbors", {"word": "zebra", "count": 3}, UnknownWordError, "zebra"),
        ("interpolator", "neighbors", {"word": "stone", "count": True}, DataError, "whole number"),
        ("interpolator", "neighbors", {"word": "stone", "count": 10**9}, DataError, "1 to 100"),
        ("vae", "walk", {"first": "stone", "last": " ", "steps": 4}, DataError, "last must be text"),
        ("vae", "walk", {"first": "stone", "last": "stone", "steps": 4, "way": "up"}, ConfigError, "up"),
        ("density", "draw", {"seed": -1}, DataError, "0 to 1000000"),
    ],
)
def test_what_cannot_be_answered_is_refused(kind, verb, request_, error, match, explorers):
    with pytest.raises(error, match=match):
        explorers[kind].answer(verb, request_)


def test_where_the_text_is_gone_frequent_words_are_the_example(interpolator):
    class Elsewhere:
        def evaluation(self, split):
            raise MissingFileError("gone")

    run = runs.Run.open(interpolator)
    run.__dict__["dataset"] = Elsewhere()
    assert 'value="the ' in Explorer(run).page()


def test_the_server_answers_its_own_page_and_nobody_else(explorers):
    question, json_ = json.dumps({"word": "stone", "count": 2}).encode(), {"Content_Type": "application/json"}
    with served(explorers["interpolator"]) as (url, port):
        assert url == f"http://127.0.0.1:{port}/"
        status, page = sent(port, "GET", "/")
        assert status == 200 and "A sentence in time" in page
        assert sent(port, "POST", "/ask/neighbors", question, **json_)[0] == 200
        assert sent(port, "POST", "/neighbors", question, **json_)[0] == 404
        assert sent(port, "GET", "/../../setup.cfg")[0] == 404
        assert sent(port, "GET", "/", Host="evil.example")[0] == 403  # a name turned to this address
        assert sent(port, "GET", "/", Host=f"localhost:{port}")[0] == 200
        foreign = json_ | {"Origin": "http://evil.example"}
        assert sent(port, "POST", "/ask/neighbors", question, **foreign)[0] == 403
        assert sent(port, "POST", "/ask/neighbors", question, Content_Type="text/plain")[0] == 415
        assert sent(port, "POST", "/ask/neighbors", b"{" * 5000, **json_)[0] == 400
        assert sent(port, "POST", "/ask/neighbors", b" " * 20_000, **json_)[0] == 413
        assert sent(port, "POST", "/ask/neighbors", question, **json_, Content_Length="-1")[0] == 411
        status, answer = sent(port, "POST", "/ask/neighbors", b'{"word": "zebra", "count": 2}', **json_)
        assert status == 400 and "unknown word" in answer["error"]
        assert sent(port, "PUT", "/", b"")[0] == 501


def test_an_error_of_the_program_is_told_in_the_terminal_alone(density, capfd):
    broken = Explorer(runs.Run.open(density))
    broken.verbs["draw"] = lambda request: {"found": 1 / 0}
    with served(broken) as (_, port):
        status, answer = sent(port, "POST", "/ask/draw", b"{}", Content_Type="application/json")
    assert status == 500 and "ZeroDivisionError" not in answer["error"]
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_an_address_that_cannot_be_listened_on_is_refused(explorers):
    with served(explorers["density"]) as (_, port):
        for host, wanted in (("127.0.0.1", port), ("127.0.0.1", 70_000), ("no.such.host.invalid", 0)):
            with pytest.raises(ConfigError, match="cannot listen"):
                serve(explorers["density"], host, wanted)


@pytest.mark.slow
def test_in_a_browser_typing_and_dragging_change_the_picture(explorers, browser, hostile):
    with served(explorers["interpolator"]) as (url, _):
        browser.open(url)
        form = browser.find("form[data-verb=sentence]")
        browser.wait("a0.dataset.answered === '1'", form)
        field = browser.find("form[data-verb=sentence] input")
        drawn = (
            "[...document.querySelectorAll('#sentence .chart')].map((one) => [one.data, one.layout.shapes])"
        )
        state = f"JSON.stringify([{drawn}, document.querySelector('#sentence .bars').textContent])"
        before = browser.value(state)
        field.clear()
        field.send_keys(f"the {hostile} stone lay ___ a house\n")
        browser.wait("a0.dataset.answered === '2'", form)
        typed = browser.wait(f"({state} !== a0) && {state}", before)
        tokens = browser.value("[...document.querySelectorAll('#sentence .token')].map((t) => t.textContent)")
        assert tokens == ["the", hostile, "stone", "lay", "___", "a", "house"]
        browser.push(browser.find("#sentence input[type=range]"), 0.25)
        dragged = browser.wait(f"({state} !== a0) && {state}", typed)
        browser.find("#sentence .token:nth-child(3)").click()
        browser.wait("a0.dataset.answered === '3'", form)
        assert browser.value("document.querySelectorAll('#sentence .token.hidden').length") == 2
        assert browser.value(state) != dragged
        assert browser.value("window.pwned") is None
        field.clear()
        field.send_keys("zebra\n")
        told = browser.wait("document.querySelector('#sentence .problem').textContent")
        assert "2 to 16 tokens" in told
        assert {name.rpartition("/")[0] + "/" for name in browser.fetched()} <= {url, f"{url}ask/", "data:/"}
        lines = [line for line in browser.complaints() if "status of 400" not in line]
        assert lines == []


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "verb"), [("vae", "walk"), ("seq2seq", "say"), ("density", "draw")])
def test_in_a_browser_the_other_kinds_answer_too(kind, verb, explorers, browser):
    with served(explorers[kind]) as (url, _):
        browser.open(url)
        form = browser.find(f"form[data-verb={verb}]")
        browser.wait("a0.dataset.answered === '1'", form)
        assert (
            browser.wait("a0.parentElement.querySelectorAll('.answer li, .answer .main-svg').length", form)
            > 1
        )
        assert browser.complaints() == []
