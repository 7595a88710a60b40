"""What a classifier makes of a batch, be it of images or of series."""

from typing import Any, NamedTuple


class Classified(NamedTuple):
    """Logits of the classes.

    Attributes:
      logits: float [b, k].
      stats: int32 [b] counts of the solver; {} of a model that solves nothing.
      failed: bool [b], true where nothing of a row can be trusted.
      penalty: float [b], `SolveConfig.penalty` of each row's path; None without one.
    """

    logits: Any
    stats: dict[str, Any]
    failed: Any
    penalty: Any = None

    @property
    def states(self) -> Any:
        """The logits [b, 1, k], all that is read of a row, as `states` of other models."""
        return self.logits[:, None]
