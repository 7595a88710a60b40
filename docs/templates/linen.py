"""For the documentation alone: what a linen module is made with, which linen finds out when a program runs."""

from typing import Any

import griffe


class Linen(griffe.Extension):
    """Marks linen modules as the dataclasses they are, so that they are shown with their settings and defaults."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Marks every class of the package that is a linen module, also by way of another class."""
        for cls in _classes(pkg):
            if _is_linen(cls):
                cls.decorators.append(
                    griffe.Decorator(griffe.ExprName("dataclasses.dataclass"), lineno=None, endlineno=None)
                )


def _classes(scope: griffe.Module | griffe.Class) -> list[griffe.Class]:
    found: list[griffe.Class] = []
    for member in scope.members.values():
        if isinstance(member, griffe.Class | griffe.Module):
            found += [member] if isinstance(member, griffe.Class) else []
            found += _classes(member)
    return found


def _is_linen(cls: griffe.Class) -> bool:
    paths = [base.canonical_path for base in cls.bases if isinstance(base, griffe.Expr)]
    known = [base for base in cls.resolved_bases if isinstance(base, griffe.Class)]
    return "flax.linen.Module" in paths or any(map(_is_linen, known))
