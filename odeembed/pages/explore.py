"""A local page to play with a run: sentences through time, walks, neighbours, draws.

The server is the standard library's. It listens on this machine alone unless told otherwise, answers requests for its
own page and for one trained model, reads and writes no file for them, and takes text as text.
"""

import html
import json
import socket
import sys
import threading
import traceback
import webbrowser
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, get_args
from urllib.parse import urlsplit

import numpy as np
from plotly.offline import get_plotlyjs

from odeembed.codes import Way
from odeembed.errors import ConfigError, DataError, OdeembedError
from odeembed.evaluate.sentence_path import sentence_path
from odeembed.evaluate.trajectory import trajectory
from odeembed.models.density import DensityEstimator
from odeembed.models.interpolator import MaskedInterpolator
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.models.seq2seq import Seq2Seq
from odeembed.pages import charts
from odeembed.pages.page import Section, as_json, asset, framed, paragraph, widget
from odeembed.plots.run import (
    density_in_time,
    families,
    first_sentence,
    held_out_walk,
    hidden_places,
    word_table,
)
from odeembed.sentences import read_gaps

Request = Mapping[str, Any]
LOCAL = ("127.0.0.1", "localhost", "::1")
_LARGEST = 16_384  # bytes of a request
_LONGEST = 2_000  # characters of a text
_POINTS = 16  # times a token
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Explorer:
    """What one may ask of a run, by the verbs that its kind of model has.

    Attributes:
      run: an opened run.
      verbs: functions from a request, as JSON has it, to an answer that JSON can hold.

    Raises:
      ConfigError: a run that there is nothing to ask of.
    """

    def __init__(self, run: Any):
        self.run = run
        self.verbs: dict[str, Callable[[Request], dict[str, Any]]] = {}
        if run.vocabulary is not None:
            self.vectors = word_table(run)
            self.verbs |= {"neighbors": self._neighbors, "analogy": self._analogy}
        if isinstance(run.model, MaskedInterpolator):
            self.verbs["sentence"] = self._sentence
        if isinstance(run.model, SentenceVAE) and run.model.latent:
            self.verbs["walk"] = self._walk
        if isinstance(run.model, Seq2Seq):
            self.verbs["say"] = self._say
        if isinstance(run.model, DensityEstimator) and density_in_time(run, count=2, across=2):
            self.verbs["draw"] = self._draw
        if not self.verbs:
            raise ConfigError(
                f"there is nothing to play with in {run.path}, a {type(run.model).__name__}. See odeembed report."
            )
        self._lock = threading.Lock()

    def answer(self, verb: str, request: Any) -> dict[str, Any]:
        """What the run says; one question at a time.

        Raises:
          ConfigError, DataError, UnknownWordError: no such verb, or a request that cannot be answered.
        """
        if verb not in self.verbs:
            raise ConfigError(f"no question {verb[:40]!r}. Ask one of {', '.join(self.verbs)}.")
        if not isinstance(request, dict):
            raise DataError("a request must be a JSON object. Send one.")
        with self._lock:
            return self.verbs[verb](request)

    def page(self) -> str:
        """The page that asks."""
        run = self.run
        sections: list[Section] = []
        if "sentence" in self.verbs:
            text = paragraph(
                "Type a sentence, click its words to hide them (or write ___ for a gap), and move through its time."
            )
            body = text + _form("sentence", _field("text", "sentence", self._example(), wide=True), "read")
            sections.append(Section("sentence", "A sentence in time", body))
        if "walk" in self.verbs:
            first, last = self._ends()
            ways = [way for way in get_args(Way) if way != "flow" or run.model.prior is not None]
            chosen = _field("first", "from", first, wide=True) + _field("last", "to", last, wide=True)
            body = paragraph("Two sentences, and what the model says on the way from one to the other.")
            body += _form("walk", chosen + _choice("way", ways) + _number("steps", 9, 2, 25), "walk")
            sections.append(Section("walk", "A walk between two sentences", body))
        if "say" in self.verbs:
            body = paragraph("A sentence, what is said of it, and what would be said between two words.")
            body += _form("say", _field("text", "sentence", self._example(), wide=True), "say it")
            sections.append(Section("say", "While it says a sentence", body))
        if "draw" in self.verbs:
            body = paragraph("Points drawn from the normal distribution, on their way to the data.")
            sections.append(
                Section(
                    "draw", "From noise to data", body + _form("draw", _number("seed", 0, 0, 10**6), "draw")
                )
            )
        if "neighbors" in self.verbs:
            groups = families(self.vectors)
            near = groups[0][0] if groups else self.vectors.words[0]
            body = _form("neighbors", _field("word", "word", near) + _number("count", 10, 1, 100), "nearest")
            sections.append(Section("neighbors", "Nearest words", body))
            three = (groups[0] if groups else list(self.vectors.words) * 3)[:3]
            body = "".join(_field(name, name, word) for name, word in zip("abc", three, strict=True))
            body = paragraph("a is to b as c is to …") + _form("analogy", body, "find")
            sections.append(Section("analogy", "Analogies", body))
            if groups:
                body = widget("chart", charts.word_map(self.vectors, groups))
                sections.append(Section("words", "The map of the words", body))
        head = '<link rel="stylesheet" href="page.css">'
        scripts = "".join(
            f'<script src="{name}"></script>' for name in ("plotly.js", "page.js", "explore.js")
        )
        lead = paragraph(f"A {type(run.model).__name__} at step {run.step:,}.")
        return framed(run.path.resolve().name, lead, sections, head, scripts)

    def _example(self) -> str:
        """A held-out sentence, with gaps where they can be filled; some frequent words where the text is gone."""
        vocabulary = self.run.vocabulary
        try:
            ids = first_sentence(self.run.dataset, vocabulary, 8, 14)
        except OdeembedError:
            frequent = np.argsort(-self.vectors.counts, kind="stable")[:8]
            return " ".join(self.vectors.words[row] for row in frequent)
        if "sentence" not in self.verbs:
            return vocabulary.decode(ids)
        one, other = hidden_places(len(ids))
        parts = (
            vocabulary.decode(ids[:one]),
            vocabulary.decode(ids[one + 1 : other]),
            vocabulary.decode(ids[other + 1 :]),
        )
        return " ___ ".join(part.strip() for part in parts)

    def _ends(self) -> tuple[str, str]:
        try:
            sentences = held_out_walk(self.run, 2)[1]
        except OdeembedError:
            sentences = [self._example()] * 2
        return sentences[0], sentences[-1]

    def _sentence(self, request: Request) -> dict[str, Any]:
        run = self.run
        ids, gaps, unknown = read_gaps(run.vocabulary, _text(request, "text"))
        longest = run.experiment.data.buckets[-1]
        if not 2 <= len(ids) <= longest:
            raise DataError(f"a path needs 2 to {longest} tokens; got {len(ids)}. Write another sentence.")
        asked = request.get("hidden")
        hidden = gaps if asked is None else sorted({*gaps, *_places(asked, len(ids))})
        visible = np.ones(len(ids), bool)
        visible[hidden] = False
        path = charts.sentence(
            sentence_path(run.model, run.params, run.vocabulary, ids, visible, points=_POINTS)
        )
        path["tokens"] = ["___" if i in gaps else token for i, token in enumerate(path["tokens"])]
        return {"path": path, "hidden": hidden, "gaps": gaps, "unknown": unknown}

    def _walk(self, request: Request) -> dict[str, Any]:
        coder = self.run.coder
        steps, way = _whole(request, "steps", 2, 25), request.get("way", "straight")
        walk, read = coder.interpolate(_text(request, "first"), _text(request, "last"), steps, str(way))
        texts = [coder.vocabulary.decode(ids) for ids in walk.sentences]
        return {"shares": walk.shares, "sentences": texts, "unknown": sum(read.unknown)}

    def _say(self, request: Request) -> dict[str, Any]:
        translator = self.run.translator
        read = translator.read([_text(request, "text")])
        path = trajectory(translator, read.ids[0], words=24)
        return {"path": charts.said(path), "unknown": sum(read.unknown)}

    def _draw(self, request: Request) -> dict[str, Any]:
        found = density_in_time(self.run, count=1000, across=2, seed=_whole(request, "seed", 0, 10**6))
        assert found is not None
        return charts.moving(found)

    def _neighbors(self, request: Request) -> dict[str, Any]:
        count = _whole(request, "count", 1, 100)
        return {"found": self.vectors.neighbors(_text(request, "word").strip(), count)}

    def _analogy(self, request: Request) -> dict[str, Any]:
        a, b, c = (_text(request, name).strip() for name in ("a", "b", "c"))
        return {"found": self.vectors.most_similar([b, c], [a])}


