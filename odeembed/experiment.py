"""Experiment: the frozen tree that is a run; its JSON, its fingerprint, its overrides and its config files."""

import ast
import contextlib
import dataclasses
import difflib
import functools
import hashlib
import importlib
import inspect
import io
import itertools
import json
import math
import operator
import re
import runpy
import sys
import textwrap
import traceback
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, get_args, get_origin, runtime_checkable

import flax.linen as nn

from odeembed.errors import ConfigError, MissingFileError
from odeembed.precision import Products, checked
from odeembed.solve.config import SolveConfig

Json = None | bool | int | float | str | list[Any] | dict[str, Any]
_SCALARS = (bool, int, float, str)
_LINEN_OWN = ("parent", "name")  # fields every linen module has, and that belong to flax
_MODULE = re.compile(r"odeembed(\.[A-Za-z]\w*)+")
_OWN = "own:"  # begins the name of a class that is not of this package
_LIBRARIES = {
    "builtins",
    "flax",
    "odeembed",
    "typing",
    "dataclasses",
    "abc",
}  # where bases of such a class come from


@runtime_checkable
class Data(Protocol):
    """What names a data set and opens it: `open(seed)` gives the dataset whose `batch(step)` is pure."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def open(self) -> Callable[..., Any]:
        """`open(seed, **options)` is the dataset, its files prepared."""
        ...


@runtime_checkable
class Objective(Protocol):
    """What is minimised, and what is measured on held-out examples."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def init(self, model: nn.Module, key: Any, batch: Any) -> Any:
        """The parameters at the start."""
        ...

    def evaluate(self, model: nn.Module, params: Any, batch: Any, key: Any) -> Any:
        """Held-out metrics of a batch, as `Mean`s."""
        ...


