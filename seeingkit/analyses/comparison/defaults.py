"""Defaults of a comparison. Never imports torch."""

PERMUTATIONS = 1000
"""Permutations behind a p-value, unless another number is asked for: p >= 0.001."""
