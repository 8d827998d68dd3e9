"""Thirty-two bytes at once, to skip quickly over markup, which is most of a page.

Numba has no vector types; these functions generate LLVM's, which compile to about two instructions on processors that have
vectors and work on all others. They do not check bounds: the caller makes sure that LANES bytes exist.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from pipeline.extract.native.names import EQUALS, GREATER, SLASH, SPACE
from pipeline.kernels import inner

LANES = 32

_BYTES = ir.VectorType(ir.IntType(8), LANES)
_INDEX = ir.IntType(32)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _BYTES.as_pointer())


def _compare(operator: str) -> Any:
    @intrinsic
    def compare(typing: Any, page: Any, i: Any, byte: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array, at, value = arguments
            lanes = builder.load(_pointer(context, builder, signature.args[0], array, at), align=1)
            none = ir.Constant(_BYTES, ir.Undefined)
            one = builder.insert_element(none, value, ir.Constant(_INDEX, 0))
            same = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
            results = builder.icmp_unsigned(operator, lanes, builder.shuffle_vector(one, none, same))
            return builder.bitcast(results, ir.IntType(LANES))

        return types.uint32(page, types.int64, types.uint8), generate

    return compare


equal = _compare("==")
"""equal(page, i, byte): a mask of the LANES bytes from `i`, with a set bit for each that equals `byte`, the first lowest."""
at_most = _compare("<=")
"""at_most(page, i, byte): a mask likewise, with a set bit for each that is at most `byte`."""


@intrinsic
def first(typing: Any, mask: Any) -> Any:
    """The index of the lowest set bit; LANES if there is none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lowest = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.zext(lowest, ir.IntType(64))

    return types.int64(types.uint32), generate


@intrinsic
def copy(typing: Any, page: Any, i: Any, out: Any, o: Any) -> Any:
    """Copy LANES bytes from `page[i:]` to `out[o:]`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        target = _pointer(context, builder, signature.args[2], arguments[2], arguments[3])
        builder.store(builder.load(source, align=1), target, align=1)
        return context.get_dummy_value()

    return types.none(page, types.int64, out, types.int64), generate


@inner
def find(page: Any, i: Any, byte: Any) -> Any:
    """Position of the next such byte from `i`; the end of the page if there is none."""
    n = len(page)
    while i + LANES <= n:
        mask = equal(page, i, byte)
        if mask:
            return i + first(mask)
        i += LANES
    while i < n and page[i] != byte:
        i += 1
    return i


@inner
def name_end(page: Any, i: Any) -> Any:
    """Position of the next byte that ends an attribute's name: white space, "=", ">" or "/"."""
    n = len(page)
    while i + LANES <= n:
        mask = at_most(page, i, SPACE) | equal(page, i, EQUALS) | equal(page, i, GREATER) | equal(page, i, SLASH)
        if mask:
            return i + first(mask)
        i += LANES
    while i < n and page[i] > SPACE and page[i] != EQUALS and page[i] != GREATER and page[i] != SLASH:
        i += 1
    return i
