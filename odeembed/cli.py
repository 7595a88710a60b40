"""The command line: one function a verb, each a few lines over the function of the same name in runs.py."""

import argparse
import contextlib
import difflib
import errno
import itertools
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import shtab

from odeembed import __version__
from odeembed.errors import ConfigError, DataError, OdeembedError, TrainingError

STOPPED = 75  # EX_TEMPFAIL: come again, that is, resume
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    0 done; 1 a run that cannot go on, or a reproduction outside its spread; 2 a mistake that the user can mend, told in
    one line; 75 stopped by a signal after saving. ODEEMBED_TRACEBACK=1 shows where an error arose.
    """
    try:
        arguments, rest = _parser().parse_known_args(argv)
        if rest and not arguments.settings:
            raise ConfigError(
                f"unexpected {' '.join(rest)!r}; odeembed {arguments.verb} --help lists what it takes."
            )
        return arguments.perform(arguments, rest) if arguments.settings else arguments.perform(arguments)
    except (OdeembedError, OSError, KeyboardInterrupt) as error:
        return _failed(error)


def _failed(error: BaseException) -> int:
    """Tells an error that is no fault of the program's in one line, and returns the exit status; raises any other."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if os.environ.get("ODEEMBED_TRACEBACK") == "1" or not isinstance(error, (OdeembedError, OSError)):
        raise error
    text = " ".join(str(error).split()) if isinstance(error, OdeembedError) else _of_the_system(error)
    print(f"odeembed: {text}", file=sys.stderr)
    return 1 if isinstance(error, TrainingError) else 2


