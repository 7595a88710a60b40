"""Solving initial value problems and differentiating through them; the only room that imports diffrax."""
