"""Corpora, vocabularies and batches, in NumPy alone."""
