"""How functions are compiled to machine code, and where the results are kept. Every compiled function of this package is a
`kernel`, which Python calls, or an `inner` function, which only kernels call.

**Compiling.** Numba wraps every function twice, for calls from Python and from C. Here an inner function gets no wrapper, and
a kernel only Python's: a fifth of the time to compile.

**Keeping.** A compiled kernel is kept under a stamp of everything that it is made of: its own instructions, those of the
functions that it calls, and the constants that they read. So a change of a comment, of a docstring or of any other function
compiles nothing again; a change of a constant in another module does. The folder is the user's cache folder, or
`NUMBA_CACHE_DIR` where that is set, whoever imports the kernel.
"""

import dis
import gc
import hashlib
import multiprocessing
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core import compiler, config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

from pipeline.files import kernel_folder

OnCompile = Callable[[int, str], None]

VERSION = 1
"""Counted up when the way of compiling changes."""


_OPTIONS = {"no_cfunc_wrapper": True, "no_rewrites": True, "error_model": "numpy"}


class _State:
    on_compile: OnCompile | None = None
    compiled = 0  # kernels that this process has compiled
    announced = False


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function that Python calls; it releases the GIL, and its code is kept. `options` are `numba.njit`'s."""
    if function is None:
        return partial(kernel, **options)
    options = _OPTIONS | {"nogil": True, "pipeline_class": _Compiler} | options
    dispatcher = numba.njit(**options)(function)
    if isinstance(dispatcher, CPUDispatcher):  # not with NUMBA_DISABLE_JIT
        dispatcher._cache = _Cache(function)
    return dispatcher


