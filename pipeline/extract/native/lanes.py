"""Thirty-two bytes at once: compiled code's way past what holds no text, which is most of a page.

Numba has no vectors of its own; these few functions write LLVM's, which become two instructions where the processor has
them and are right everywhere. They check no bounds: a caller makes sure that LANES bytes are there.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from pipeline.kernels import inner

LANES = 32

_BYTES = ir.VectorType(ir.IntType(8), LANES)
_INDEX = ir.IntType(32)


def _place(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _BYTES.as_pointer())


def _compare(operator: str) -> Any:
    @intrinsic
    def compare(typing: Any, page: Any, i: Any, byte: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array, at, value = arguments
            lanes = builder.load(_place(context, builder, signature.args[0], array, at), align=1)
            none = ir.Constant(_BYTES, ir.Undefined)
            one = builder.insert_element(none, value, ir.Constant(_INDEX, 0))
            same = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
            found = builder.icmp_unsigned(operator, lanes, builder.shuffle_vector(one, none, same))
            return builder.bitcast(found, ir.IntType(LANES))

        return types.uint32(page, types.int64, types.uint8), generate

    return compare


equal = _compare("==")
"""equal(page, i, byte): a bit for each of the bytes from `i` that is this one, the first lowest."""
at_most = _compare("<=")
"""The same, for bytes not above this one."""


@intrinsic
def first(typing: Any, mask: Any) -> Any:
    """The number of the first set bit; LANES where there is none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lowest = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.zext(lowest, ir.IntType(64))

    return types.int64(types.uint32), generate


@intrinsic
def copy(typing: Any, page: Any, i: Any, out: Any, o: Any) -> Any:
    """Write the LANES bytes of `page` from `i` to `out` from `o`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = _place(context, builder, signature.args[0], arguments[0], arguments[1])
        target = _place(context, builder, signature.args[2], arguments[2], arguments[3])
        builder.store(builder.load(source, align=1), target, align=1)
        return context.get_dummy_value()

    return types.none(page, types.int64, out, types.int64), generate


@inner
def find(page: Any, i: Any, byte: Any) -> Any:
    """Where the next such byte is, from `i`; the end of the page where there is none."""
    n = len(page)
    while i + LANES <= n:
        found = equal(page, i, byte)
        if found:
            return i + first(found)
        i += LANES
    while i < n and page[i] != byte:
        i += 1
    return i


@inner
def name_end(page: Any, i: Any) -> Any:
    """Where the next byte is that ends an attribute's name: white space, "=", ">" or "/"."""
    n = len(page)
    while i + LANES <= n:
        found = at_most(page, i, 32) | equal(page, i, 61) | equal(page, i, 62) | equal(page, i, 47)
        if found:
            return i + first(found)
        i += LANES
    while i < n and page[i] > 32 and page[i] != 61 and page[i] != 62 and page[i] != 47:
        i += 1
    return i