def _of_the_system(error: OSError) -> str:
    """What the system refused, where, and the remedy, in one line."""
    full, closed = (errno.ENOSPC, errno.EDQUOT), (errno.EACCES, errno.EPERM, errno.EROFS)
    where = f": {error.filename}" if error.filename is not None else ""
    if error.errno in full:
        remedy = "Free some space there, or name a place on another disk"
    elif error.errno in closed:
        remedy = "Allow access there, or name another place (ODEEMBED_CACHE moves the caches)"
    else:
        remedy = "Name another path; ODEEMBED_TRACEBACK=1 shows what was tried"
    return f"{' '.join((error.strerror or str(error)).split())}{where}. {remedy}."


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line with the nearest verb, instead of the usage."""
        wrong, *verbs = re.findall(
            r"[\w-]+", message.partition("VERB: invalid choice: ")[2].replace("choose from", "")
        ) or [""]
        if verbs:
            near = difflib.get_close_matches(wrong, verbs, n=1)
            message = f"unknown command {wrong!r}" + (f"; did you mean {near[0]}?" if near else ".")
            raise ConfigError(f"{message} {self.prog} --help lists all.")
        raise ConfigError(f"{message}. {self.prog} --help lists what it takes.")


class _Help(argparse.Action):
    """--help, which lists a config's settings too when a config was named before it."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show this; after CONFIG, its settings too")

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        parser.print_help()
        if getattr(namespace, "config", None):
            from odeembed.experiment import load_config, print_settings

            print()
            print_settings(load_config(namespace.config, namespace.size), f"{parser.prog} CONFIG")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="odeembed", description="Text embeddings learned by neural differential equations.")
    parser.add_argument("--version", action="version", version=f"odeembed {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)

    def verb(name: str, perform: Any, text: str, settings: bool = False) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text, allow_abbrev=False, add_help=not settings)
        added.set_defaults(perform=perform, settings=settings)
        if settings:
            added.add_argument("-h", "--help", action=_Help)
            added.epilog = "Any setting can follow, such as --optimizer.peak 1e-3; CONFIG --help lists them."
        return added

    one = verb("demo", _demo, "train on built-in text, show neighbours, fill gaps, write vectors and plots")
    one.add_argument(
        "--run", type=Path, default=Path("runs/demo"), metavar="DIR", help="where (default: runs/demo)"
    )

    one = verb("train", _train, "train a config and write a run directory", settings=True)
    _config(one)
    one.add_argument("--seed", type=int, metavar="N", help="of parameters, batches and noise")
    one.add_argument("--run", type=Path, metavar="DIR", help="default: runs/CONFIG-SIZE-seedN")
    one.add_argument("--resume", action="store_true", help="continue the run if it was begun before")
    _cluster(one)

    one = verb("resume", _resume, "continue a run that was stopped")
    _run(one)
    _cluster(one)

    one = verb("evaluate", _evaluate, "measure a run on held-out text, with other solver settings if wanted")
    _run(one, which=True)
    one.add_argument("--split", default="test", choices=["train", "valid", "test"])
    _solver(one)
    one.add_argument(
        "--scores", action="store_true", help="also run the config's scores, such as word similarity"
    )

    one = verb(
        "diagnose", _diagnose, "measure the method's known limits: reversibility, uniqueness, gradients"
    )
    _run(one, which=True)
    _solver(one)
    one.add_argument("--rows", type=int, default=8, metavar="N", help="sentences measured (default: 8)")

    one = verb("neighbors", _neighbors, "the nearest words of some words")
    _run(one, which=True, reading=True)
    one.add_argument("words", nargs="+", metavar="WORD")
    one.add_argument("-k", type=_positive, default=10, help="neighbours a word (default: 10)")
    one.add_argument("--min-count", type=int, default=1, help="leave out words that occur less often")

    one = verb("infill", _infill, 'fill the gaps of a sentence: "the ___ sat on the ___"')
    _run(one, which=True)
    one.add_argument(
        "sentence", metavar="SENTENCE", help="with ___ for each gap; - reads lines of standard input"
    )
    one.add_argument("-k", type=_positive, default=5, help="candidates a gap (default: 5)")

    one = verb("embed", _embed, "sentences of standard input to vectors: mean contextual states")
    _run(one, which=True)
    _output(one)

    one = verb(
        "interpolate", _interpolate, "walk from one sentence to another through the codes of a sentence VAE"
    )
    _run(one, which=True)
    one.add_argument("first", metavar="A", help="a sentence")
    one.add_argument("last", metavar="B", help="another")
    one.add_argument("--points", type=_positive, default=7, metavar="N", help="sentences shown (default: 7)")
    one.add_argument(
        "--way",
        default="straight",
        metavar="WAY",
        help="straight, spherical, flow or hidden (default: straight); with --at always straight",
    )
    one.add_argument(
        "--at",
        type=float,
        metavar="T",
        help="of a sequence-to-sequence run: mix the decoder's states at this time, in tokens, and decode on",
    )
    one.add_argument("--plot", type=Path, metavar="FILE.png", help="also draw the walk into this file")
    _decoding(one)

    one = verb("translate", _translate, "sentences of standard input to what a sequence-to-sequence run says")
    _run(one, which=True)
    _decoding(one)

    one = verb(
        "trajectory",
        _trajectory,
        "the path of a decoder's state while it says a sentence, between the tokens too",
    )
    _run(one, which=True)
    one.add_argument("sentence", metavar="SENTENCE")
    one.add_argument("--points", type=_positive, default=20, metavar="N", help="times a token (default: 20)")
    one.add_argument("--plot", type=Path, metavar="FILE.png", help="also draw the path into this file")
    one.add_argument("--json", type=Path, metavar="FILE.json", help="also write all numbers into this file")
    _solver(one)

    one = verb("sample", _sample, "sentences decoded from codes drawn from the prior, or points of a density")
    _run(one, which=True)
    _output(one)
    one.add_argument("-n", type=_positive, default=10, help="how many (default: 10)")
    one.add_argument("--seed", type=int, default=0, metavar="N", help="of codes and draws (default: 0)")
    _decoding(one)

    one = verb("reconstruct", _reconstruct, "sentences of standard input to codes and back")
    _run(one, which=True)
    _decoding(one)

    one = verb("encode", _encode, "sentences of standard input to codes: the means of their posteriors")
    _run(one, which=True)
    _output(one)

    one = verb("export", _export, "word vectors as files that other tools open, each read back and compared")
    _run(one, which=True, reading=True)
    one.add_argument(
        "--format",
        default="word2vec",
        metavar="FORMAT",
        help="word2vec, word2vec-binary, safetensors or projector",
    )
    one.add_argument("--output", type=Path, metavar="PATH", help="default: RUN/vectors.*, or RUN/projector")

    one = verb("plot", _plot, "draw a run's pictures into RUN/plots")
    _run(one, which=True)

    one = verb("report", _report, "one HTML page of a run, to look at without a network: RUN/report.html")
    _run(one, which=True)
    _page(one, "RUN/report.html")

    one = verb("compare", _compare, "several runs beside each other: a table, and a page with their curves")
    paths = one.add_argument("paths", type=Path, nargs="+", metavar="RUN", help="run directories")
    _completed(paths, shtab.DIRECTORY)
    _own(one)
    _page(one, "runs/comparison.html", Path("runs/comparison.html"))

    one = verb(
        "explore", _explore, "a page on this machine to play with a run: sentences through time, walks, words"
    )
    _run(one, which=True)
    one.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine alone)"
    )
    one.add_argument("--port", type=int, default=0, metavar="N", help="default: a free one")
    one.add_argument("--no-browser", action="store_true", help="open none; only tell the address")

    one = verb("data", _data, "prepare a config's corpus, and tell what is in it", settings=True)
    _config(one)
    one.add_argument("--seed", type=int, metavar="N", help="of batches")

    one = verb("publish", _publish, "copy a finished run's result into results/")
    _run(one)
    one.add_argument("--name", help="default: CONFIG-SIZE-seedN; needed when settings were overridden")
    one.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")

    one = verb("reproduce", _reproduce, "run a published result again; status 1 outside the recorded spread")
    _completed(one.add_argument("result", type=Path, metavar="results/X.json"), shtab.FILE)
    _own(one)
    one.add_argument("--run", type=Path, metavar="DIR", help="default: runs/reproduce-X")
    one.add_argument("--tolerance", type=float, default=0.02, help="least relative tolerance (default: 0.02)")

    one = verb("tables", _tables, "write the tables of README.md and docs from results/")
    one.add_argument(
        "--check", action="store_true", help="write nothing; status 1 when a table is out of date"
    )

    one = verb(
        "bench",
        _bench,
        "measure what gradient methods cost and which to take when, or how fast solvers converge",
    )
    one.add_argument(
        "what",
        choices=["adjoints", "orders"],
        help="adjoints: memory, time and error of each; orders: error of each solver over its steps",
    )
    one.add_argument(
        "--out", type=Path, default=Path("runs/bench"), metavar="DIR", help="default: runs/bench"
    )
    one.add_argument("--quick", action="store_true", help="a small problem and few cases")
    one.add_argument("--batch", type=int, metavar="N", help="rows of the state")
    one.add_argument("--width", type=int, metavar="N", help="of the state")

    one = verb("completion", _completion, "print what makes a shell complete this command")
    one.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)

    verb("doctor", _doctor, "check versions, devices, disk, caches and the known traps")
    return parser


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {text}")
    return int(text)


