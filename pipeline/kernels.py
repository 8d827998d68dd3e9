"""Functions compiled to machine code: a `kernel`, which Python calls, or an `inner` function, which only kernels call.

`kernel_compiler` says how they are compiled, `kernel_cache` how the results are cached.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
from numba.core.registry import CPUDispatcher

from pipeline.kernel_cache import KernelCache
from pipeline.kernel_compiler import WRAPS, Compiler


def kernel(
    function: Callable[..., Any] | None = None, *, allocates: bool = False, wraps: bool = True, **options: Any
) -> Any:
    """Compile a function that Python calls; it releases the GIL and is cached. `options` are those of `numba.njit`.

    Pass `allocates` for a function that makes or returns arrays. Others compile without reference counting, which would be
    half of the code. Without `wraps`, only constants can be negative indices, which count from the end; each access to an
    array has three instructions less.
    """
    if function is None:
        return partial(kernel, allocates=allocates, wraps=wraps, **options)
    dispatcher = _compiled(function, wraps, {"nogil": True, "_nrt": allocates} | options)
    if isinstance(dispatcher, CPUDispatcher):  # not with NUMBA_DISABLE_JIT
        dispatcher._cache = KernelCache(function)
    return dispatcher


def inner(
    function: Callable[..., Any] | None = None, *, allocates: bool = False, wraps: bool = True, **options: Any
) -> Any:
    """Compile a function that only kernels call; a call from Python raises TypeError. `allocates`, `wraps`: as for kernels."""
    if function is None:
        return partial(inner, allocates=allocates, wraps=wraps, **options)
    dispatcher = _compiled(function, wraps, {"no_cpython_wrapper": True, "_nrt": allocates} | options)
    if isinstance(dispatcher, CPUDispatcher):  # not with NUMBA_DISABLE_JIT
        dispatcher.__class__ = _Inner
    return dispatcher


def _compiled(function: Callable[..., Any], wraps: bool, options: dict[str, Any]) -> Any:
    vars(function)[WRAPS] = wraps
    common = {"no_cfunc_wrapper": True, "no_rewrites": True, "error_model": "numpy", "pipeline_class": Compiler}
    return numba.njit(**(common | options))(function)


class _Inner(CPUDispatcher):  # type: ignore[misc]
    """An inner function. It has no wrapper for Python, so without this class a call would jump to address 0."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"{self.py_func.__qualname__}() is an inner function: only kernels can call it")

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Compile it once for all integers, not again for each literal 0 or 1 in a call."""
        plain = {name: numba.types.unliteral(kind) for name, kind in kws.items()}
        return super().get_call_template(tuple(numba.types.unliteral(kind) for kind in args), plain)
