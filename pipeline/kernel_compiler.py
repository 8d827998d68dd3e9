"""Numba's compiler, made leaner for this package's kernels: a third of the time for the same machine code.

Numba wraps every function twice, for calls from Python and from C. Here an inner function gets no wrapper, and a kernel only
Python's. An inner function stays LLVM code until a kernel is built from it, and is optimized there alone.
"""

import gc
from typing import Any

import numba
from llvmlite import ir
from numba import _dynfunc
from numba.core import compiler, typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import lookup_environment
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.target_extension import jit_registry, target_registry
from numba.core.targetconfig import ConfigStack
from numba.core.typed_passes import NativeLowering
from numba.core.typing import Context
from numba.np import arrayobj

WRAPS = "_index_wraps"
"""Attribute of a function: whether its indices can be negative, see `kernels.kernel`."""


class _Flags(compiler.Flags):  # type: ignore[misc]
    """Numba's flags, compared only by the values that were set: the typing of every operator compares flags."""

    __slots__ = ()

    def __hash__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Flags) and bool(self._values == other._values)


class _Library(JITCodeLibrary):  # type: ignore[misc]
    """The code of a kernel, optimized once as a whole, not function by function before."""

    counts = True  # references to arrays

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        if self.counts:
            super()._optimize_final_module()
            return
        passes, builder = self._codegen._module_pass_manager()  # without the round before it that prepares for counting
        passes.run(self._final_module, builder)


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
        state.library.counts = bool(state.flags.nrt)
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


class Compiler(_BaseCompiler):
    """The same without what no kernel here needs: closures, rewrites, and branches pruned by type. The garbage collector is
    off, since it would search all objects that are alive during compiling and free none."""

    declares = False

    def define_pipelines(self) -> list[PassManager]:
        """The passes, in order."""
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
        """Compile a function and all that it calls; Numba's entry point."""
        cpu = target_registry["cpu"]
        with global_compiler_lock:
            collecting, jit, to_index = gc.isenabled(), jit_registry[cpu], arrayobj.fix_integer_index
            gc.disable()
            arrayobj.fix_integer_index = _to_index if getattr(function, WRAPS, True) else _without_wrapping
            dict.__setitem__(jit_registry, cpu, _jit)  # the registry's own method refuses to replace an entry
            try:
                return super().compile_extra(function)
            finally:
                dict.__setitem__(jit_registry, cpu, jit)
                arrayobj.fix_integer_index = to_index
                if collecting:
                    gc.enable()


_to_index = arrayobj.fix_integer_index


def _without_wrapping(context: Any, builder: Any, kind: Any, index: Any, size: Any) -> Any:
    """An index as it is, unless it is a constant."""
    if kind.signed and not isinstance(index, ir.Constant):
        return context.cast(builder, index, kind, numba.types.intp)
    return _to_index(context, builder, kind, index, size)


def _jit(*arguments: Any, **options: Any) -> Any:
    """numba.jit for functions that Numba overloads, such as np.empty."""
    own = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _BaseCompiler}
    return numba.jit(*arguments, **(own | options))
