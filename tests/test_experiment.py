"""Experiments: what survives JSON, what the command line may change, and what is said about a mistake."""

import dataclasses
import json
import linecache
import re
import sys
import types
from typing import Literal

import flax.linen as nn
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odeembed import experiment as tree
from odeembed.data.sources import PairFiles, Scan, TfdsPairs
from odeembed.data.text import TextData
from odeembed.errors import ConfigError, MissingFileError
from odeembed.experiment import Experiment
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator
from odeembed.objectives.masked_interpolation import MaskedInterpolation
from odeembed.solve.config import SolveConfig
from odeembed.train.optimizer import Optimizer


class Field(nn.Module):
    """A field.

    Attributes:
      hidden: its width.
    """

    hidden: int = 8
    kind: Literal["gru", "mlp"] = "gru"


class Flow(nn.Module):
    field: Field = Field()
    dims: tuple[int, ...] = (1, 2)


class Other(nn.Module):
    layers: int = 2


class Model(nn.Module):
    body: Flow | Other = Flow()
    vocab_size: int = 0


@dataclasses.dataclass(frozen=True)
class Files:
    paths: tuple[str, ...] = ()
    skip: str | None = None

    def open(self, seed):
        raise AssertionError(seed)


@dataclasses.dataclass(frozen=True)
class Corpus:
    train: Files | int = Files()
    valid: Files | None = None

    def open(self, seed):
        raise AssertionError(seed)


@dataclasses.dataclass(frozen=True)
class Loss:
    rate: float = 0.2
    whole_words: bool = False

    def init(self, model, key, batch): ...
    def evaluate(self, model, params, batch, key): ...


@dataclasses.dataclass(frozen=True)
class Adam:
    peak: float = 1e-3
    paces: tuple[tuple[str, float], ...] = ()

    def build(self, steps): ...


CLASSES = (Field, Flow, Other, Model, Files, Corpus, Loss, Adam)


@pytest.fixture(autouse=True)
def package_classes(monkeypatch):
    """Lets the classes above pass for classes of the package, in a module that the JSON can name."""
    module = types.ModuleType("odeembed.testing_classes")
    for cls in CLASSES:
        monkeypatch.setattr(cls, "__module__", module.__name__)
        setattr(module, cls.__name__, cls)
    monkeypatch.setitem(sys.modules, module.__name__, module)


def small(**changes):
    values = dict(data=Corpus(), model=Model(), objective=Loss(), optimizer=Adam(), steps=10)
    return Experiment(**values | changes)


def test_json_round_trip_keeps_every_value_and_class():
    first = small(model=Model(body=Other(layers=5)), optimizer=Adam(paces=(("a", 0.5),)), scores=(Loss(0.1),))
    text = json.dumps(tree.to_json(first))
    assert tree.from_json(json.loads(text)) == first
    assert "parent" not in text and '"name"' not in text


@pytest.mark.parametrize(
    "source",
    [
        PairFiles(("a.en.gz", "b.en"), ("a.de.gz", "b.de")),
        Scan(("tasks.txt",)),
        TfdsPairs("para_crawl/ende", "train[:90%]", "en", "de", "tfds"),
    ],
)
def test_pairs_round_trip_through_json_and_take_settings(source):
    first = small(data=TextData(train=source, unit="pair", longer="leave"))
    assert tree.from_json(json.loads(json.dumps(tree.to_json(tree.check(first))))) == first
    assert tree.override(first, ["--data.longer", "cut"]).data == TextData(train=source, unit="pair")
    with pytest.raises(ConfigError, match="unit"):
        tree.override(first, ["--data.unit", "pairs"])


def test_json_of_text_written_before_longer_was_a_setting_loads():
    value = tree.to_json(small(data=TextData()))
    del value["data"]["longer"]
    assert tree.from_json(value).data == TextData(longer="cut")


def test_every_published_experiment_loads(root):
    for file in (root / "results").glob("*.json"):
        loaded = tree.from_json(json.loads(file.read_text())["experiment"])
        assert isinstance(loaded, Experiment), file.name


def test_fingerprint_ignores_the_seed_and_nothing_else():
    assert tree.fingerprint(small(seed=1)) == tree.fingerprint(small(seed=2))
    assert tree.fingerprint(small()) != tree.fingerprint(small(model=Model(Flow(Field(hidden=9)))))


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "subprocess:Popen",
        "odeembed.experiment:nn",
        "odeembed.experiment:load_config",
        "own:",
        "own:system:0123456789abcdef",
        "x",
        3,
        None,
    ],
)
def test_json_that_names_anything_but_a_config_class_of_the_package_is_refused(name):
    with pytest.raises(ConfigError):
        tree.from_json({"type": name})


@dataclasses.dataclass(frozen=True)
class Own:
    """A score of the user's own."""

    x: int = 1

    def __call__(self, run):
        return {"own/x": self.x}