def _own(parser: argparse.ArgumentParser) -> None:
    text = "of a run with classes of your own: the config that defines them, which is Python and is run"
    _completed(parser.add_argument("--config", metavar="FILE", help=text), shtab.FILE)


def _completed(action: argparse.Action, what: Any) -> None:
    """Has a shell complete an argument by files or folders."""
    vars(action)["complete"] = what


def _config(parser: argparse.ArgumentParser) -> None:
    config = parser.add_argument("config", metavar="CONFIG", help="a config file, or its name in configs/")
    _completed(config, shtab.FILE)
    parser.add_argument("--size", default="small", help="small or full (default: small)")


def _run(parser: argparse.ArgumentParser, which: bool = False, reading: bool = False) -> None:
    _completed(parser.add_argument("path", type=Path, metavar="RUN", help="a run directory"), shtab.DIRECTORY)
    _own(parser)
    if which:
        parser.add_argument(
            "--which", default="best", help="checkpoint: best, latest or a step (default: best)"
        )
    if reading:
        parser.add_argument("--reading", help="how vectors are read: embedding, embedding-2, context, ...")


def _cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--coordinator", metavar="HOST:PORT", help="of the first of several processes, for each of them"
    )
    parser.add_argument("--processes", type=_positive, metavar="N", help="how many processes there are")
    parser.add_argument("--process", type=int, metavar="I", help="which of them this is, from 0")