@runtime_checkable
class OptimizerConfig(Protocol):
    """What builds the optax transformation for a number of steps."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def build(self, steps: int) -> Any:
        """The gradient transformation for a run of so many steps."""
        ...


@dataclasses.dataclass(frozen=True)
class Experiment:
    """All that determines a run; equal experiments on one machine give equal numbers.

    Attributes:
      data: where the examples come from.
      model: the linen module to train.
      objective: the loss and the held-out metrics.
      optimizer: learning rate, clipping, decay, frozen parts.
      steps: optimizer steps of the whole run.
      seed: of parameters, batches and noise.
      parallel: how the batch is spread over the devices.
      fsdp: devices, under jit and shard_map, that keep a part each of the parameters and of the rows of a batch.
      tensor: devices, under jit, that keep a part each of the parameters and see the same rows; the rows are split over
        the devices divided by `tensor`.
      products: how the matrix products of a training step are taken: "bfloat16" rounds their operands, on every
        device, "tensorfloat32" to three more digits where the device has units for it, and sums, states, parameters and
        gradients stay float32. "float32" is what jax takes for products of float32 arrays: exact on a CPU; TPUs and
        some GPUs round the operands, unless JAX_DEFAULT_MATMUL_PRECISION is set to float32. Held-out metrics are always
        of "float32". A solve's own setting goes first; one with adaptive steps has exact products everywhere, if it has
        no other setting.
      accumulate: micro-batches summed into one step.
      ema: decay of the moving average of the parameters; 0 keeps none.
      log_every: steps between lines of training metrics.
      evaluate_every: steps between evaluations on the validation split.
      checkpoint_every: steps between checkpoints.
      keep_latest: newest checkpoints kept.
      keep_best: best checkpoints kept, by `monitor`.
      monitor: held-out metric to be minimised.
      patience: evaluations without improvement before stopping early; 0 never stops.
      init_from: run directory whose parameters are the start; "{seed}" in it stands for the experiment's own seed.
      init_only: path prefixes of the parameters taken from there, such as "encoder"; (): all.
      tensorboard: also writes TensorBoard events.
      scores: evaluations of the best checkpoint at the end.
    """

    data: Data
    model: nn.Module
    objective: Objective
    optimizer: OptimizerConfig
    steps: int
    seed: int = 0
    parallel: Literal["jit", "shard_map", "pmap"] = "jit"
    fsdp: int = 1
    tensor: int = 1
    products: Products = "float32"
    accumulate: int = 1
    ema: float = 0.0
    log_every: int = 50
    evaluate_every: int = 500
    checkpoint_every: int = 500
    keep_latest: int = 2
    keep_best: int = 1
    monitor: str = "nll"
    patience: int = 0
    init_from: str | None = None
    init_only: tuple[str, ...] = ()
    tensorboard: bool = False
    scores: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        positive = ("steps", "accumulate", "fsdp", "tensor", "log_every", "evaluate_every")
        positive += ("checkpoint_every", "keep_latest")
        for name in (*positive, "keep_best", "patience", "seed"):
            value, least = getattr(self, name), int(name in positive)
            if isinstance(value, int) and value < least:
                raise ConfigError(
                    f"{name} must be at least {least}; got {value}. Set --{name} {least} or more."
                )
        if isinstance(self.ema, float) and not 0.0 <= self.ema < 1.0:
            raise ConfigError(f"ema is a decay in [0, 1); got {self.ema}. Use 0.999, or 0 for none.")
        if self.init_only and self.init_from is None:
            raise ConfigError("init_only says what is taken from init_from; got none. Set --init_from RUN.")
        checked(self.products)
        if is_config(self.model):
            self._check_sizes()
            if self.parallel != "jit":
                self._check_solves()

    def _check_sizes(self) -> None:
        for path, node in [("model.", self.model), *((f"{p}.", n) for p, n in walk(self.model, "model."))]:
            for name in _names(type(node)) if isinstance(node, nn.Module) else ():
                size, least = getattr(node, name), int(getattr(type(node), name, 1) != 0)
                if isinstance(size, int) and not isinstance(size, bool) and size < least:
                    raise ConfigError(
                        f"{path}{name} must be at least {least}; got {size}. Set --{path}{name} higher."
                    )

    def _check_solves(self) -> None:
        for path, value in walk(self.model, "model."):
            if isinstance(value, SolveConfig) and value.steps is None and value.adjoint == "recursive":
                # Checkpointed while loops have no gradient inside mapped axes (diffrax issue 765).
                raise ConfigError(
                    f"adaptive steps with the recursive adjoint have no gradient under {self.parallel}. Set "
                    f"--{path}.adjoint replay or --parallel jit."
                )


def is_config(value: Any) -> bool:
    """Whether `value` is a node of an experiment's tree: an instance of a dataclass or of a linen module."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def replace(config: Any, /, **changes: Any) -> Any:
    """A copy of a dataclass or linen module with some fields changed, its checks run again."""
    return type(config)(**{name: getattr(config, name) for name in _names(type(config))} | changes)


