"""Compiling functions to machine code, and caching the results. Every compiled function of this package is a `kernel`, which
Python calls, or an `inner` function, which only kernels call.

**Compiling.** Numba wraps every function twice, for calls from Python and from C. Here an inner function gets no wrapper, and
a kernel only Python's, which takes a fifth of the time to compile.

**Caching.** A compiled kernel is cached under a stamp of everything that it is compiled from: its own instructions, those of
the functions that it calls, and the constants that they read. So a changed comment, docstring or unrelated function does not
recompile it, and a changed constant in another module does. The folder is the user's cache folder, or `NUMBA_CACHE_DIR` if
that is set, whoever imports the kernel. A kernel that cannot be read or written there is compiled in each process.
"""

import dis
import gc
import hashlib
import multiprocessing
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import _dynfunc
from numba.core import compiler, config, typed_passes, untyped_passes
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import lookup_environment
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.registry import CPUDispatcher
from numba.core.target_extension import jit_registry, target_registry
from numba.core.targetconfig import ConfigStack
from numba.core.typed_passes import NativeLowering
from numba.core.typing import Context

from pipeline.files import kernel_folder

OnCompile = Callable[[int, str], None]
"""Called with (count, name) before a kernel is compiled."""

KEPT_DAYS = 60
"""How long compiled kernels of other versions are kept: several checkouts share one cache."""
VERSION = 3
"""Raise it when the way of compiling changes."""


class _State:
    on_compile: OnCompile | None = None
    compiled = 0  # kernels that this process has compiled
    announced = False
    warned = False  # whether it has printed that kernels cannot be cached


def kernel(function: Callable[..., Any] | None = None, *, allocates: bool = False, **options: Any) -> Any:
    """Compile a function that Python calls; it releases the GIL and is cached. `options` are those of `numba.njit`.

    Pass `allocates` for a function that makes or returns arrays. Others compile without reference counting, which would be
    half of the code.
    """
    if function is None:
        return partial(kernel, allocates=allocates, **options)
    dispatcher = _compiled(function, {"nogil": True, "_nrt": allocates} | options)
    if isinstance(dispatcher, CPUDispatcher):  # not with NUMBA_DISABLE_JIT
        dispatcher._cache = _Cache(function)
    return dispatcher


def inner(function: Callable[..., Any] | None = None, *, allocates: bool = False, **options: Any) -> Any:
    """Compile a function that only kernels call; a call from Python raises TypeError. `allocates` as for kernels."""
    if function is None:
        return partial(inner, allocates=allocates, **options)
    dispatcher = _compiled(function, {"no_cpython_wrapper": True, "_nrt": allocates} | options)
    if isinstance(dispatcher, CPUDispatcher):  # not with NUMBA_DISABLE_JIT
        dispatcher.__class__ = _Inner
    return dispatcher


def _compiled(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    common = {"no_cfunc_wrapper": True, "no_rewrites": True, "error_model": "numpy", "pipeline_class": _Compiler}
    return numba.njit(**(common | options))(function)


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


class _Inner(CPUDispatcher):  # type: ignore[misc]
    """An inner function. It has no wrapper for Python, so without this class a call would jump to address 0."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"{self.py_func.__qualname__}() is an inner function: only kernels can call it")

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Compile it once for all integers, not again for each literal 0 or 1 in a call."""
        plain = {name: numba.types.unliteral(kind) for name, kind in kws.items()}
        return super().get_call_template(tuple(numba.types.unliteral(kind) for kind in args), plain)


class _Flags(compiler.Flags):  # type: ignore[misc]
    """Numba's flags, compared only by the values that were set: the typing of every operator compares flags."""

    __slots__ = ()

    def __hash__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Flags) and bool(self._values == other._values)


class _Library(JITCodeLibrary):  # type: ignore[misc]
    """The code of a kernel, optimized once as a whole, not function by function before."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout


class _InnerLibrary(_Library):
    """The code of an inner function, to link into a kernel: optimized and compiled to machine code only there."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


def _executable(library: Any, description: Any, environment: Any) -> Any:
    """A stand-in for an inner function, without an address, for its callers."""
    library._ensure_finalized()
    module, name = description.lookup_module(), description.qualname.rpartition(".")[2]
    return _dynfunc.make_function(module, name, "an inner function", 0, environment, (library,))


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):  # type: ignore[misc]
    """Numba's lowering; an inner function stays LLVM code until a kernel is built from it."""

    def run_pass(self, state: Any) -> bool:
        if not state.flags.nrt:
            _refuse_arrays(state)
        if state.flags.no_cpython_wrapper:
            state.library = _InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
            state.targetctx.get_executable = _executable
            return bool(super().run_pass(state))
        state.library = _Library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        super().run_pass(state)
        for variable in state.library._final_module.global_variables:  # the environments of inner functions too
            if variable.name.startswith("_ZN08NumbaEnv"):
                environment = lookup_environment(variable.name)
                if environment is not None:
                    state.library.codegen.set_env(variable.name, environment)
        return True


