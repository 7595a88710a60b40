"""The devices as a mesh: the same step under jit with sharded parameters, under shard_map and under pmap."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.train.sharding import AXES, DATA, ROWS, gathered, shardings
from odeembed.train.state import TrainState
from odeembed.train.step import Step, Sums

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
    def processes(self) -> int:
        """Number of processes that the devices belong to."""
        return len({device.process_index for device in self.mesh.devices.flat})

    def gather(self, params: Any) -> Any:
        """Parameters as a step computes with them, or their gradients as it finds them."""
        if self.mode != "jit" or self.mesh.size == self.mesh.shape[DATA]:
            return params
        return gathered(params, self.mesh)

    def spread(self, sums: Sums) -> Sums:
        """The sums over all rows from a function of a device's own; under jit the compiler adds up, where it wants.

        Under shard_map and pmap the devices meet once, after all loops.
        """
        if self.mode == "jit":
            return sums
        axes = DATA if self.mode == "pmap" else ROWS

        def summed(params: Any, key: Any, step: Any, batch: Batch) -> Any:
            return jax.lax.psum(sums(params, key, step, batch), axes)

        if self.mode == "pmap":
            return summed
        # check_vma=False: diffrax's solves have no rule for varying axes (diffrax#735)
        specs = {"in_specs": (P(), P(), P(), P(ROWS)), "out_specs": P()}
        return jax.shard_map(summed, mesh=self.mesh, check_vma=False, **specs)

    def map(self, step: Step, state: TrainState) -> Any:
        """The step as a jitted function of the global state and batch; the state's memory is given to the result.

        Args:
          state: one of the shapes it will meet.
        """
        if self.mode == "pmap":
            devices = list(self.mesh.devices.flat)
            return jax.pmap(step, DATA, in_axes=(None, 0), out_axes=None, devices=devices, donate_argnums=0)
        placed = shardings(state, self.mesh)
        return jax.jit(step, in_shardings=(placed, self._rows), out_shardings=placed, donate_argnums=0)

    def shardings(self, state: TrainState) -> Any:
        """Where the arrays of a state lie."""
        return shardings(state, self.mesh)

    def place_state(self, state: TrainState) -> TrainState:
        """Gives each device its part of a state that every process has whole."""
        return _placed(state, shardings(state, self.mesh))

    def replicate(self, tree: Any) -> Any:
        """Copies arrays that every process has to every device."""
        return _placed(tree, jax.tree.map(lambda _: NamedSharding(self.mesh, P()), tree))

    def place_batch(self, batch: Batch) -> Batch:
        """Gives each device its rows, in order; of several processes each has its own share of the batch."""
        if self.mode == "pmap":
            batch = jax.tree.map(lambda x: x.reshape(self.devices, -1, *x.shape[1:]), batch)
        if self._local:
            return jax.device_put(batch, self._rows)
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(self._rows, x), batch)

    def place_rows(self, batch: Batch) -> Batch:
        """Gives each device its rows of a batch that every process has whole, for evaluation under jit.

        A batch that does not divide is left whole on every device.
        """
        if len(batch.index) % self.devices:
            return self.replicate(batch)
        return _placed(batch, jax.tree.map(lambda _: self._rows, batch))

    @property
    def _local(self) -> bool:
        """Whether all devices are of this process."""
        return not self.mesh.is_multi_process

    @property
    def _rows(self) -> NamedSharding:
        return NamedSharding(self.mesh, P(ROWS))


def make_parallel(mode: str, devices: list[Any] | None = None, *, fsdp: int = 1, tensor: int = 1) -> Parallel:
    """The layout over the devices of all processes, or over those given.

    Args:
      fsdp: devices that keep a part each of the parameters and of the rows: less memory, more to send.
      tensor: devices that keep a part each of the parameters and see the same rows.

    Raises:
      ConfigError: no such mode, sharded parameters under a mode that has none, devices that these do not divide, or
        several processes under pmap, or with devices that `tensor` does not divide.
    """
    if mode not in MODES:
        raise ConfigError(f"parallel must be jit, shard_map or pmap; got {mode!r}. Use jit.")
    if (mode == "pmap" and fsdp * tensor > 1) or (mode == "shard_map" and tensor > 1):
        raise ConfigError(
            f"parallel {mode} computes with whole parameters on every device; got fsdp {fsdp} and tensor {tensor}. Use "
            f"--parallel jit, or --tensor 1, and with pmap --fsdp 1."
        )
    devices = jax.devices() if devices is None else devices
    processes = len({device.process_index for device in devices})
    if processes > 1 and mode == "pmap":
        raise ConfigError(f"parallel pmap is for one process; there are {processes}. Use jit or shard_map.")
    if processes > 1 and (len(devices) // processes) % tensor:
        raise ConfigError(
            f"tensor must divide the {len(devices) // processes} devices of a process, which have the same rows; got "
            f"{tensor}. Use a divisor."
        )
    if len(devices) % (fsdp * tensor):
        raise ConfigError(
            f"{len(devices)} devices do not divide by fsdp {fsdp} x tensor {tensor}. Choose the two so that their "
            f"product divides {len(devices)}."
        )
    # Auto: make_mesh makes explicit axes by default, which nn.Embed and diffrax do not know (diffrax#735, #738)
    shape = len(devices) // (fsdp * tensor), fsdp, tensor
    return Parallel(mode, jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * 3, devices=devices))


def _placed(tree: Any, shardings: Any) -> Any:
    """Arrays that every process has whole, as arrays over the devices of all."""

    def place(leaf: Any, sharding: NamedSharding) -> Any:
        if sharding.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = place(jax.random.key_data(leaf), sharding)
            return jax.jit(jax.random.wrap_key_data, out_shardings=sharding)(data)
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(place, tree, shardings)


def check_rows(batch: Batch, devices: int, accumulate: int, processes: int = 1) -> None:
    """Compares the rows of a batch with what it is divided by.

    Args:
      batch: the share of each of so many processes.

    Raises:
      ConfigError: the rows are no multiple of devices * accumulate; the text names two numbers that are.
    """
    rows, parts = len(batch.index) * processes, devices * accumulate
    if rows % parts:
        fewer, length = max(rows // parts, 1) * parts, np.shape(batch.mask)[-1]
        raise ConfigError(
            f"a batch must have a multiple of {parts} rows ({devices} devices x accumulate {accumulate}); got {rows} "
            f"rows of length {length}. Use {fewer} or {fewer + parts} rows: for text, data.batch_tokens "
            f"{fewer * length} or {(fewer + parts) * length}, if all buckets agree."
        )
