"""The cache of compiled kernels, on disk, and who hears of a kernel that is not in it.

A kernel is cached under a stamp of everything that it is compiled from: its own instructions, those of the functions that it
calls, and the constants that they read. So a changed comment, docstring or unrelated function does not recompile it, and a
changed constant in another module does. The folder is the user's cache folder, or `NUMBA_CACHE_DIR` if that is set, whoever
imports the kernel. A kernel that cannot be read or written there is compiled in each process.
"""

import dis
import hashlib
import multiprocessing
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core import config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

from pipeline.files import kernel_folder
from pipeline.kernel_compiler import WRAPS

OnCompile = Callable[[int, str], None]
"""Called with (count, name) before a kernel is compiled."""


KEPT_DAYS = 60
"""How long compiled kernels of other versions are kept: several checkouts share one cache."""
VERSION = 4
"""Raise it when the way of compiling changes."""


class _State:
    on_compile: OnCompile | None = None
    compiled = 0  # kernels that this process has compiled
    announced = False
    warned = False  # whether it has printed that kernels cannot be cached


@contextmanager
def compiling(on_compile: OnCompile) -> Iterator[None]:
    """In the block, call `on_compile(count, name)` before each kernel that this process has to compile, instead of printing a
    line to standard error. `count` is the number of kernels that the process has begun to compile, from 1."""
    before, _State.on_compile = _State.on_compile, on_compile
    try:
        yield
    finally:
        _State.on_compile = before


def cache_folder() -> Path:
    """The folder of compiled kernels: NUMBA_CACHE_DIR, else the user's cache folder, else a temporary folder."""
    return Path(config.CACHE_DIR) if config.CACHE_DIR else kernel_folder()


def stamp(function: Any) -> str:
    """A digest of what a kernel is compiled from; TypeError if it reads a global that cannot be digested."""
    parts: list[str] = [str(VERSION)]
    _describe(function, parts, set())
    return hashlib.blake2b("\n".join(parts).encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


class KernelCache:
    """Numba's cache of a function, opened at the first call, when all functions that it calls are defined."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._opened: FunctionCache | None = None

    @property
    def cache_path(self) -> str:
        """The folder of this kernel's files."""
        return str(self._open().cache_path)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """What was compiled for these types; None if it is not there, which is announced."""
        cache = self._open()
        try:
            loaded = cache.load_overload(signature, target)
        except OSError:
            loaded = None
        except Exception:  # a broken file, or one that names a class that no longer exists, may raise anything
            loaded = None
            with suppress(OSError):
                cache.flush()
        if loaded is not None and tuple(loaded.signature.args) != tuple(getattr(signature, "args", signature)):
            loaded = None  # another process wrote the file for another signature at the same time
        if loaded is None:
            _announce(f"{self._function.__module__}.{self._function.__qualname__}")
        return loaded

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep what was compiled; a folder that cannot be written is named once."""
        try:
            self._open().save_overload(signature, data)
            self._remove_outdated()
        except OSError as error:
            _warn_uncached(error)

    def _remove_outdated(self) -> None:
        """Delete this kernel's files of other versions that nobody has written for KEPT_DAYS; loading only reads them."""
        name = self._open()._impl.filename_base.rpartition("-")[0] + "-"
        oldest = time.time() - KEPT_DAYS * 86_400
        for file in Path(self.cache_path).iterdir():
            if file.name.startswith(name) and file.stat().st_mtime < oldest:
                file.unlink(missing_ok=True)

    def flush(self) -> None:
        """Forget what was compiled."""
        self._open().flush()

    def _open(self) -> Any:
        if self._opened is None:
            self._opened = _FunctionCache(self._function)
        return self._opened


class _Locator(_CacheLocator):  # type: ignore[misc]
    """Gives Numba's cache the folder, the stamp and the file name of a kernel."""

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

    def _index_key(self, signature: Any, codegen: Any) -> Any:
        """The key of compiled code: its types in words, because in a later version a class may be gone or have its fields in
        another order. The stamp covers the instructions."""
        return tuple(map(_type_in_words, signature)), codegen.magic_tuple()


def _type_in_words(kind: Any) -> str:
    """A type in words, for a named tuple with the names and types of its fields."""
    if not isinstance(kind, numba.types.BaseTuple):
        return str(kind)
    words = [_type_in_words(member) for member in kind]
    if not isinstance(kind, numba.types.BaseNamedTuple):
        return f"({', '.join(words)})"
    fields = ", ".join(f"{name}: {member}" for name, member in zip(kind.fields, words, strict=True))
    return f"{kind.instance_class.__module__}.{kind.instance_class.__qualname__}({fields})"


def _announce(name: str) -> None:
    _State.compiled += 1
    if _State.on_compile is not None:
        _State.on_compile(_State.compiled, name)
    elif not _State.announced and multiprocessing.parent_process() is None:
        _State.announced = True
        text = f"compiling kernels for the first use of this version, up to a minute; cached in {cache_folder()}"
        print(text, file=sys.stderr)  # noqa: T201 (a library has no progress bar)


def _warn_uncached(error: OSError) -> None:
    if not _State.warned and multiprocessing.parent_process() is None:
        _State.warned = True
        text = (
            f"compiled kernels cannot be cached in {cache_folder()} ({error.strerror}); each process compiles its own"
        )
        print(text, file=sys.stderr)  # noqa: T201 (as above)


def _describe(thing: Any, parts: list[str], seen: set[int]) -> None:
    """Add to `parts` a description of a function, or of a value that one reads; each function is added once."""
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
            wraps = getattr(thing, WRAPS, True)
            parts.append(f"{thing.__module__}.{thing.__qualname__}{defaults!r}{wraps}")
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
        raise TypeError(f"a kernel reads a {type(thing).__qualname__}, which has no stable digest: {thing!r:.80}")


def _describe_code(code: types.CodeType, names: dict[str, Any], parts: list[str], seen: set[int]) -> None:
    """Add instructions, without line numbers and docstrings, and each global value that they read."""
    parts.append(repr((code.co_varnames, code.co_argcount, code.co_exceptiontable)))
    module: list[Any] = []  # the module that the last instruction loaded, if any; the next one reads its attribute
    for step in dis.get_instructions(code):
        if isinstance(step.argval, types.CodeType):
            parts.append(step.opname)
            _describe_code(step.argval, names, parts, seen)
            continue
        parts.append(
            f"{step.opname} {sorted(map(repr, step.argval)) if isinstance(step.argval, frozenset) else step.argval!r}"
        )
        value = None
        if step.opname in ("LOAD_GLOBAL", "LOAD_DEREF", "LOAD_NAME") and step.argval in names:
            value = names[step.argval]
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and module:
            value = getattr(module[0], step.argval, None)
        module = []
        if isinstance(value, types.ModuleType):
            if value.__name__.partition(".")[0] not in ("numba", "numpy", "llvmlite", "math"):
                module = [value]
        elif value is not None:
            _describe(value, parts, seen)