def serve(
    explorer: Explorer,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    browser: bool = False,
    ready: Callable[[str, ThreadingHTTPServer], object] = lambda url, server: None,
) -> None:
    """Answers until the process is interrupted, or `ready` has its server shut down.

    Args:
      host: the address to listen on; others than this machine's can be reached by whoever reaches the machine.
      port: 0 takes a free one.
      browser: whether a browser is opened.
      ready: is told the address of the page, and the server.

    Raises:
      ConfigError: an address that cannot be listened on.
    """
    try:
        server = _server(explorer, host, port)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {str(error).rstrip('.')}. Choose another --port, or --host."
        ) from None
    with server:
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{server.server_address[1]}/"
        ready(url, server)
        if browser:
            webbrowser.open(url)
        server.serve_forever(poll_interval=0.2)


def _server(explorer: Explorer, host: str, port: int) -> ThreadingHTTPServer:
    files = {
        "/": ("text/html", explorer.page().encode()),
        "/page.css": ("text/css", asset("page.css").encode()),
        "/page.js": ("text/javascript", asset("page.js").encode()),
        "/explore.js": ("text/javascript", asset("explore.js").encode()),
        "/plotly.js": ("text/javascript", get_plotlyjs().encode()),
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            """The page and what belongs to it."""
            if not self._allowed():
                return
            kind, body = files.get(urlsplit(self.path).path, (None, b""))
            if kind is None:
                self._tell(404, {"error": "there is no such page"})
            else:
                self._send(200, kind, body)

        def do_POST(self) -> None:
            """A question."""
            if not self._allowed():
                return
            length = self.headers.get("Content-Length", "")
            if self.headers.get_content_type() != "application/json":
                self._refuse(415, "a question is sent as application/json")
            elif not (length.isascii() and length.isdigit()):
                self._refuse(411, "a question needs a Content-Length")
            elif int(length) > _LARGEST:
                self._refuse(413, f"a question has at most {_LARGEST} bytes")
            else:
                self._tell(*_answered(explorer, self.path, self.rfile.read(int(length))))

        def _allowed(self) -> bool:
            """Whether the browser meant this server: another page, or a name turned to its address, did not."""
            named, origin = self.headers.get("Host", ""), self.headers.get("Origin")
            name = urlsplit(f"//{named}").hostname
            ours = name in (*LOCAL, host) or host in ("0.0.0.0", "::")
            if ours and origin in (None, f"http://{named}"):
                return True
            self._refuse(403, "this page answers to its own address only")
            return False

        def _refuse(self, status: int, text: str) -> None:
            self.close_connection = True  # what was sent with it is not read
            self._tell(status, {"error": text})

        def _tell(self, status: int, answer: dict[str, Any]) -> None:
            self._send(status, "application/json", as_json(answer).encode())

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: what is asked is nobody's business."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A browser that went away is no error."""
            if not isinstance(sys.exception(), OSError):
                traceback.print_exc()

    return Server((host, port), Handler)


def _answered(explorer: Explorer, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the answer to a question."""
    if not path.startswith("/ask/"):
        return 404, {"error": "questions are asked at /ask/"}
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return 400, {"error": "the question is not JSON"}
    try:
        return 200, explorer.answer(path.removeprefix("/ask/"), request)
    except OdeembedError as error:
        return 400, {"error": str(error)}
    except Exception:
        traceback.print_exc()
        return 500, {"error": "this could not be answered; the terminal tells why"}


def _text(request: Request, name: str) -> str:
    text = request.get(name)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{name} must be text; got nothing. Write something.")
    if len(text) > _LONGEST:
        raise DataError(f"{name} has at most {_LONGEST} characters; got {len(text)}. Write less.")
    return text


def _whole(request: Request, name: str, least: int, most: int) -> int:
    number = request.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise DataError(f"{name} must be a whole number from {least} to {most}; got {str(number)[:40]}.")
    return number


def _places(asked: Any, count: int) -> list[int]:
    right = isinstance(asked, list) and all(isinstance(i, int) and 0 <= i < count for i in asked)
    if not right:
        raise DataError(f"hidden must be numbers of tokens, 0 to {count - 1}. Click on the words.")
    return asked


def _form(verb: str, fields: str, button: str) -> str:
    return (
        f'<form data-verb="{verb}">{fields}<button type="submit">{button}</button></form>'
        f'<p class="problem" role="status"></p><div class="answer"></div>'
    )


def _field(name: str, title: str, value: str, wide: bool = False) -> str:
    return (
        f"<label{' class=wide' if wide else ''}>{html.escape(title)}"
        f'<input name="{name}" type="text" maxlength="{_LONGEST}" autocomplete="off" '
        f'value="{html.escape(value)}"></label>'
    )


def _number(name: str, value: int, least: int, most: int) -> str:
    return (
        f'<label>{name}<input name="{name}" type="number" min="{least}" max="{most}" value="{value}"></label>'
    )


def _choice(name: str, values: list[str]) -> str:
    options = "".join(f"<option>{html.escape(value)}</option>" for value in values)
    return f'<label>{name}<select name="{name}">{options}</select></label>'
