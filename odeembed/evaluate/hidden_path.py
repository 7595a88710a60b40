"""The hidden path of one sentence in the plane of its two main directions, and the vector field in that plane."""

import functools
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float

from odeembed.evaluate.vectors import main_plane
from odeembed.models.interpolator import Jump, Latent

_ACROSS = 13  # arrows side by side


@dataclass(frozen=True, eq=False)
class HiddenPath:
    """Hidden states in the plane through their mean that holds the most of their variance.

    Attributes:
      plane: float [n, 2], the states at the times of the path; of two flows the forward one's.
      variance: the shares of their variance in the two directions.
      places: float [g, 2], where the field is told, on a grid around the path; none where no field is solved.
      field: float [k, g, 2], the part of dh/dt within the plane at these places, at k whole times from the first on; k
        is 1 where the field does not depend on the time.
    """

    plane: Float[np.ndarray, "n 2"]
    variance: tuple[float, float]
    places: Float[np.ndarray, "g 2"]
    field: Float[np.ndarray, "k g 2"]


def hidden_path(
    model: Any, params: Any, states: Float[np.ndarray, "n h"], times: Float[np.ndarray, " n"]
) -> HiddenPath:
    """Projects the states of an interpolator's body, and its field where it has one that is solved over time.

    Args:
      states: at the times, as `MaskedInterpolator.hidden` gives them.
    """
    found = _field(getattr(model, "body", None), params)
    if found is not None:
        states = states[:, : found[2] or states.shape[1]]
    plane = main_plane(states)
    if found is None:
        none = np.zeros((0, 2), np.float32)
        return HiddenPath(plane.places, plane.variance, none, none[None])
    field, variables, _ = found
    reach = 1.15 * max(float(np.abs(plane.places).max()), 1e-6)
    axis = np.linspace(-reach, reach, _ACROSS, dtype=np.float32)
    places = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    moments = np.arange(np.floor(times[0]), np.floor(times[-1]) + 1, dtype=np.float32)
    at = plane.centre + places @ plane.directions
    slopes = np.asarray(_slopes(field)(variables, moments, at)) @ plane.directions.T
    if np.all(slopes == slopes[:1]):
        slopes = slopes[:1]
    return HiddenPath(plane.places, plane.variance, places, slopes)


def _field(body: Any, params: Any) -> tuple[nn.Module, Any, int | None] | None:
    """The field that carries the body's states over time, its variables, and which of the states are its own."""
    if isinstance(body, Jump) and body.flow.field is not None:
        first = body.flow.directions[0]
        return body.flow.field, params["body"]["flow"][f"field_{first}"], body.flow.hidden
    if isinstance(body, Latent):
        return body.field, params["body"]["field"], None
    return None


@functools.lru_cache(maxsize=4)
def _slopes(field: nn.Module) -> Any:
    """The jitted (variables, times [k], states [g, h]) -> dh/dt [k, g, h]; the field is asked without a context."""
    return jax.jit(
        jax.vmap(lambda variables, t, y: field.apply({"params": variables}, t, y), (None, 0, None))
    )
