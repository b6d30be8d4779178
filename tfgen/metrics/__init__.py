"""Measures of models and samples: pure functions on arrays, tensors and distributions."""

from tfgen.metrics.likelihood import bits_per_dim, is_discrete

__all__ = ["bits_per_dim", "is_discrete"]
