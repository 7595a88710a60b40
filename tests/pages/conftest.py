"""Small runs of every kind that has a page of its own, and a browser to look at pages with."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from odeembed import runs
from odeembed.data.densities import ToyDensity
from odeembed.data.points import PointData
from odeembed.data.sources import TextFiles
from odeembed.data.text import TextData
from odeembed.experiment import Experiment
from odeembed.fields.concat_squash import ConcatSquashField
from odeembed.models.decoders import JumpDecoder
from odeembed.models.density import DensityEstimator
from odeembed.models.encoders import JumpFlow
from odeembed.models.flow import ContinuousFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.models.seq2seq import Seq2Seq
from odeembed.objectives.density import FlowMatching
from odeembed.objectives.masked_interpolation import MaskedInterpolation
from odeembed.objectives.sentence_vae import SentenceELBO
from odeembed.objectives.sequence import SequenceNLL
from odeembed.solve.config import SolveConfig
from odeembed.train.optimizer import Optimizer

HOSTILE = "</script><img/src=x/onerror=window.pwned=1>"
WORDS = ("green", "small", "large", "white", HOSTILE, "round", "heavy", "<b>bold</b>", "&amp;")


def trained(path: Path, model: Any, objective: Any, data: Any, steps: int = 4) -> Path:
    experiment = Experiment(
        data=data,
        model=model,
        objective=objective,
        optimizer=Optimizer(peak=1e-2, warmup=2),
        steps=steps,
        log_every=1,
        evaluate_every=2,
        checkpoint_every=steps,
        monitor="nats" if isinstance(data, PointData) else "nll",
    )
    assert runs.train(experiment, path, config="tiny", report=lambda record: None) is not None
    return path


@pytest.fixture(scope="session")
def hostile() -> str:
    """A word of the text, which a page must show and not obey."""
    return HOSTILE


@pytest.fixture(scope="session")
def text(tmp_path_factory) -> TextData:
    lines = [f"the {a} stone lay near a {b} house by the river" for a in WORDS for b in WORDS] * 4
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("\n".join(lines) + "\n")
    return TextData(train=TextFiles((str(file),)), held_out=0.1, buckets=(16,), batch_tokens=256)


@pytest.fixture(scope="session")
def interpolator(text, tmp_path_factory) -> Path:
    """A run whose words and paths one may look at."""
    model = MaskedInterpolator(embed_dim=8, body=Jump(JumpFlow(8)))
    return trained(tmp_path_factory.mktemp("runs") / "interpolator", model, MaskedInterpolation(), text)


@pytest.fixture(scope="session")
def vae(text, tmp_path_factory) -> Path:
    """A run that walks between sentences."""
    decoder = JumpDecoder(JumpFlow(8, None, directions=("forward",)))
    model = SentenceVAE(embed_dim=8, encoder=JumpFlow(8, None), decoder=decoder, latent=4)
    return trained(tmp_path_factory.mktemp("runs") / "vae", model, SentenceELBO(), text)


@pytest.fixture(scope="session")
def seq2seq(text, tmp_path_factory) -> Path:
    """A run that says what it hears."""
    decoder = JumpDecoder(JumpFlow(8, directions=("forward",)))
    model = Seq2Seq(embed_dim=8, encoder=JumpFlow(8, None), decoder=decoder, latent=4)
    return trained(tmp_path_factory.mktemp("runs") / "seq2seq", model, SequenceNLL(), text)


@pytest.fixture(scope="session")
def density(tmp_path_factory) -> Path:
    """A run that draws points."""
    points = PointData(*(ToyDensity("moons", 256, seed) for seed in range(3)), rows=64)
    flow = ContinuousFlow(ConcatSquashField(hidden=(8,)), SolveConfig(solver="rk4", steps=2))
    return trained(
        tmp_path_factory.mktemp("runs") / "density", DensityEstimator(flow), FlowMatching(), points
    )


class Browser:
    """A headless Chromium that finds no host but this one.

    Attributes:
      driver: selenium's.
    """

    def __init__(self, driver: Any):
        self.driver = driver

    def open(self, address: str) -> None:
        self.driver.get(address)

    def find(self, selector: str) -> Any:
        """The first element that a CSS selector names."""
        return self.driver.find_element("css selector", selector)

    def value(self, expression: str, *arguments: Any) -> Any:
        """What an expression in the page is, its arguments being a0, a1, ..."""
        names = "".join(f"const a{number} = arguments[{number}]; " for number in range(len(arguments)))
        return self.driver.execute_script(f"{names}return {expression}", *arguments)

    def wait(self, expression: str, *arguments: Any) -> Any:
        """Waits until an expression is true, and returns it."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 20, 0.02).until(lambda _: self.value(expression, *arguments))

    def push(self, slider: Any, share: float) -> None:
        """Drags a slider to a share of its way, as a hand does."""
        from selenium.webdriver import ActionChains

        self.value("a0.scrollIntoView({block: 'center'})", slider)
        value, least, most = (float(slider.get_property(name)) for name in ("value", "min", "max"))
        way = slider.size["width"] - 16  # of the middle of the knob
        start, end = (round((part - 0.5) * way) for part in ((value - least) / (most - least), share))
        hand = ActionChains(self.driver).move_to_element_with_offset(slider, start, 0).click_and_hold()
        hand.move_to_element_with_offset(slider, end, 0).release().perform()

    def complaints(self) -> list[str]:
        """What pages wrote to the console since it was last asked."""
        lines = self.driver.get_log("browser")
        return [line["message"] for line in lines if line["level"] in ("SEVERE", "WARNING")]

    def fetched(self) -> list[str]:
        """The addresses that the page loaded."""
        return self.value("performance.getEntriesByType('resource').map((entry) => entry.name)")

    @contextlib.contextmanager
    def narrow(self, width: int) -> Iterator[None]:
        """A screen of so many pixels across, as of a telephone."""
        metrics = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        yield
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    """A browser; skips where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver")
    binary, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs Chromium and its driver: chromium and chromedriver on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    folder = tmp_path_factory.mktemp("browser")
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        f"--user-data-dir={folder}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--window-size=1100,1400",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver, env=os.environ | {"HOME": str(folder)})
    opened = webdriver.Chrome(options=options, service=service)
    yield Browser(opened)
    opened.quit()
