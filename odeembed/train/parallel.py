"""The devices as a mesh: the same step under jit with sharded parameters, under shard_map and under pmap."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.train.sharding import AXES, DATA, ROWS, gathered, shardings
from odeembed.train.state import TrainState
from odeembed.train.step import Step

AXIS = DATA
MODES = ("jit", "shard_map", "pmap")


class Parallel(NamedTuple):
    """Where the state and the batch lie, and how the step is mapped.

    Attributes:
      mode: one of MODES.
      mesh: all devices along the axes "data", "fsdp" and "tensor".
    """

    mode: str
    mesh: Mesh

    @property
    def devices(self) -> int:
        """Number of devices over which the rows of a batch are split."""
        return self.mesh.shape[ROWS[0]] * self.mesh.shape[ROWS[1]]

    @property
    def axis(self) -> str | None:
        """The axis over which the step itself adds up; None under jit, where the compiler inserts the sums."""
        return None if self.mode == "jit" else AXIS

    def gather(self, params: Any) -> Any:
        """The parameters as a step computes with them; their gradients come back split."""
        return params if self.mesh.size == self.mesh.shape[DATA] else gathered(params, self.mesh)

    def map(self, step: Step, state: TrainState) -> Any:
        """The step as a jitted function of the global state and batch; the state's memory is given to the result.

        Args:
          state: one of the shapes it will meet.
        """
        if self.mode == "pmap":
            devices = list(self.mesh.devices.flat)
            return jax.pmap(step, AXIS, in_axes=(None, 0), out_axes=None, devices=devices, donate_argnums=0)
        if self.mode == "shard_map":
            # check_vma=False: diffrax's solves have no rule for varying axes (diffrax#735)
            step = jax.shard_map(
                step, mesh=self.mesh, in_specs=(P(), P(AXIS)), out_specs=P(), check_vma=False
            )
        placed = shardings(state, self.mesh)
        return jax.jit(step, in_shardings=(placed, self._rows), out_shardings=placed, donate_argnums=0)

    def place_state(self, state: TrainState) -> TrainState:
        """Gives each device its part of a state."""
        return jax.device_put(state, shardings(state, self.mesh))

    def replicate(self, tree: Any) -> Any:
        """Copies arrays to every device."""
        return jax.device_put(tree, NamedSharding(self.mesh, P()))

    def place_batch(self, batch: Batch) -> Batch:
        """Gives each device its rows, in order."""
        if self.mode == "pmap":
            batch = jax.tree.map(lambda x: x.reshape(self.devices, -1, *x.shape[1:]), batch)
        return jax.device_put(batch, self._rows)

    def place_rows(self, batch: Batch) -> Batch:
        """As `place_batch`, for evaluation under jit; a batch that does not divide is left for every device."""
        if len(batch.index) % self.devices:
            return self.replicate(batch)
        return jax.device_put(batch, self._rows)

    @property
    def _rows(self) -> NamedSharding:
        return NamedSharding(self.mesh, P(ROWS))


def make_parallel(mode: str, devices: list[Any] | None = None, *, fsdp: int = 1, tensor: int = 1) -> Parallel:
    """The layout over the local devices, or over those given.

    Args:
      fsdp: devices that keep a part each of the parameters and of the rows: less memory, more to send.
      tensor: devices that keep a part each of the parameters and see the same rows.

    Raises:
      ConfigError: no such mode, sharded parameters under another mode than jit, or devices that these do not divide.
    """
    if mode not in MODES:
        raise ConfigError(f"parallel must be jit, shard_map or pmap; got {mode!r}. Use jit.")
    if fsdp * tensor > 1 and mode != "jit":
        raise ConfigError(
            f"parallel {mode} keeps all parameters on every device; got fsdp {fsdp} and tensor {tensor}. Use "
            f"--parallel jit, or 1 for both."
        )
    devices = jax.local_devices() if devices is None else devices
    if len(devices) % (fsdp * tensor):
        raise ConfigError(
            f"{len(devices)} devices do not divide by fsdp {fsdp} x tensor {tensor}. Choose the two so that their "
            f"product divides {len(devices)}."
        )
    # Auto: make_mesh makes explicit axes by default, which nn.Embed and diffrax do not know (diffrax#735, #738)
    shape = len(devices) // (fsdp * tensor), fsdp, tensor
    return Parallel(mode, jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * 3, devices=devices))


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
