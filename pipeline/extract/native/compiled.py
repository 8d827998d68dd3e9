"""How the extractor's functions are compiled: no index is negative, except a constant."""

from functools import partial

from pipeline import kernels

kernel = partial(kernels.kernel, wraps=False)
"""`kernels.kernel` for functions whose indices are never negative."""
inner = partial(kernels.inner, wraps=False)
"""`kernels.inner` likewise."""
