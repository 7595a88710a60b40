"""What devices tell each other in a compiled step, and what is multiplied in one: read from programs, not measured."""

import math
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "collective-broadcast",
)
_CALL = re.compile(rf" = (?P<shapes>.*?) (?P<kind>{'|'.join(KINDS)})(-start)?\(")
_SHAPE = re.compile(r"\b(?P<type>pred|[a-z]+(?P<bits>\d+))\[(?P<dims>[\d,]*)\]")


class Collective(NamedTuple):
    """An exchange between devices.

    Attributes:
      kind: one of KINDS.
      bytes: of the result on one device.
      looped: whether it stands in a loop, in whatever its turns call.
    """

    kind: str
    bytes: int
    looped: bool


def collectives(program: str) -> list[Collective]:
    """Those of a compiled program.

    Args:
      program: the text of an HLO module: computations with their instructions, each computation named once at the
        margin, and referred to by name.
    """
    found = re.split(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{\n", program, flags=re.MULTILINE)[1:]
    bodies = dict(zip(found[::2], found[1::2], strict=True))
    calls = {name: set(re.findall(r"%?([\w.\-]+)", body)) & bodies.keys() for name, body in bodies.items()}
    ahead = set(re.findall(r"(?:body|condition)=%?([\w.\-]+)", program))
    within: set[str] = set()
    while ahead:
        within |= ahead
        ahead = set().union(*(calls[name] for name in ahead if name in calls)) - within
    return [
        Collective(call["kind"], sum(map(_bytes, _SHAPE.finditer(call["shapes"]))), name in within)
        for name, body in bodies.items()
        for call in _CALL.finditer(body)
    ]


def _bytes(shape: re.Match[str]) -> int:
    size = math.prod(int(length) for length in shape["dims"].split(",") if length)
    return size * (int(shape["bits"] or 8) // 8)


def product_flops(step: Callable[..., Any], *arguments: Any) -> float:
    """Floating-point operations of all matrix products of a function, two for each multiplication and addition.

    Loops of a known length count as often as they turn; others once.
    """
    return _flops(jax.make_jaxpr(step)(*arguments).jaxpr)


def _flops(jaxpr: Any) -> float:
    total = 0.0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += (
                2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
            )
            continue
        turns = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        parts = defaultdict(float)
        for name, value in equation.params.items():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    parts[name] = max(parts[name], _flops(inner))  # of the branches of a choice the dearest
        total += turns * sum(parts.values())
    return total