def test_a_class_of_ones_own_is_read_back_by_whoever_has_it_and_by_nobody_else():
    written = small(scores=(Own(3),))
    value = tree.to_json(written)
    assert re.fullmatch(r"own:Own:[0-9a-f]{16}", value["scores"][0]["type"])
    assert tree.own_classes(written) == (Own,)
    assert tree.from_json(value, [Own]) == written
    with pytest.raises(ConfigError, match=r"'Own' is a class that odeembed does not have.*--config FILE"):
        tree.from_json(value)
    value["scores"][0]["x"] = "three"
    with pytest.raises(ConfigError, match="x must be int"):
        tree.from_json(value, [Own])


def test_a_class_of_ones_own_that_has_changed_is_refused(tmp_path):
    def written(body: str, constant: int = 1) -> type:
        (tmp_path / "mine.py").write_text(
            "import dataclasses\nfrom typing import ClassVar\n\n"
            "@dataclasses.dataclass(frozen=True)\nclass Mine:\n    x: int = 1\n"
            f"    unit: ClassVar[int] = {constant}\n\n"
            f"    def __call__(self, run):\n{body}\n"
            "from odeembed.experiment import load_config, replace\n"
            "experiments = {'small': replace(load_config('demo', 'small'), scores=(Mine(),))}\n"
        )
        linecache.checkcache()
        (cls,) = tree.classes_of_config(tmp_path / "mine.py")
        return cls

    cls = written("        return {'x': 1}")
    value = tree.to_json(cls(2))
    assert tree.from_json(value, [written("        # another word\n        return {'x':  1}")]).x == 2
    with pytest.raises(ConfigError, match=r"Mine is not what it was"):
        tree.from_json(value, [written("        return {'x': 2}")])
    with pytest.raises(ConfigError, match=r"Mine is not what it was"):
        tree.from_json(value, [written("        return {'x': 1}", constant=2)])


def test_a_class_within_a_function_cannot_be_written():
    @dataclasses.dataclass(frozen=True)
    class Foreign:
        x: int = 1

    with pytest.raises(ConfigError, match="Define it at the top"):
        tree.to_json(small(scores=(Foreign(),)))


def test_unknown_and_wrongly_typed_json_fields_are_named():
    value = tree.to_json(small())
    with pytest.raises(ConfigError, match=r"stepz.*did you mean steps"):
        tree.from_json({**value, "stepz": 3})
    with pytest.raises(ConfigError, match=r"steps must be int; got 'ten'"):
        tree.from_json({**value, "steps": "ten"})


def test_overrides_reach_linen_modules_and_the_configured_class_of_a_union():
    words = "--model.body.field.hidden 64 --optimizer.peak=1e-4 --steps 20 --data.train.paths a.txt b.txt"
    words += " --objective.whole_words True --model.body.field.kind mlp --optimizer.paces body 0.5 head 2"
    changed = tree.override(small(), words.split())
    assert changed.model.body == Flow(Field(64, "mlp"))
    assert changed.optimizer == Adam(1e-4, (("body", 0.5), ("head", 2.0)))
    assert changed.data.train.paths == ("a.txt", "b.txt")
    assert changed.steps == 20 and changed.objective.whole_words is True
    layers = tree.override(small(model=Model(body=Other())), ["--model.body.layers", "7"])
    assert layers.model.body == Other(7)


def test_no_override_changes_nothing():
    assert tree.override(small(), []) == small()


@pytest.mark.parametrize(
    "words, text",
    [
        ("--optimizer.peek 1", "did you mean optimizer.peak"),
        ("--peak 1", "did you mean optimizer.peak"),
        ("--hiden 1", "did you mean model.body.field.hidden"),
        ("--model.body.layers 3", "--model.body.layers does not exist"),
        ("--data.valid x", "chosen in the config file"),
        ("--optimizer.peak fast", "--optimizer.peak must be float; got 'fast'"),
        ("--steps 1e3", "--steps must be int; got '1e3'"),
        ("--steps", "--steps must be int; got ''"),
        ("--steps=", "--steps must be int; got ''"),
        ("--model.body.field.kind lstm", "'gru' or 'mlp'; got 'lstm'"),
        ("--optimizer.peak nan", "finite number; got nan"),
        ("--optimizer.peak inf", "finite number; got inf"),
        ("--steps 0", "at least 1; got 0"),
        ("--model.body.field.hidden 0", "model.body.field.hidden must be at least 1; got 0"),
        ("--model.vocab_size -1", "model.vocab_size must be at least 0; got -1"),
        ("--ema 1.0", "ema is a decay"),
        ("steps 3", "Put -- and a name before it"),
        ("--help 3", "does not exist"),
        ("--", "does not exist"),
    ],
)
def test_a_wrong_override_is_one_line_that_names_the_remedy(words, text, capsys):
    with pytest.raises(ConfigError) as error:
        tree.override(small(), words.split())
    assert text in str(error.value) and "\n" not in str(error.value)
    assert capsys.readouterr() == ("", "")


