"""SolveConfig: how an initial value problem is solved and differentiated; Solution and Status: what comes back."""

import dataclasses
from enum import IntEnum
from typing import Any, Literal, NamedTuple, get_args

from odeembed.errors import ConfigError
from odeembed.precision import Products, checked

KEPT_STATES = 64  # states that a gradient method keeps at a time before it recomputes

Solver = Literal["euler", "midpoint", "heun", "ralston", "rk4", "rk38", "bosh3", "tsit5", "dopri5", "dopri8"]
Adjoint = Literal["replay", "reversible", "backsolve", "recursive", "direct"]


class Status(IntEnum):
    """What became of one row."""

    SUCCESS = 0
    MAX_STEPS = 1  # the end was not reached
    NONFINITE = 2  # the field, or a state on a fixed grid, is NaN or infinite
    UNDERFLOW = 3  # the error asks for steps shorter than time can tell apart
    BAD_TIMES = 4  # times that turn back, of a path that is read between its stops
    OTHER = 5


@dataclasses.dataclass(frozen=True)
class Penalty:
    """Weights of what makes a path cheap to solve: integrals along it, a row and unit of state each, added to the loss.

    Attributes:
      kinetic: of |f|^2, Finlay et al. 2020.
      jacobian: of |e^T df/dy|^2 for one noise vector e of signs a solve, which estimates |df/dy|_F^2; likewise.
      taylor: of |d^k y / dt^k|^2 for k = `order`, Kelly et al. 2020.
      order: k of the Taylor term, 2 or more.

    Raises:
      ConfigError: a weight below 0, or an order below 2.
    """

    kinetic: float = 0.0
    jacobian: float = 0.0
    taylor: float = 0.0
    order: int = 2

    def __post_init__(self):
        for name in ("kinetic", "jacobian", "taylor"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"the weight {name} must be at least 0; got {getattr(self, name)}.")
        if self.order < 2:
            raise ConfigError(f"order must be at least 2; got {self.order}. Use kinetic for order 1.")


@dataclasses.dataclass(frozen=True)
class SolveConfig:
    """Solver, step control and gradient method.

    Attributes:
      solver: an explicit Runge-Kutta method by its usual name; euler, rk4 and rk38 only on a fixed grid.
      steps: equal steps between two neighbouring times; None lets the error decide.
      rtol: relative tolerance of an adaptive solve.
      atol: absolute tolerance of an adaptive solve.
      max_steps: most steps of an adaptive solve, rejected ones included; a row that needs more has status MAX_STEPS.
        (By `recursive` and `backsolve`: most steps between two neighbouring times, where there are jumps.)
      first_step: length of the first step of an adaptive solve; None: an estimate, for two evaluations.
      pid: proportional, integral and derivative coefficient of the step size control.
      control: "row", each row has steps of its own; "batch", one step size for all rows.
      adjoint: how gradients are found. "replay": accepted steps are recorded, and taken again one by one, last first.
        "reversible": steps of two coupled copies, undone in closed form; no state is kept. "backsolve": the continuous
        adjoint, solved backward; no state is kept, and the gradient is the solution's to the tolerance only.
        "recursive": diffrax's checkpoints. "direct": every intermediate is stored, and derivatives of any order and
        direction exist. On a fixed grid replay and recursive are the same.
      coupling: lambda in (0, 1] of "reversible"; rounding grows backward by 1 / lambda a step.
      products: how the field's matrix products are taken: "bfloat16" rounds their operands and sums in float32, and
        "tensorfloat32" does so to three more digits where the device has units for it. None is float32 with adaptive
        steps, on every device, since steps would be spent on rounding; on a grid it is what surrounds the solve.
      penalty: integrals along the path that come back as `Solution.penalty`.

    Raises:
      ConfigError: a value outside its range, or a combination that does not exist.
    """

    solver: Solver = "midpoint"
    steps: int | None = 1
    rtol: float = 1e-3
    atol: float = 1e-4
    max_steps: int = 256
    first_step: float | None = None
    pid: tuple[float, float, float] = (0.0, 1.0, 0.0)
    control: Literal["row", "batch"] = "row"
    adjoint: Adjoint = "replay"
    coupling: float = 0.999
    products: Products | None = None
    penalty: Penalty | None = None

    def __post_init__(self):
        if self.solver not in get_args(Solver):
            raise ConfigError(f"unknown solver {self.solver!r}. Use one of {', '.join(get_args(Solver))}.")
        if self.adjoint not in get_args(Adjoint):
            raise ConfigError(f"unknown adjoint {self.adjoint!r}. Use one of {', '.join(get_args(Adjoint))}.")
        if self.control not in ("row", "batch"):
            raise ConfigError(f"control must be row or batch; got {self.control!r}.")
        if self.products is not None:
            checked(self.products)
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"steps must be at least 1, or None for adaptive steps; got {self.steps}.")
        if self.max_steps < 1:
            raise ConfigError(f"max_steps must be at least 1; got {self.max_steps}.")
        if not (0 < self.rtol < 1 and 0 < self.atol < 1):
            raise ConfigError(f"rtol and atol must lie between 0 and 1; got {self.rtol} and {self.atol}.")
        if self.first_step is not None and not self.first_step > 0:
            raise ConfigError(f"first_step must be above 0, or None for an estimate; got {self.first_step}.")
        if len(self.pid) != 3 or sum(self.pid) <= 0:
            raise ConfigError(f"pid must be three coefficients with a sum above 0; got {self.pid}.")
        if self.steps is None and self.solver in ("euler", "rk4", "rk38"):
            raise ConfigError(
                f"{self.solver} has no error estimate. Set steps, or use bosh3, tsit5 or dopri5."
            )
        if not 0 < self.coupling <= 1:
            raise ConfigError(f"coupling must lie above 0 and be at most 1; got {self.coupling}. Use 0.999.")


class Solution(NamedTuple):
    """States at the times asked for, and how each row fared.

    Attributes:
      ys: like y0 with an axis of times after the batch, [b, n, ...]; at a time with a jump, the state just before it.
      stats: int32 [b] counts: `evaluations` of the field, `accepted` and `rejected` steps.
      status: int32 [b], a `Status` for each row; a value, never an exception inside a traced function.
      penalty: float [b], `SolveConfig.penalty` of each row's path, an integral by |dt| over all its times, summed over
        the paths that were solved side by side; NaN where the end was not reached. None without a penalty.
    """

    ys: Any
    stats: dict[str, Any]
    status: Any
    penalty: Any = None

    @property
    def failed(self) -> Any:
        """bool [b], true where a row's states cannot be trusted."""
        return self.status != Status.SUCCESS