def _solver(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rtol", type=float, help="relative tolerance; steps become adaptive")
    parser.add_argument("--atol", type=float, help="absolute tolerance; steps become adaptive")
    parser.add_argument("--steps", type=int, help="equal steps between two tokens")
    parser.add_argument("--solver", help="midpoint, rk4, tsit5, ...")


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, metavar="FILE.npy", help="write here instead of lines of numbers"
    )


def _page(parser: argparse.ArgumentParser, place: str, default: Path | None = None) -> None:
    parser.add_argument("--output", type=Path, default=default, metavar="FILE.html", help=f"default: {place}")


def _decoding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--beam", type=_positive, default=1, metavar="N", help="hypotheses kept (default: 1, greedy)"
    )
    parser.add_argument(
        "--alpha", type=float, default=0.0, metavar="A", help="divide by length^A among them (default: 0)"
    )
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="draw the words; below 1 the likelier ones"
    )
    parser.add_argument(
        "--top-p", type=float, metavar="P", help="draw from the likeliest words of this share"
    )


def _how(arguments: argparse.Namespace, sample: bool = False) -> Any:
    from odeembed.decode import Decoding

    drawn = {name: getattr(arguments, name) for name in ("temperature", "top_p")}
    drawn = {name: value for name, value in drawn.items() if value is not None}
    draws = bool(drawn) or (sample and arguments.beam == 1)
    return Decoding(arguments.beam, arguments.alpha, sample=draws, **drawn)


def _open(arguments: argparse.Namespace) -> Any:
    from odeembed.runs import Run

    return Run.open(arguments.path, _which(arguments), _classes(arguments))


def _classes(arguments: argparse.Namespace) -> tuple[type, ...]:
    from odeembed.experiment import classes_of_config

    return () if arguments.config is None else classes_of_config(arguments.config)


def _which(arguments: argparse.Namespace) -> Any:
    return int(arguments.which) if arguments.which.isdigit() else arguments.which


def _open_with_solver(arguments: argparse.Namespace) -> Any:
    solver = {name: getattr(arguments, name) for name in ("rtol", "atol", "steps", "solver")}
    return _open(arguments).with_solver(
        **{name: value for name, value in solver.items() if value is not None}
    )


def _experiment(arguments: argparse.Namespace, settings: Sequence[str]) -> Any:
    from odeembed.experiment import load_config, override

    seed = [] if arguments.seed is None else ["--seed", str(arguments.seed)]
    return override(load_config(arguments.config, arguments.size), [*settings, *seed])


def _train(arguments: argparse.Namespace, settings: Sequence[str]) -> int:
    from odeembed import runs
    from odeembed.experiment import find_config

    def train() -> int:
        config, experiment = find_config(arguments.config).stem, _experiment(arguments, settings)
        path = arguments.run or Path(f"runs/{config}-{arguments.size}-seed{experiment.seed}")
        named = {"config": config, "size": arguments.size, "overrides": settings}
        ended = runs.train(experiment, path, **named, begun=arguments.resume)
        return _ended(ended, path)

    return _together(arguments, train)


