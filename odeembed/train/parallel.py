"""The data axis over the local devices: the same step under jit with a mesh, under shard_map and under pmap."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.train.step import Step

AXIS = "data"
MODES = ("jit", "shard_map", "pmap")


class Parallel(NamedTuple):
    """Where the state and the batch lie, and how the step is mapped.

    Attributes:
      mode: one of MODES.
      mesh: the devices along one axis called "data".
    """

    mode: str
    mesh: Mesh

    @property
    def devices(self) -> int:
        """Number of devices."""
        return self.mesh.size

    @property
    def axis(self) -> str | None:
        """The axis over which the step itself adds up; None under jit, where the compiler inserts the sums."""
        return None if self.mode == "jit" else AXIS

    def map(self, step: Step) -> Any:
        """The step as a jitted function of the global state and batch; the state's memory is given to the result."""
        replicated, split = NamedSharding(self.mesh, P()), NamedSharding(self.mesh, P(AXIS))
        if self.mode == "pmap":
            devices = list(self.mesh.devices.flat)
            return jax.pmap(step, AXIS, in_axes=(None, 0), out_axes=None, devices=devices, donate_argnums=0)
        if self.mode == "shard_map":
            # check_vma=False: diffrax's solves have no rule for varying axes (diffrax#735)
            step = jax.shard_map(
                step, mesh=self.mesh, in_specs=(P(), P(AXIS)), out_specs=P(), check_vma=False
            )
        return jax.jit(step, in_shardings=(replicated, split), out_shardings=replicated, donate_argnums=0)

    def place_state(self, state: Any) -> Any:
        """Copies a state (or parameters) to every device."""
        return jax.device_put(state, NamedSharding(self.mesh, P()))

    def place_batch(self, batch: Batch) -> Batch:
        """Gives each device its rows, in order."""
        if self.mode == "pmap":
            batch = jax.tree.map(lambda x: x.reshape(self.devices, -1, *x.shape[1:]), batch)
        return jax.device_put(batch, NamedSharding(self.mesh, P(AXIS)))

    def place_rows(self, batch: Batch) -> Batch:
        """As `place_batch`, for evaluation under jit; a batch that does not divide is left for every device."""
        if len(batch.index) % self.devices:
            return self.place_state(batch)
        return jax.device_put(batch, NamedSharding(self.mesh, P(AXIS)))


def make_parallel(mode: str, devices: list[Any] | None = None) -> Parallel:
    """The layout over the local devices, or over those given.

    Raises:
      ConfigError: no such mode.
    """
    if mode not in MODES:
        raise ConfigError(f"parallel must be jit, shard_map or pmap; got {mode!r}. Use jit.")
    devices = jax.local_devices() if devices is None else devices
    # Auto: make_mesh makes explicit axes by default, which nn.Embed and diffrax do not know (diffrax#735, #738)
    return Parallel(
        mode, jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)
    )


def check_rows(batch: Batch, devices: int, accumulate: int) -> None:
    """Compares the rows of a batch with what it is divided by.

    Raises:
      ConfigError: the rows are no multiple of devices * accumulate; the text names two numbers that are.
    """
    rows, parts = len(batch.index), devices * accumulate
    if rows % parts:
        fewer, length = max(rows // parts, 1) * parts, np.shape(batch.mask)[-1]
        raise ConfigError(
            f"a batch must have a multiple of {parts} rows ({devices} devices x accumulate {accumulate}); got {rows} "
            f"rows of length {length}. Use {fewer} or {fewer + parts} rows: for text, data.batch_tokens "
            f"{fewer * length} or {(fewer + parts) * length}, if all buckets agree."
        )
