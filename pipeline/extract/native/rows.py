"""Sixteen rows at once, for decision trees: a row each in the lanes of vectors that Numba does not have and LLVM does.

A tree is small, so all of its nodes are compared in all rows, without a branch, and the results select the leaves from the
bottom up. These functions do not check bounds: the caller makes sure that the rows, columns and nodes exist.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

ROWS = 16
DEPTH = 5
"""Every tree is complete to this depth. A leaf higher up is repeated below."""
_INNER = 2**DEPTH - 1

_FLOAT, _INT = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, ROWS)
_INDICES = ir.VectorType(ir.IntType(32), ROWS)
_ALIGNED = 4 * ROWS


def _data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    return cgutils.create_struct_proxy(array_type)(context, builder, array).data


def _aligned(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """The first address in an array of float32 that is a multiple of a vector's size, which makes loads faster."""
    address = builder.ptrtoint(_data(context, builder, array_type, array), _INT)
    rounded = builder.and_(builder.add(address, ir.Constant(_INT, _ALIGNED - 1)), ir.Constant(_INT, -_ALIGNED))
    return builder.inttoptr(rounded, _FLOAT.as_pointer())


def _load(builder: Any, pointer: Any, index: Any, align: int) -> Any:
    return builder.load(builder.bitcast(builder.gep(pointer, [index]), _VECTOR.as_pointer()), align=align)


def _shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(_INDICES, lanes))


@intrinsic
def transpose(typing: Any, table: Any, row: Any, last: Any, column: Any, lanes: Any) -> Any:
    """Write ROWS columns of `table`, from `column`, to `lanes`, of ROWS rows from `row`, the row `last` for those beyond it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, row, last, column, lanes = arguments
        array = cgutils.create_struct_proxy(signature.args[0])(context, builder, table)
        width = cgutils.unpack_tuple(builder, array.shape)[1]
        parts = []
        for r in range(ROWS):
            wanted = builder.add(row, ir.Constant(_INT, r))
            wanted = builder.select(builder.icmp_signed("<", wanted, last), wanted, last)
            parts.append(_load(builder, array.data, builder.add(builder.mul(wanted, width), column), 4))
        step = ROWS // 2
        while step:  # exchange squares of this size beside the diagonal
            low = [j if not j & step else ROWS + j - step for j in range(ROWS)]
            high = [j + step if not j & step else ROWS + j for j in range(ROWS)]
            for r in range(ROWS):
                if not r & step:
                    a, b = parts[r], parts[r + step]
                    parts[r], parts[r + step] = _shuffle(builder, a, b, low), _shuffle(builder, a, b, high)
            step //= 2
        pointer = _aligned(context, builder, signature.args[4], lanes)
        for c in range(ROWS):
            start = builder.mul(builder.add(column, ir.Constant(_INT, c)), ir.Constant(_INT, ROWS))
            builder.store(
                parts[c], builder.bitcast(builder.gep(pointer, [start]), _VECTOR.as_pointer()), align=_ALIGNED
            )
        return context.get_dummy_value()

    return types.none(table, types.int64, types.int64, types.int64, lanes), generate


@intrinsic
def add_tree(typing: Any, lanes: Any, feature: Any, threshold: Any, leaf: Any, tree: Any, total: Any) -> Any:
    """Add a tree's values of ROWS rows, transposed to `lanes`, to `total`. See `trees.Forest`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, feature, threshold, leaf, tree, total = arguments
        kinds = signature.args
        x = _aligned(context, builder, kinds[0], lanes)
        sums = builder.bitcast(_data(context, builder, kinds[5], total), _VECTOR.as_pointer())
        nodes, leaves = (builder.mul(tree, ir.Constant(_INT, count)) for count in (_INNER, _INNER + 1))
        features = builder.gep(_data(context, builder, kinds[1], feature), [nodes])
        thresholds = builder.gep(_data(context, builder, kinds[2], threshold), [nodes])
        values = builder.gep(_data(context, builder, kinds[3], leaf), [leaves])
        none = ir.Constant(_VECTOR, ir.Undefined)
        same = [0] * ROWS

        def broadcast(pointer: Any, index: int) -> Any:
            one = builder.load(builder.gep(pointer, [ir.Constant(_INT, index)]))
            return _shuffle(builder, builder.insert_element(none, one, ir.Constant(ir.IntType(32), 0)), none, same)

        def value(node: int) -> Any:
            if node >= _INNER:
                return broadcast(values, node - _INNER)
            number = builder.zext(builder.load(builder.gep(features, [ir.Constant(_INT, node)])), _INT)
            column = _load(builder, x, builder.mul(number, ir.Constant(_INT, ROWS)), _ALIGNED)
            right = builder.fcmp_ordered(">", column, broadcast(thresholds, node))
            return builder.select(right, value(2 * node + 2), value(2 * node + 1))

        builder.store(builder.fadd(builder.load(sums, align=4), value(0)), sums, align=4)
        return context.get_dummy_value()

    return types.none(lanes, feature, threshold, leaf, types.int64, total), generate