def _resume(arguments: argparse.Namespace) -> int:
    from odeembed import runs

    def resume() -> int:
        return _ended(runs.resume(arguments.path, classes=_classes(arguments)), arguments.path)

    return _together(arguments, resume)


def _together(arguments: argparse.Namespace, action: Callable[[], int]) -> int:
    """Does it with the other processes of the run, if there are any; one that fails does not wait for them."""
    from odeembed.train import cluster

    if not cluster.join(arguments.coordinator, arguments.processes, arguments.process):
        return action()
    try:
        return action()
    except BaseException as error:
        try:
            status = _failed(error)
        except BaseException:
            traceback.print_exc()
            status = 1
        cluster.abandon(status)


def _ended(result: Mapping[str, Any] | None, path: Path) -> int:
    if result == {}:
        return 0  # the first process tells it
    if result is None:
        print(f"odeembed: stopped and saved. Continue with: odeembed resume {path}", file=sys.stderr)
        return STOPPED
    _print_numbers(
        {name: value for name, value in result["metrics"].items() if not name.startswith("valid/")}
    )
    print(f"The run, its checkpoints and result.json are in {path}")
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    run = _open_with_solver(arguments)
    found = run.evaluate(arguments.split)
    _print_numbers(found)
    if failed := found.get("solver/failed", 0.0):
        print(
            f"odeembed: {failed:.0%} of the solves failed, and the numbers are of paths cut short. Name a solver of "
            f"higher order (--solver dopri5), loosen --rtol and --atol, or train with a larger max_steps in the "
            f"model's solve settings.",
            file=sys.stderr,
        )
    if arguments.scores:
        _print_numbers(run.score())
    return 0


def _diagnose(arguments: argparse.Namespace) -> int:
    for figure in _open_with_solver(arguments).diagnose(arguments.rows):
        value = "-" if figure.value != figure.value else f"{figure.value:.3g}"
        print(f"{figure.name:<30}  {value:<8}  {figure.meaning}", flush=True)
    return 0


def _neighbors(arguments: argparse.Namespace) -> int:
    vectors = _open(arguments).vectors(arguments.reading)
    for word in arguments.words:
        found = vectors.neighbors(word, arguments.k, arguments.min_count)
        print(f"{word}: " + ", ".join(f"{near} {cosine:.3f}" for near, cosine in found))
    return 0


def _infill(arguments: argparse.Namespace) -> int:
    run, unknown = _open(arguments), 0
    for sentence in _lines() if arguments.sentence == "-" else [arguments.sentence]:
        filled = run.infill(sentence, arguments.k)
        for number, candidates in enumerate(filled.candidates, 1):
            print(f"gap {number}: " + ", ".join(f"{word} {chance:.3f}" for word, chance in candidates))
        print(filled.text, flush=True)
        unknown += filled.unknown
    _print_unknown(unknown)
    return 0


def _embed(arguments: argparse.Namespace) -> int:
    run, unknown = _open(arguments), 0

    def vectors() -> Iterator[Any]:
        nonlocal unknown
        for vector, _, out in run.embed(_lines()):
            unknown += out
            yield vector

    status = _put_vectors(vectors(), arguments.output)
    _print_unknown(unknown)
    return status


def _put_vectors(vectors: Iterator[Any], path: Path | None) -> int:
    """Prints each vector as it comes, or writes all into a file."""
    import numpy as np

    if path is None:
        for vector in vectors:
            print(" ".join(f"{number:.7g}" for number in vector.tolist()))
        return 0
    kept = list(vectors)
    matrix = np.stack(kept) if kept else np.zeros((0, 0), np.float32)
    with path.open("wb") as file:  # np.save would add .npy to other names
        np.save(file, matrix, allow_pickle=False)
    print(f"{matrix.shape[0]} vectors of {matrix.shape[1]} numbers in {path}")
    return 0


