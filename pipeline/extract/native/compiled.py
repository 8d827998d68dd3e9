"""How the kernels here are compiled: the two decorators, so that the flags stand once.

Compiling is most of what the first page costs. Neither kind gets a C wrapper, and only an entry gets a Python one; array
expressions are not looked for, there being none; and division needs no branch for zero, each divisor being above it.
"""

from numba import njit

entry = njit(nogil=True, cache=True, no_cfunc_wrapper=True, error_model="numpy", no_rewrites=True)
"""A kernel that Python calls; kept in the kernel cache with all that it calls."""
inner = njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", no_rewrites=True)
"""A kernel that only other kernels call."""
step = njit(
    nogil=True,
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
    error_model="numpy",
    no_rewrites=True,
    forceinline=True,
)
"""An inner kernel of a few instructions, in a loop over bytes: inlined by LLVM, at no cost to type inference."""
