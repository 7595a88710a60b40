"""The three splits of any data, and what all kinds of data ask of them in the same words."""

from typing import Any

from odeembed.errors import ConfigError, DataError

SPLITS = ("train", "valid", "test")


def check_split(split: str) -> None:
    """Refuses any other name.

    Raises:
      ConfigError: saying which there are.
    """
    if split not in SPLITS:
        raise ConfigError(f"no split {split!r}; expected one of {', '.join(SPLITS)}.")


def check_held_out(fraction: float) -> None:
    """Refuses a share for each of valid and test that leaves nothing for one of the three.

    Raises:
      ConfigError: saying what it may be.
    """
    if not 0 < fraction < 0.5:
        raise ConfigError(
            f"held_out must lie in (0, 0.5), for each of valid and test; got {fraction}. Use 0.1."
        )


def held_out_size(count: int, fraction: float, noun: str) -> int:
    """How many of so many examples are that fraction, rounded down.

    Raises:
      DataError: none.
    """
    size = int(fraction * count)
    if not size:
        raise DataError(f"{count} {noun} are too few to hold {fraction:g} of them out. Give more.")
    return size


def check_one_batch(count: int, rows: int, noun: str) -> None:
    """Refuses training examples that do not fill one batch.

    Raises:
      DataError: saying how many rows would do.
    """
    if count < rows:
        raise DataError(
            f"{count} {noun} to train on; expected at least one batch of {rows}. Give more, or set data.rows to "
            f"{count} or less."
        )


def check_model(model: Any, setting: str, wanted: int, told: str, remedy: str = "") -> None:
    """Refuses a model whose setting, where it has one of that name, is not what the data have.

    Args:
      setting: an attribute of a model that counts something, e.g. "classes".
      told: what the data have, e.g. "mnist has 10 classes".
      remedy: what to do; by default, to set it.

    Raises:
      ConfigError: saying both numbers.
    """
    found = getattr(model, setting, wanted)
    if found != wanted:
        raise ConfigError(f"{told} and the model {found}. {remedy or f'Set --model.{setting} {wanted}.'}")