def walk(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field below `config` with its dotted path, parents before their children."""
    for name in _names(type(config)):
        value = getattr(config, name)
        yield path + name, value
        for key, child in enumerate(value) if isinstance(value, tuple) else [(None, value)]:
            if is_config(child):
                yield from walk(child, path + name + ("." if key is None else f".{key}."))


def replace_nodes(config: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """A copy of the tree in which every node of class `kind` is what `change` makes of it."""
    if isinstance(config, kind):
        return change(config)
    if isinstance(config, tuple):
        return tuple(replace_nodes(item, kind, change) for item in config)
    if not is_config(config):
        return config
    old = {name: getattr(config, name) for name in _names(type(config))}
    return replace(config, **{name: replace_nodes(value, kind, change) for name, value in old.items()})


def to_json(value: Any) -> Json:
    """The tree as JSON values: a node becomes {"type": "module:Class", field: ...}, a tuple becomes a list.

    A class of the user's own becomes {"type": "own:Class:<hash of its source>", ...}: where it comes from is not told,
    so that whoever reads it back has to name it.

    Raises:
      ConfigError: a value that is neither a config nor int, float, bool, str, None or a tuple of these; a class of the
        user's own that is defined within a function.
    """
    if value is None or isinstance(value, _SCALARS):
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(
                f"a setting must be a finite number; got {value}. Leave the setting out, or use None or 0."
            )
        return value
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    if not is_config(value):
        raise ConfigError(
            f"a config holds int, float, bool, str, None, tuples and objects of odeembed; got {value!r} of type "
            f"{type(value).__name__}. Write it as one of these (a list as a tuple)."
        )
    name = _own_name(type(value)) or f"{type(value).__module__}:{type(value).__qualname__}"
    if not name.startswith(_OWN):
        _class_of(name)
    return {"type": name} | {field: to_json(getattr(value, field)) for field in _names(type(value))}


def from_json(value: Json, classes: Iterable[type] = ()) -> Any:
    """The inverse of `to_json`; builds this package's own dataclasses and linen modules and runs nothing else.

    Args:
      classes: of the user's own, which may be built too.

    Raises:
      ConfigError: a class outside the package that is not among these, or that has changed; an unknown field, or a
        value of the wrong type.
    """
    if isinstance(value, list):
        return tuple(from_json(item, classes) for item in value)
    if not isinstance(value, dict):
        return value
    name = value.get("type")
    cls = _own_class(str(name), classes) if str(name).startswith(_OWN) else _class_of(name)
    fields = {name: from_json(item, classes) for name, item in value.items() if name != "type"}
    names, hints = _names(cls), _hints(cls)
    for name, item in fields.items():
        if name not in names:
            near = _nearest(name, names) or "; another version wrote it."
            raise ConfigError(f"{cls.__name__} has no field {name!r}{near}")
        _check_value(name, item, hints[name])
    try:
        return cls(**fields)
    except TypeError as error:
        raise ConfigError(
            f"{cls.__name__} cannot be built: {error}. Add the missing fields to the JSON."
        ) from error


def fingerprint(experiment: Experiment) -> str:
    """SHA-256, in hex, of the experiment's canonical JSON without its seed: equal for runs that differ by chance."""
    tree = to_json(experiment)
    assert isinstance(tree, dict)
    tree.pop("seed")
    return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def identity(result: Mapping[str, Any]) -> str:
    """Names the experiment of a recorded result: equal for those that differ by chance, whatever version wrote them.

    It is the fingerprint of the experiment as this version reads it, settings that were not there yet being at their
    defaults; where it cannot be read, the fingerprint recorded.
    """
    try:
        return fingerprint(from_json(result["experiment"]))
    except (ConfigError, KeyError, TypeError, AttributeError):
        return result["fingerprint"]


def differences(first: Any, second: Any) -> list[str]:
    """The settings in which two experiments differ, one line each: `steps: 100, not 200`."""
    one, two = _flat(first), _flat(second)
    paths = [path for path in one | two if one.get(path) != two.get(path)]
    tops = [path for path in paths if not any(path.startswith(other + ".") for other in paths)]
    return [f"{path}: {one.get(path, 'absent')}, not {two.get(path, 'absent')}" for path in tops]


def check(config: Any, path: str = "") -> Any:
    """Compares every value of the tree with its annotation and returns the tree.

    Raises:
      ConfigError: naming the field, what it holds and what it should hold.
    """
    hints = _hints(type(config))
    for name in _names(type(config)):
        value = getattr(config, name)
        _check_value(path + name, value, hints[name])
        for child in value if isinstance(value, tuple) else (value,):
            if is_config(child):
                check(child, f"{path}{name}.")
    return config


def load_config(path: str | Path, size: str) -> Experiment:
    """Runs a config file, which is Python, and returns the experiment it calls `size`.

    While the file runs, its folder is importable, so that one config can take parts of another.

    Raises:
      MissingFileError: no such file; ConfigError: the file fails, or defines no experiment of that size.
    """
    file = find_config(path)
    experiments = _experiments(file)
    if size not in experiments:
        raise ConfigError(
            f"{file} has no size {size!r}; it has {', '.join(experiments)}. Use --size {next(iter(experiments), '')}."
        )
    if not isinstance(experiments[size], Experiment):
        raise ConfigError(
            f"{file}: experiments[{size!r}] must be an Experiment; got {type(experiments[size]).__name__}."
        )
    return check(experiments[size])


def own_classes(config: Any) -> tuple[type, ...]:
    """The classes of a config's tree that are not of this package."""
    nodes = [config]
    for _, value in walk(config):
        nodes += [item for item in (value if isinstance(value, tuple) else (value,)) if is_config(item)]
    return tuple(dict.fromkeys(type(node) for node in nodes if not _is_ours(type(node))))


def classes_of_config(path: str | Path) -> tuple[type, ...]:
    """Runs a config file and returns the classes of its experiments that are not of this package.

    Raises:
      MissingFileError: no such file; ConfigError: the file fails, or defines no experiments.
    """
    experiments = _experiments(find_config(path)).values()
    found = (cls for one in experiments if is_config(one) for cls in own_classes(one))
    return tuple(dict.fromkeys(found))


def find_config(path: str | Path) -> Path:
    """The config file meant by a path, by a name in ./configs, or by a name in the configs of this checkout."""
    if not Path(path).stem.strip("."):
        raise MissingFileError(f"{str(path)!r} is no config. Give the path of a config file.")
    name = Path(path).with_suffix(".py")
    tries = [Path(path), name, Path("configs") / name, Path(__file__).parent.parent / "configs" / name.name]
    for candidate in tries:
        if candidate.is_file():
            return candidate.resolve()
    near = _nearest(name.stem, [file.stem for candidate in tries for file in candidate.parent.glob("*.py")])
    tried = ", ".join(dict.fromkeys(map(str, tries)))
    raise MissingFileError(
        f"no config {str(path)!r}; tried {tried}{near or '. Give the path of a config file.'}"
    )


def override(experiment: Experiment, argv: Sequence[str]) -> Experiment:
    """Applies typed command-line settings such as `--optimizer.peak 1e-3`.

    A field that holds one of several classes keeps the class the config chose; its own fields can be set.

    Raises:
      ConfigError: an unknown name (with the nearest one), a value of the wrong type, or a number that is not finite.
    """
    names = settings(experiment)
    for words in _groups(argv):
        _check_setting(experiment, words, names)
    changed = check(_unmirror(experiment, _parse(experiment, argv)))
    to_json(changed)
    return changed


def settings(experiment: Experiment) -> list[str]:
    """The dotted names that `override` takes."""
    mirrored = _mirror(experiment)
    return [path for path, value in walk(mirrored) if not is_config(value)]


def print_settings(experiment: Experiment, prog: str) -> None:
    """Prints every setting with its type, value and meaning, as tyro spells them."""
    with contextlib.suppress(SystemExit):
        _parse(experiment, ["--help"], quiet=False, prog=prog)


def _names(cls: type) -> list[str]:
    own = _LINEN_OWN if issubclass(cls, nn.Module) else ()
    return [field.name for field in dataclasses.fields(cls) if field.init and field.name not in own]


def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _is_ours(cls: type) -> bool:
    return _MODULE.fullmatch(cls.__module__) is not None


def _own_name(cls: type) -> str | None:
    """What JSON calls a class that is not of this package; None of one that is."""
    if _is_ours(cls):
        return None
    if not cls.__qualname__.isidentifier():
        raise ConfigError(
            f"{cls.__qualname__} is defined within a function or a class, where nothing that reads the run back could "
            f"name it. Define it at the top of its file."
        )
    return f"{_OWN}{cls.__name__}:{_source_hash(cls)}"


def _source_hash(cls: type) -> str:
    """Of the functions and constants of a class and its bases that are no library's, comments and layout left out."""
    parts = []
    fields = {field.name for field in dataclasses.fields(cls)}  # whose values stand in the JSON
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] in _LIBRARIES:  # told by their versions
            continue
        for name, value in sorted(vars(base).items()):
            if isinstance(value, (*_SCALARS, tuple)) and name not in fields and not name.startswith("__"):
                parts.append(f"{name} = {value!r}")
            elif inspect.isfunction(value):
                with contextlib.suppress(
                    OSError, TypeError, SyntaxError
                ):  # what dataclasses make has no source
                    source = textwrap.dedent(inspect.getsource(inspect.unwrap(value)))
                    parts.append(f"{name}\n{ast.unparse(ast.parse(source))}")
    return hashlib.sha256("\n\n".join(parts).encode()).hexdigest()[:16]


