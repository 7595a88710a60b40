"""What simple estimators make of the points that the flows are trained on: a Gaussian, and a kernel density estimate.

    python benchmarks/densities.py
    python -m odeembed.results

The first writes benchmarks/results/densities.json, of which the second makes rows of the tables `densities-known` and
`densities-tables`. Points, splits and units are those of the configs. The Gaussian has the mean and the covariance of
the train split. The kernels are Gaussians of its covariance times a squared bandwidth, around at most ten thousand of
its points; the bandwidth is the one of eleven that the valid split is likeliest under.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recording import RESULTS, ROOT, circumstances, write_result
from scipy.stats import gaussian_kde, multivariate_normal

from odeembed.data.densities import ToyDensity
from odeembed.errors import MissingFileError
from odeembed.experiment import load_config

CORPORA = (
    "gaussians",
    "checkerboard",
    "circles",
    "moons",
    "pinwheel",
    "spirals",
    "powerplant",
    "protein",
    "wine",
)
KERNELS, HELD_OUT = 10_000, 2000  # points
BANDWIDTHS = tuple(float(width) for width in np.geomspace(0.02, 0.6, 11))


def estimates(points: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Minus the log-density of a test point by each, in nats."""
    train, valid, test = (points[split].astype(np.float64) for split in ("train", "valid", "test"))
    covariance: Any = np.cov(train.T)  # scipy's types want a number
    some = train[:KERNELS]
    likely = {width: log_likelihood(some, valid[:HELD_OUT], width) for width in BANDWIDTHS}
    best = max(likely, key=lambda width: likely[width])
    return [
        {
            "model": "Gaussian",
            "nats": -float(multivariate_normal.logpdf(test, train.mean(0), covariance).mean()),
        },
        {"model": "kernel density", "nats": -log_likelihood(some, test, best), "bandwidth": best},
    ]


def log_likelihood(kernels: np.ndarray, x: np.ndarray, bandwidth: float) -> float:
    """The mean log-density of x."""
    return float(gaussian_kde(kernels.T, bandwidth).logpdf(x.T).mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description="Estimate densities without a flow.")
    parser.add_argument("corpora", nargs="*", default=CORPORA)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows = []
    for corpus in options.corpora:
        data: Any = load_config(ROOT / "configs" / f"{corpus}_flow.py", "small").data
        try:
            points = data.open(0).points
        except MissingFileError as error:
            print(f"{corpus} is left out: {error}")
            continue
        known = isinstance(data.test, ToyDensity)
        truth = {"truth": -float(data.test.log_density(points["test"]).mean())} if known else {}
        rows += [{"corpus": corpus, **row, **truth} for row in estimates(points)]
        print(rows[-2:], flush=True)
    facts = circumstances("numpy", "scipy")
    print(write_result(options.results / "densities.json", {"kind": "densities", "rows": rows, **facts}))


if __name__ == "__main__":
    main()
