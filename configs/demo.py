"""The demonstration: word vectors from the documentation that Python and the installed packages carry.

    make demo        # or: odeembed demo

Its experiment stands in the package, where `odeembed demo` finds it without this file.
"""

from odeembed.demo import experiments

__all__ = ["experiments"]