def inner(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function that only kernels call: a call from Python raises TypeError."""
    if function is None:
        return partial(inner, **options)
    options = _OPTIONS | {"no_cpython_wrapper": True, "pipeline_class": _Compiler} | options
    dispatcher = numba.njit(**options)(function)
    if isinstance(dispatcher, CPUDispatcher):  # not with NUMBA_DISABLE_JIT
        dispatcher.__class__ = _Inner
    return dispatcher


@contextmanager
def compiling(on_compile: OnCompile) -> Iterator[None]:
    """Meanwhile `on_compile(count, name)` is called before each kernel that this process has to compile, in place of the
    line on standard error; `count` is how many it has begun, from 1."""
    before, _State.on_compile = _State.on_compile, on_compile
    try:
        yield
    finally:
        _State.on_compile = before


def cache_folder() -> Path:
    """Where compiled kernels are kept: NUMBA_CACHE_DIR, else the user's cache folder, else a temporary folder."""
    return Path(config.CACHE_DIR) if config.CACHE_DIR else kernel_folder()


def stamp(function: Any) -> str:
    """A digest of what a kernel is compiled from; TypeError where it reads a global that has no digest."""
    parts: list[str] = [str(VERSION)]
    _describe(function, parts, set())
    return hashlib.blake2b("\n".join(parts).encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


class _Inner(CPUDispatcher):  # type: ignore[misc]
    """An inner function. It has no wrapper for Python: Numba would jump to address 0."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"{self.py_func.__qualname__}() is an inner function: only kernels can call it")


class _Compiler(compiler.Compiler):  # type: ignore[misc]
    """Numba's compiler without the garbage collector, which finds nothing in all that is alive while one compiles."""

    def compile_extra(self, function: Any) -> Any:
        with global_compiler_lock:
            collecting = gc.isenabled()
            gc.disable()
            try:
                return super().compile_extra(function)
            finally:
                if collecting:
                    gc.enable()


class _Cache:
    """Numba's cache of a function, opened at the first call: only then are all functions defined that it calls."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._opened: FunctionCache | None = None

    @property
    def cache_path(self) -> str:
        return str(self._open().cache_path)

    def load_overload(self, signature: Any, target: Any) -> Any:
        loaded = self._open().load_overload(signature, target)
        if loaded is None:
            _announce(f"{self._function.__module__}.{self._function.__qualname__}")
        return loaded

    def save_overload(self, signature: Any, data: Any) -> None:
        self._open().save_overload(signature, data)

    def enable(self) -> None:
        self._open().enable()

    def disable(self) -> None:
        self._open().disable()

    def flush(self) -> None:
        self._open().flush()

    def _open(self) -> Any:
        if self._opened is None:
            self._opened = _FunctionCache(self._function)
        return self._opened


class _Locator(_CacheLocator):  # type: ignore[misc]
    """Tells Numba's cache the folder, the stamp and the file's name of a kernel."""

    def __init__(self, function: Any, file: str) -> None:
        self._py_file = file
        self._path = str(cache_folder() / function.__module__)
        self._stamp = stamp(function)

    def get_cache_path(self) -> str:
        return self._path

    def get_source_stamp(self) -> str:
        return self._stamp

    def get_disambiguator(self) -> str:
        return self._stamp

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "_Locator":
        return cls(py_func, py_file)


class _CacheImpl(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Locator,)


class _FunctionCache(FunctionCache):  # type: ignore[misc]
    _impl_class = _CacheImpl


def _announce(name: str) -> None:
    _State.compiled += 1
    if _State.on_compile is not None:
        _State.on_compile(_State.compiled, name)
    elif not _State.announced and multiprocessing.parent_process() is None:
        _State.announced = True
        text = f"compiling kernels for the first use of this version, up to a minute; kept in {cache_folder()}"
        print(text, file=sys.stderr)  # noqa: T201 (a library has no progress bar)


def _describe(thing: Any, parts: list[str], seen: set[int]) -> None:
    """Add to `parts` what a function or a value that it reads is made of, once for each."""
    if isinstance(thing, numba.core.dispatcher.Dispatcher):
        options = {name: value for name, value in thing.targetoptions.items() if name != "pipeline_class"}
        parts.append(repr(sorted(options.items())))
        thing = thing.py_func
    elif isinstance(thing, numba.core.extending._Intrinsic):
        thing = thing._defn
    if isinstance(thing, types.FunctionType):
        if id(thing) not in seen:
            seen.add(id(thing))
            defaults = (*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values())
            parts.append(f"{thing.__module__}.{thing.__qualname__}{defaults!r}")
            if thing.__module__.partition(".")[0] not in ("numba", "numpy", "llvmlite"):
                cells = dict(zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True))
                names = {name: cell.cell_contents for name, cell in cells.items()}
                _describe_code(thing.__code__, thing.__globals__ | names, parts, seen)
    elif isinstance(thing, tuple | list):
        parts.append(f"{type(thing).__qualname__} of {len(thing)}")
        for value in thing:
            _describe(value, parts, seen)
    elif isinstance(thing, np.ndarray):
        parts.append(f"{thing.dtype}{thing.shape}{hashlib.blake2b(np.ascontiguousarray(thing).tobytes()).hexdigest()}")
    elif isinstance(thing, type):
        fields = getattr(thing, "_fields", "")
        parts.append(f"{thing.__module__}.{thing.__qualname__}{fields}")
    elif thing is None or thing is ... or isinstance(thing, bool | int | float | str | bytes | np.generic | Enum):
        parts.append(f"{type(thing).__qualname__} {thing!r}")
    elif isinstance(thing, numba.types.Type | np.dtype):
        parts.append(str(thing))
    elif isinstance(thing, types.BuiltinFunctionType | np.ufunc | types.ModuleType):
        parts.append(thing.__name__)
    elif isinstance(thing, frozenset):
        parts.append(repr(sorted(map(repr, thing))))
    elif type(thing).__module__.partition(".")[0] in ("numba", "numpy", "llvmlite", "typing"):
        parts.append(type(thing).__qualname__)
    else:
        raise TypeError(f"a kernel reads a {type(thing).__qualname__}, of which there is no stamp: {thing!r:.80}")


def _describe_code(code: types.CodeType, names: dict[str, Any], parts: list[str], seen: set[int]) -> None:
    """Add instructions, without line numbers and docstrings, and each global value that they read."""
    parts.append(repr((code.co_varnames, code.co_argcount, code.co_exceptiontable)))
    held: list[Any] = []  # the module that the last instruction read, whose attribute the next one reads
    for step in dis.get_instructions(code):
        if isinstance(step.argval, types.CodeType):
            parts.append(step.opname)
            _describe_code(step.argval, names, parts, seen)
            continue
        parts.append(
            f"{step.opname} {sorted(map(repr, step.argval)) if isinstance(step.argval, frozenset) else step.argval!r}"
        )
        now = None
        if step.opname in ("LOAD_GLOBAL", "LOAD_DEREF", "LOAD_NAME") and step.argval in names:
            now = names[step.argval]
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and held:
            now = getattr(held[0], step.argval, None)
        held = []
        if isinstance(now, types.ModuleType):
            if now.__name__.partition(".")[0] not in ("numba", "numpy", "llvmlite", "math"):
                held = [now]
        elif now is not None:
            _describe(now, parts, seen)
