"""odeembed: representations of text learned by neural differential equations, in JAX."""

__version__ = "0.1.0"
