"""Masked interpolation on English novels, whole books held out, by GRU-ODE flows with jumps."""

from dataclasses import replace

from wikipedia_jump import experiments as wikipedia

from odeembed.data.sources import TextFiles


def part(name: str) -> TextFiles:
    """The books of a split; the lines that name them are left out."""
    return TextFiles((f"novels/{name}.txt.xz",), skip=r"^<<<")


def on_novels(experiment):
    """The same experiment on other text."""
    data = replace(experiment.data, train=part("train"), valid=part("valid"), test=part("test"))
    return replace(experiment, data=data)


experiments = {name: on_novels(one) for name, one in wikipedia.items()}
