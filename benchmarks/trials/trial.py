"""What a trial finds: how often harm was done, how often it did what it must not, and figures."""

import dataclasses
from typing import Any

SHOWN = 5  # failures told in full


@dataclasses.dataclass
class Trial:
    """A kind of harm, counted.

    Attributes:
      name: what is done.
      bar: what must hold each time.
      count: how often it was done.
      failures: what was found where it did not hold.
      figures: what was measured on the way, by its name with the unit.
    """

    name: str
    bar: str
    count: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    figures: dict[str, float] = dataclasses.field(default_factory=dict)

    def check(self, held: bool, failure: str) -> None:
        """Counts one, and keeps what went wrong."""
        self.count += 1
        if not held:
            self.failures.append(failure)

    def most(self, name: str, value: float) -> None:
        """Keeps the largest of a figure."""
        self.figures[name] = max(value, self.figures.get(name, value))

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON; of many failures the first are told."""
        return {
            "name": self.name,
            "bar": self.bar,
            "count": self.count,
            "failed": len(self.failures),
            "failures": self.failures[:SHOWN],
            "figures": self.figures,
        }