def test_check_names_the_path_of_a_wrong_value():
    with pytest.raises(ConfigError, match=r"data.train.paths must be tuple.* Write it as a tuple"):
        tree.check(small(data=Corpus(Files(paths=["a"]))))
    with pytest.raises(ConfigError, match=r"model.body.field.hidden must be int; got True"):
        tree.check(small(model=Model(Flow(Field(hidden=True)))))
    with pytest.raises(ConfigError, match=r"kind must be 'gru' or 'mlp'; got 'gruu' .str.. Did you mean gru"):
        tree.check(small(model=Model(Flow(Field(kind="gruu")))))


def test_differences_name_the_settings():
    assert tree.differences(small(), small()) == []
    assert tree.differences(small(steps=1), small(steps=2)) == ["steps: 1, not 2"]
    changed = tree.differences(small(), small(model=Model(body=Other())))
    assert changed[0] == "model.body: Flow, not Other"


def config_file(tmp_path, text, name="c.py"):
    path = tmp_path / name
    path.write_text(text)
    return path


HEADER = "from odeembed.experiment import Experiment\nfrom odeembed.testing_classes import *\n"


def test_one_config_can_take_parts_of_another(tmp_path):
    config_file(tmp_path, "STEPS = 77\n", "neighbour_config.py")
    path = config_file(
        tmp_path,
        HEADER + "from neighbour_config import STEPS\n"
        "experiments = {'small': Experiment(Corpus(), Model(), Loss(), Adam(), steps=STEPS)}\n",
    )
    assert tree.load_config(path, "small").steps == 77
    assert "neighbour_config" not in sys.modules and str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    "text, expected",
    [
        ("x = 1", "defines no `experiments`"),
        ("experiments = {'small': 3}", "must be an Experiment; got int"),
        ("experiments = {'full': 3}", "Use --size full"),
        ("experiments = {", "c.py:3"),
        ("raise SystemExit(3)", "ended the program"),
        ("import nonesuch", "c.py:3: No module named 'nonesuch'"),
        ("Adam(peek=1)", "c.py:3.*did you mean peak"),
        (
            "experiments = {'small': Experiment(Corpus(), Model(), Loss(), Adam(peak='x'), steps=1)}",
            "optimizer.peak",
        ),
        (
            "experiments = {'small': Experiment(Corpus(), Model(), Loss(), Adam(), steps=-1)}",
            "steps must be at least 1",
        ),
    ],
)
def test_a_broken_config_is_named_with_its_line(tmp_path, text, expected):
    path = config_file(tmp_path, HEADER + text)
    with pytest.raises(ConfigError, match=expected):
        tree.load_config(path, "small")


def test_a_config_that_is_not_there_lists_what_was_tried(tmp_path):
    (tmp_path / "wikitext.py").write_text("")
    with pytest.raises(MissingFileError, match=r"tried .*; did you mean wikitext"):
        tree.load_config(tmp_path / "wikitxt.py", "small")
    with pytest.raises(MissingFileError, match="Give the path of a config file"):
        tree.load_config("..", "small")


REAL = Experiment(TextData(), MaskedInterpolator(), MaskedInterpolation(), Optimizer(), steps=10)
VALUES = st.one_of(
    st.sampled_from(
        ["nan", "-inf", "1e999", "-1", "0", "", "None", "True", "1e3", "9" * 40, "--", "-", "\x00", "a b"]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=6),
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.sampled_from(tree.settings(REAL)), st.text(max_size=12)), st.lists(VALUES, max_size=3))
def test_whatever_is_typed_is_a_setting_or_a_named_mistake(name, values):
    try:
        changed = tree.override(REAL, [f"--{name}", *values])
    except ConfigError as error:
        assert len(str(error)) > 20
    else:
        assert tree.from_json(json.loads(json.dumps(tree.to_json(changed), allow_nan=False))) == changed


def test_adaptive_steps_without_a_gradient_under_a_mapped_axis_are_refused():
    flow = JumpFlow(config=SolveConfig(solver="dopri5", steps=None, adjoint="recursive"))
    parts = {"model": MaskedInterpolator(body=Jump(flow)), "objective": MaskedInterpolation(), "steps": 1}
    Experiment(data=TextData(), optimizer=Optimizer(), **parts)
    for parallel in ("pmap", "shard_map"):
        with pytest.raises(ConfigError, match=r"--model\.body\.flow\.config\.adjoint replay"):
            Experiment(data=TextData(), optimizer=Optimizer(), parallel=parallel, **parts)


def test_a_result_of_an_older_version_is_of_the_same_experiment():
    plain = {"experiment": tree.to_json(REAL), "fingerprint": "recorded"}
    older = json.loads(json.dumps(plain))
    del older["experiment"]["data"]["longer"]
    other = {"experiment": tree.to_json(dataclasses.replace(REAL, steps=11)), "fingerprint": "recorded"}
    assert tree.identity(older) == tree.identity(plain) == tree.fingerprint(REAL) != tree.identity(other)
    assert tree.identity({"fingerprint": "recorded"}) == "recorded"
    assert tree.identity({"experiment": {"steps": 1}, "fingerprint": "recorded"}) == "recorded"