def _lines() -> Iterator[str]:
    """Lines of standard input, which must be UTF-8."""
    place = 0
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            byte = f"byte {place + error.start} (0x{line[error.start]:02x})"
            raise DataError(
                f"standard input, line {number}: {byte} is not UTF-8. Convert it, e.g. with iconv."
            ) from None
        place += len(line)


def _print_unknown(unknown: int) -> None:
    if unknown:
        print(f"odeembed: {unknown} words of the input are not in the vocabulary", file=sys.stderr)


def _interpolate(arguments: argparse.Namespace) -> int:
    run = _open(arguments)
    if arguments.at is None:
        walk, read = run.coder.interpolate(
            arguments.first, arguments.last, arguments.points, arguments.way, _how(arguments)
        )
    else:
        if arguments.way != "straight":
            raise ConfigError(
                f"--at mixes states in a straight line; got --way {arguments.way}. Leave one of them out."
            )
        shares = [number / max(arguments.points - 1, 1) for number in range(arguments.points)]
        read = run.translator.read([arguments.first, arguments.last])
        walk = run.translator.mix(*read.ids, arguments.at, shares, _how(arguments))
    _print_reading(read)
    texts = [run.vocabulary.decode(ids) for ids in walk.sentences]
    for share, text, before in zip(walk.shares, texts, [None, *texts], strict=False):
        print(f"{share:4.2f}  {text if text != before else '='}")
    if arguments.plot is not None:
        from odeembed.plots.walk import save_walk

        print(f"The picture is in {save_walk(walk.shares, texts, arguments.plot)}")
    return 0


def _translate(arguments: argparse.Namespace) -> int:
    translator, how = _open(arguments).translator, _how(arguments)
    for ids in _read_some(translator):
        for said in translator.translate(ids, how):
            print(translator.vocabulary.decode(said), flush=True)
    return 0


