"""Scores of trained models; every example counts exactly once."""
