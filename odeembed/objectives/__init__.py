"""Objectives: what is minimised, as values that hold no state."""