def _refuse_arrays(state: Any) -> None:
    """TypeError for arrays as results: without reference counting they would be freed too early or not at all."""
    results = [
        signature.return_type for call, signature in state.calltypes.items() if getattr(call, "op", "") == "call"
    ]
    for kind in (state.return_type, *results):
        if any(isinstance(member, numba.types.Array) for member in (kind, *getattr(kind, "types", ()))):
            raise TypeError(f"{state.func_id.func_qualname}() returns or receives an array: needs allocates=True")


class _BaseCompiler(compiler.Compiler):  # type: ignore[misc]
    """Numba's compiler with the classes above, for Numba's own functions that a kernel calls."""

    declares = True  # its functions may declare further functions

    def __init__(self, typing: Any, target: Any, library: Any, args: Any, result: Any, flags: Any, local: Any) -> None:
        if not self.declares and ConfigStack.top_or_none() is not None:
            typing.refresh = target.refresh = _nothing
        try:
            super().__init__(typing, target, library, args, result, _Flags(flags), local)
        finally:
            for context in (typing, target):
                vars(context).pop("refresh", None)
        self.state.typingctx = _typing_of(typing)

    def define_pipelines(self) -> list[PassManager]:
        manager = super().define_pipelines()[0]
        manager.passes = [(_Lowering if step is NativeLowering else step, text) for step, text in manager.passes]
        return [manager]


def _nothing() -> None:
    pass


class _Typing(Context):  # type: ignore[misc]
    """Numba's typing with a cache of the result types of operators: each is looked up thousands of times, and each time Numba
    would try all implementations for lists, strings, NumPy's functions and so on."""

    def _resolve_user_function_type(self, func: Any, args: Any, kws: Any, literals: Any = None) -> Any:
        key = getattr(func, "typing_key", func)
        if kws or (getattr(key, "__module__", "") != "_operator" and key not in (bool, len, range)):
            return super()._resolve_user_function_type(func, args, kws, literals)
        plain = tuple(numba.types.unliteral(kind) for kind in args)
        if not all(isinstance(kind, numba.types.Number | numba.types.Boolean | numba.types.Array) for kind in plain):
            return super()._resolve_user_function_type(func, args, kws, literals)
        signature = self._operators.get((key, plain))
        if signature is None:
            signature = super()._resolve_user_function_type(func, plain, kws, literals)
            if signature is not None:
                self._operators[key, plain] = signature
        return signature


def _typing_of(context: Any) -> Any:
    """The context with `_Typing`'s cache; all other state is shared."""
    if isinstance(context, _Typing):
        return context
    if "_cached" not in vars(context):
        cached = object.__new__(_Typing)
        vars(context).update(_cached=cached, _operators={})
        cached.__dict__ = context.__dict__
    return context._cached


class _Compiler(_BaseCompiler):
    """The same without what no kernel here needs: closures, rewrites, and branches pruned by type. The garbage collector is
    off, since it would search all objects that are alive during compiling and free none."""

    declares = False

    def define_pipelines(self) -> list[PassManager]:
        manager = PassManager("kernels")
        for step in (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            untyped_passes.IRProcessing,
            untyped_passes.ReconstructSSA,
            typed_passes.NopythonTypeInference,
            typed_passes.PreLowerStripPhis,
            typed_passes.InlineOverloads,
            typed_passes.IRLegalization,
            typed_passes.AnnotateTypes,
            _Lowering,
            typed_passes.NoPythonBackend,
        ):
            manager.add_pass(step, step.__name__)
        manager.finalize()
        return [manager]

    def compile_extra(self, function: Any) -> Any:
        cpu = target_registry["cpu"]
        with global_compiler_lock:
            collecting, jit = gc.isenabled(), jit_registry[cpu]
            gc.disable()
            dict.__setitem__(jit_registry, cpu, _jit)  # the registry's own method refuses to replace an entry
            try:
                return super().compile_extra(function)
            finally:
                dict.__setitem__(jit_registry, cpu, jit)
                if collecting:
                    gc.enable()


def _jit(*arguments: Any, **options: Any) -> Any:
    """numba.jit for functions that Numba overloads, such as np.empty."""
    own = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _BaseCompiler}
    return numba.jit(*arguments, **(own | options))


class _Cache:
    """Numba's cache of a function, opened at the first call, when all functions that it calls are defined."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._opened: FunctionCache | None = None

    @property
    def cache_path(self) -> str:
        return str(self._open().cache_path)

    def load_overload(self, signature: Any, target: Any) -> Any:
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