def _trajectory(arguments: argparse.Namespace) -> int:
    from odeembed.evaluate.trajectory import trajectory

    translator = _open_with_solver(arguments).translator
    read = translator.read([arguments.sentence])
    _print_reading(read)
    path = trajectory(translator, read.ids[0], points=arguments.points)
    rows = [
        (said.word, *(f"{value:.2f}" if value == value else "-" for value in said[2:6]), said.source or "-")
        for said in path.said
    ]
    _print_table([("word", "wins from", "to", "probability", "speed", "looks at"), *rows])
    print(f"{path.agrees:.0%} of the words are read from these finer steps as they were said")
    if arguments.plot is not None:
        from odeembed.plots.trajectory import save_trajectory

        print(f"The picture is in {save_trajectory(path, arguments.plot)}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(path.to_json(), allow_nan=False) + "\n", encoding="utf-8")
        print(f"The numbers are in {arguments.json}")
    return 0


def _sample(arguments: argparse.Namespace) -> int:
    run = _open(arguments)
    if run.vocabulary is None:
        return _put_vectors(iter(run.draw(arguments.n, arguments.seed)), arguments.output)
    if arguments.output is not None:
        raise ConfigError(
            "--output takes the points of a density; sentences are printed. Redirect them with >."
        )
    coder = run.coder
    codes = coder.prior(arguments.n, arguments.seed)
    for ids in coder.decode(codes, _how(arguments, sample=True), arguments.seed):
        print(coder.vocabulary.decode(ids))
    return 0


def _reconstruct(arguments: argparse.Namespace) -> int:
    coder, how = _open(arguments).coder, _how(arguments)
    for codes in _codes(coder):
        for ids in coder.decode(codes, how):
            print(coder.vocabulary.decode(ids), flush=True)
    return 0


def _encode(arguments: argparse.Namespace) -> int:
    codes = itertools.chain.from_iterable(_codes(_open(arguments).coder))
    return _put_vectors(codes, arguments.output)


def _codes(coder: Any) -> Iterator[Any]:
    """The codes of standard input's sentences, some hundreds at a time."""
    for ids in _read_some(coder):
        yield coder.encode(ids)[0]


def _read_some(reader: Any) -> Iterator[list[list[int]]]:
    """The token ids of standard input's sentences, some hundreds at a time."""
    lines = _lines()
    while chunk := list(itertools.islice(lines, 256)):
        read = reader.read(chunk)
        _print_reading(read)
        yield read.ids


def _print_reading(read: Any) -> None:
    """What of the sentences did not reach the model."""
    _print_unknown(sum(read.unknown))
    cut = [number for number in read.cut if number]
    if cut:
        print(
            f"odeembed: {len(cut)} sentences were longer than any the model was trained on; {sum(cut)} words at their "
            "ends were left out",
            file=sys.stderr,
        )


def _export(arguments: argparse.Namespace) -> int:
    from odeembed.export import export

    name = "projector" if arguments.format == "projector" else "vectors"
    vectors = _open(arguments).vectors(arguments.reading)
    done = export(vectors, arguments.output or arguments.path / name, arguments.format)
    print(f"{done.words} vectors, read back and equal, in {done.path}")
    if done.escaped:
        print(
            f"{done.escaped} words hold white space or backslashes and were escaped (odeembed.export.unescape)."
        )
    return 0


def _plot(arguments: argparse.Namespace) -> int:
    from odeembed.plots.run import draw

    print("\n".join(map(str, draw(_open(arguments)))))
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from odeembed import runs

    wanted = arguments.path, arguments.output, _which(arguments)
    print(f"The report is in {runs.report(*wanted, _classes(arguments))}")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from odeembed import runs
    from odeembed.pages.comparison import as_text, differing, metrics_of

    page, found = runs.compare(arguments.paths, arguments.output, _classes(arguments))
    rows = metrics_of(found)
    _print_table(as_text([["", *(run.name for run in found)], *rows]))
    for name, changed in differing(found):
        print(f"{name}: {changed}")
    print(f"The curves are in {page}")
    return 0


def _explore(arguments: argparse.Namespace) -> int:
    # The matrices of a move are small: with threads OpenBLAS, which looks at this once, takes several times as long.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from odeembed.pages.explore import LOCAL, Explorer, serve

    explorer = Explorer(_open(arguments))
    if arguments.host not in LOCAL:
        print(
            f"odeembed: whoever reaches {arguments.host} can ask this run, without a password",
            file=sys.stderr,
        )
    told = lambda url, server: print(f"The page is at {url} until Ctrl-C", flush=True)  # noqa: E731
    with contextlib.suppress(KeyboardInterrupt):
        serve(explorer, arguments.host, arguments.port, browser=not arguments.no_browser, ready=told)
    return 0


def _completion(arguments: argparse.Namespace) -> int:
    print(shtab.complete(_parser(), arguments.shell))
    return 0


def _data(arguments: argparse.Namespace, settings: Sequence[str]) -> int:
    from odeembed.data import prepare

    experiment = _experiment(arguments, settings)
    dataset = prepare.prepare(
        experiment.data, experiment.seed, progress=lambda text: print(text, file=sys.stderr)
    )
    _print_numbers(dict(_flat(prepare.inspect(dataset))))
    return 0


def _publish(arguments: argparse.Namespace) -> int:
    from odeembed import runs

    print(runs.publish(arguments.path, arguments.results, arguments.name, _classes(arguments)))
    return 0


def _reproduce(arguments: argparse.Namespace) -> int:
    from odeembed import runs

    classes = _classes(arguments)
    compared = runs.reproduce(arguments.result, arguments.run, arguments.tolerance, classes)
    if compared is None:
        return _ended(None, arguments.run or runs.reproduction_path(arguments.result))
    for line in compared:
        verdict = "ok  " if line.within else "FAIL"
        print(f"{verdict} {line.name}: {line.again:.6g}, recorded {line.recorded:.6g} +- {line.allowed:.2g}")
    return 0 if all(line.within for line in compared) else 1


def _tables(arguments: argparse.Namespace) -> int:
    from odeembed import results

    if not arguments.check:
        return results.main([])
    stale = [
        f"{file}: {name}"
        for file in (Path("README.md"), *Path("docs").glob("*.md"))
        for name in results.check(file)
    ]
    print(
        "\n".join(["tables that are not what results/ says:", *stale])
        if stale
        else "every table is up to date"
    )
    return 1 if stale else 0


def _bench(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from odeembed import results, runs
    from odeembed.evaluate.adjoints import QUICK, Lab

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    sizes = {name: getattr(arguments, name) for name in ("batch", "width")}
    sizes = {name: size for name, size in sizes.items() if size is not None}
    if arguments.what == "orders":
        if sizes or arguments.quick:
            raise ConfigError("bench orders has no sizes. Leave out --quick, --batch and --width.")
        result = runs.bench_orders(arguments.out, say)
        print(results.order_table(result))
        print(f"The measurements and their plot are in {arguments.out}")
        return 0
    lab = replace(QUICK if arguments.quick else Lab(), **sizes)
    result = runs.bench_adjoints(arguments.out, lab, say)
    tables = results.adjoint_tables(result)
    print("\n".join((tables["adjoints-steps"], tables["adjoints-tolerance"], tables["adjoints-advice"])))
    print(f"The measurements and their plot are in {arguments.out}")
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from odeembed import doctor

    checks = []
    for check in doctor.examine():
        checks.append(check)
        print(f"{'pass' if check.passed else 'FAIL'}  {check.name}: {check.text}", flush=True)
    failed = sum(not check.passed for check in checks)
    print(f"{failed} of {len(checks)} checks failed" if failed else f"all {len(checks)} checks passed")
    return 1 if failed else 0


def _demo(arguments: argparse.Namespace) -> int:
    from odeembed import runs

    shown = runs.demo(arguments.run)
    if shown is None:
        return _ended(None, arguments.run)
    print("\nNearest neighbours:")
    for word, near in shown.neighbors.items():
        print(f"  {word}: {', '.join(other for other, _ in near)}")
    print("\nMean reciprocal rank of the pairs of words, by the way the vectors are read:")
    _print_numbers({f"  {reading}": value for reading, value in shown.scores.items()})
    print(f"\nThe gaps of '{runs.DEMO_SENTENCE}':")
    for number, candidates in enumerate(shown.filled.candidates, 1):
        print(f"  gap {number}: " + ", ".join(f"{word} {chance:.2f}" for word, chance in candidates))
    print(f"  together: {shown.filled.text}")
    print("\nWritten:")
    for file in shown.files:
        print(f"  {file}")
    print(f"\nLook at {arguments.run / 'report.html'} in a browser, and go on with:")
    print(f"  odeembed explore {arguments.run}\n  odeembed neighbors {arguments.run} WORD")
    print(f"  odeembed infill {arguments.run} 'a ___ of ___'")
    return 0


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Nested facts as lines: {"a": {"b": 1}} gives a.b 1."""
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value, 1):
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be, the first to the left, all others but the last to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *middle, last in rows:
        numbers = (f"{text:>{width}}" for text, width in zip(middle, widths[1:-1], strict=True))
        print("  ".join([f"{first:<{widths[0]}}", *numbers, last]))


def _print_numbers(numbers: Mapping[str, Any]) -> None:
    shown = {name: value for name, value in numbers.items() if value is not None and value == value}  # no NaN
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        print(f"{name:<{width}}  {value:.5g}" if isinstance(value, float) else f"{name:<{width}}  {value}")


if __name__ == "__main__":
    sys.exit(main())
