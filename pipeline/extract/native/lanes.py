"""Thirty-two bytes at once, to skip quickly over markup, which is most of a page.

Numba has no vector types; these functions generate LLVM's, which compile to about two instructions on processors that have
vectors and work on all others. They do not check bounds: the caller makes sure that LANES bytes exist.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from pipeline.extract.native.compiled import inner, kernel
from pipeline.extract.native.names import EQUALS, GREATER, SLASH, SPACE

LANES = 32
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)

_BYTES = ir.VectorType(ir.IntType(8), LANES)
_INDEX = ir.IntType(32)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _BYTES.as_pointer())


def _each(builder: Any, byte: Any) -> Any:
    """A vector with this byte in each lane."""
    one = builder.insert_element(ir.Constant(_BYTES, ir.Undefined), byte, ir.Constant(_INDEX, 0))
    same = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
    return builder.shuffle_vector(one, one, same)


def _compare(operator: str) -> Any:
    @intrinsic
    def compare(typing: Any, page: Any, i: Any, byte: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array, at, value = arguments
            lanes = builder.load(_pointer(context, builder, signature.args[0], array, at), align=1)
            results = builder.icmp_unsigned(operator, lanes, _each(builder, value))
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


@intrinsic
def within(typing: Any, page: Any, i: Any, low: Any, high: Any) -> Any:
    """A mask likewise, with a set bit for each byte from `low` to `high`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, low, high = arguments
        lanes = builder.load(_pointer(context, builder, signature.args[0], array, at), align=1)
        results = builder.icmp_unsigned(
            "<=", builder.sub(lanes, _each(builder, low)), _each(builder, builder.sub(high, low))
        )
        return builder.zext(builder.bitcast(results, ir.IntType(LANES)), ir.IntType(64))

    return types.int64(page, types.int64, types.uint8, types.uint8), generate


@intrinsic
def ones(typing: Any, mask: Any) -> Any:
    """How many bits are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), generate


@intrinsic
def lowest(typing: Any, mask: Any) -> Any:
    """The index of the lowest set bit; 64 if there is none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), generate


@intrinsic
def highest(typing: Any, mask: Any) -> Any:
    """The index of the highest set bit; -1 if there is none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zeros = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.sub(ir.Constant(ir.IntType(64), 63), zeros)

    return types.int64(types.int64), generate


@intrinsic
def eight(typing: Any, page: Any, i: Any) -> Any:
    """Eight bytes from `i` as a number, the first lowest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0]).data
        number = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(number, align=1)

    return types.uint64(page, types.int64), generate


@inner(forceinline=True)
def low_bytes(number: Any, count: Any) -> Any:
    """The lowest `count` bytes of a number (uint64), 1 to 8."""
    return number & (_ALL >> np.uint64(64 - 8 * count))


@inner
def part(page: Any, a: Any, b: Any) -> Any:
    """The first eight bytes of `page[a:b]`, at least one, as a number, the first lowest."""
    if a + 8 <= len(page):
        return low_bytes(eight(page, a), min(8, b - a))
    number = np.uint64(0)
    for k in range(a, b):
        number |= np.uint64(page[k]) << np.uint64(8 * (k - a))
    return number


@kernel
def count(page: Any, byte: Any) -> Any:
    """How many bytes of a page equal `byte` (uint8)."""
    total, i = np.int64(0), np.int64(0)
    while i + LANES <= len(page):
        total += ones(np.int64(equal(page, i, byte)))
        i += LANES
    while i < len(page):
        total += page[i] == byte
        i += 1
    return total


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
def name_end(page: Any, i: Any, of_tag: Any) -> Any:
    """Position of the next byte that ends an attribute's name: white space, "=", ">" or "/"; in a tag's name, "=" does not."""
    n = len(page)
    while i + LANES <= n:
        mask = (
            at_most(page, i, SPACE)
            | equal(page, i, EQUALS if not of_tag else SPACE)
            | equal(page, i, GREATER)
            | equal(page, i, SLASH)
        )
        if mask:
            return i + first(mask)
        i += LANES
    while i < n and page[i] > SPACE and (of_tag or page[i] != EQUALS) and page[i] != GREATER and page[i] != SLASH:
        i += 1
    return i