def _own_class(name: str, classes: Iterable[type]) -> type:
    _, called, source = (*name.split(":", 2), "")[:3]
    found = next((cls for cls in classes if cls.__name__ == called), None)
    if found is None:
        raise ConfigError(
            f"{called[:80]!r} is a class that odeembed does not have, of who trained the run. Name the config that "
            f"defines it with --config FILE, which runs it; or give the class itself (classes=...)."
        )
    if _own_name(found) != name:
        raise ConfigError(
            f"{called} is not what it was when the run was trained: the hash of its source was {source[:16]!r}, and is "
            f"{_source_hash(found)!r}. Name the file as it was then."
        )
    return found


def _class_of(name: Any) -> type:
    module, _, qualname = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not (_MODULE.fullmatch(module) and qualname.isidentifier()):
        raise ConfigError(
            f"a run may only hold classes of odeembed; got {name!r}. Put the class into a module of odeembed."
        )
    try:
        cls = getattr(importlib.import_module(module), qualname)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{name} does not exist in this version of odeembed: {error}. Use the version that wrote it."
        ) from error
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls) and cls.__module__ == module):
        raise ConfigError(
            f"{name} is not a config class; expected a dataclass or a linen module of odeembed."
        )
    return cls


def _flat(config: Any) -> dict[str, str]:
    return {path: type(value).__name__ if is_config(value) else repr(value) for path, value in walk(config)}


def _nearest(name: str, names: Sequence[str]) -> str:
    leaf = name.rsplit(".", 1)[-1]
    ends = [known for known in names if known.rsplit(".", 1)[-1] == leaf]
    found = ends[:1] or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if not found:
        leaves = {known.rsplit(".", 1)[-1]: known for known in reversed(names)}
        found = [leaves[near] for near in difflib.get_close_matches(leaf, list(leaves), n=1)]
    return f"; did you mean {found[0]}?" if found else ""


def _check_value(path: str, value: Any, hint: Any) -> None:
    if not _conforms(value, hint):
        got = f"{value!r} ({type(value).__name__})"
        raise ConfigError(f"{path} must be {_spell(hint)}; got {got}.{_remedy(value, hint)}")


def _conforms(value: Any, hint: Any) -> bool:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    if origin in (typing.Union, types.UnionType):
        return any(_conforms(value, option) for option in args)
    if origin is Literal:
        return any(value == option and type(value) is type(option) for option in args)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        options = (args[0],) * len(value) if args[1:] == (Ellipsis,) else args
        return len(options) == len(value) and all(map(_conforms, value, options))
    if hint in (int, float):  # True is an int to Python, and an int a float to everybody
        return isinstance(value, (int, float) if hint is float else int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else callable(value)


def _spell(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(map(_spell, get_args(hint)))
    return (
        "None"
        if hint is type(None)
        else getattr(hint, "__name__", "")
        if get_origin(hint) is None
        else str(hint)
    )


def _remedy(value: Any, hint: Any) -> str:
    if isinstance(value, list):
        return " Write it as a tuple, with round brackets."
    if isinstance(value, str) and get_origin(hint) is Literal:
        return _nearest(value, [str(option) for option in get_args(hint)]).replace("; d", " D")
    return " Change it in the config."


def _experiments(file: Path) -> Mapping[str, Any]:
    experiments = _run_config(file).get("experiments")
    if not isinstance(experiments, Mapping):
        raise ConfigError(
            f"{file} defines no `experiments`; expected experiments = {{'small': Experiment(...), ...}}."
        )
    return experiments


def _run_config(file: Path) -> dict[str, Any]:
    folder, before = str(file.parent), set(sys.modules)
    sys.path.insert(0, folder)
    try:
        return runpy.run_path(str(file))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    except SystemExit as error:
        raise ConfigError(
            f"{file} ended the program; a config only builds `experiments`. Mend it."
        ) from error
    except Exception as error:
        raise ConfigError(f"{_place(file, error)}: {error}{_suggest_field(error)}") from error
    finally:
        sys.path.remove(folder)
        for name in set(sys.modules) - before:  # so that a config of the same name elsewhere is not shadowed
            if str(getattr(sys.modules[name], "__file__", "")).startswith(folder):
                del sys.modules[name]


def _place(file: Path, error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)
    ]
    return f"{file}:{lines[-1]}" if lines else str(file)


def _suggest_field(error: Exception) -> str:
    """The nearest field when a config calls a class with a keyword it does not have."""
    found = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    for frame, _ in traceback.walk_tb(error.__traceback__) if found else ():
        cls = frame.f_globals.get(found[1])  # pyright: ignore[reportOptionalSubscript]
        if isinstance(cls, type) and dataclasses.is_dataclass(cls):
            return _nearest(found[2], _names(cls))  # pyright: ignore[reportOptionalSubscript]
    return ""


def _mirror(config: Any) -> Any:
    """The tree as plain frozen dataclasses, for tyro: no choice between classes, no tuples of nodes."""
    fields, values, hints = [], {}, _hints(type(config))
    for name in _names(type(config)):
        value = getattr(config, name)
        hint = hints[name]
        if is_config(value):
            value = _mirror(value)
            hint = type(value)
        elif not (hint := _plain(hint)):
            continue
        fields.append((name, hint))
        values[name] = value
    namespace = {"__doc__": inspect.getdoc(type(config)) or type(config).__name__}
    cls = dataclasses.make_dataclass(type(config).__name__, fields, namespace=namespace, frozen=True)
    return cls(**values)


def _plain(hint: Any) -> Any:
    """The part of an annotation that a command line can spell; None when there is nothing."""
    if get_origin(hint) in (typing.Union, types.UnionType):
        options = tuple(option for option in get_args(hint) if _plain(option))
        return functools.reduce(operator.or_, options) if set(options) - {type(None)} else None
    if get_origin(hint) is tuple:
        return hint if all(item is Ellipsis or _plain(item) for item in get_args(hint)) else None
    return hint if hint in (*_SCALARS, type(None)) or get_origin(hint) is Literal else None


def _unmirror(config: Any, mirrored: Any) -> Any:
    changes = {}
    for field in dataclasses.fields(mirrored):
        old, new = getattr(config, field.name), getattr(mirrored, field.name)
        changes[field.name] = _unmirror(old, new) if is_config(old) else new
    return replace(config, **changes)


def _parse(experiment: Experiment, argv: Sequence[str], quiet: bool = True, prog: str | None = None) -> Any:
    import tyro

    default = _mirror(experiment)
    return tyro.cli(
        type(default),
        args=list(argv),
        default=default,
        prog=prog,
        use_underscores=True,
        console_outputs=not quiet,
        config=(tyro.conf.FlagConversionOff,),
    )


def _groups(argv: Sequence[str]) -> Iterator[list[str]]:
    """Cuts `--a 1 --b 2 3` into [--a, 1] and [--b, 2, 3]."""
    starts = [place for place, word in enumerate(argv) if word.startswith("--")]
    if argv and starts[:1] != [0]:
        raise ConfigError(
            f"expected a setting such as --optimizer.peak 1e-3; got {argv[0]!r}. Put -- and a name before it."
        )
    for start, stop in itertools.pairwise([*starts, len(argv)]):
        yield list(argv[start:stop])


def _check_setting(experiment: Experiment, words: list[str], names: list[str]) -> None:
    name = words[0][2:].partition("=")[0].replace("-", "_")
    if name not in names:
        fixed = dict(walk(experiment))
        why = "is chosen in the config file" if name in fixed else f"does not exist{_nearest(name, names)}"
        raise ConfigError(
            f"the setting --{name} {why}{'' if why.endswith('?') else '.'} CONFIG --help lists all settings."
        )
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # tyro prints some errors even when told to be quiet
            _parse(experiment, words)
    except SystemExit as error:
        got = " ".join(words[1:]) or words[0].partition("=")[2]
        raise ConfigError(
            f"--{name} must be {_spell(_hint_at(experiment, name))}; got {got!r}. Give a value of that kind."
        ) from error


def _hint_at(experiment: Experiment, path: str) -> Any:
    node, (*parents, name) = experiment, path.split(".")
    for parent in parents:
        node = getattr(node, parent)
    return _hints(type(node))[name]
