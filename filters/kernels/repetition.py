"""How much of a text repeats: n-grams of tokens, lines and paragraphs, by Gopher's definitions.

Kernels over arrays of 64-bit hashes. Only single tokens, lines and paragraphs are represented by hashes. n-grams are then
compared exactly: an n-gram is the pair of the (n-1)-grams that start at its first and its second token, each of which has a
number. This is also fast: an n-gram can only repeat if both of these do, so each n looks only at the repeats of n-1, and
ordinary text has few of them after n = 3. The worst text (one word over and over) takes ten linear passes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.filters.kernels.unicode import find_slot, table_size
from pipeline.kernels import inner

TOP_NGRAMS = (2, 3, 4)  # Gopher, table A1: the share of the most frequent n-gram
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)  # Gopher, table A1: the share of all repeated n-grams
_TOP_FIRST, _TOP_LAST, _DUPLICATE_FIRST, _LAST = 2, 4, 5, 10


class Room(NamedTuple):
    """Working arrays of the kernels here, for texts of at most len(ids) tokens or lines."""

    hashes: npt.NDArray[np.uint64]
    """A hash for each token."""
    lengths: npt.NDArray[np.int64]
    """The characters of each token, or of all tokens up to it."""
    positions: npt.NDArray[np.int64]
    keys: npt.NDArray[np.uint64]
    """The table of `number`, with table_size(len(ids)) slots: a value's hash, …"""
    slots: npt.NDArray[np.int32]
    """… and its number."""
    ids: npt.NDArray[np.int32]
    """The number of each token."""
    counts: npt.NDArray[np.int32]
    """How often each number occurs, …"""
    first: npt.NDArray[np.int32]
    """… and the index of its first occurrence."""


def room_for(tokens: int) -> Room:
    """Working arrays for `tokens` tokens: about 40 bytes per token."""
    table = 64
    while table < 2 * tokens:
        table *= 2
    return Room(
        hashes=np.empty(tokens, np.uint64),
        lengths=np.empty(tokens, np.int64),
        positions=np.empty(tokens, np.int64),
        keys=np.empty(table, np.uint64),
        slots=np.empty(table, np.int32),
        ids=np.empty(tokens, np.int32),
        counts=np.empty(tokens, np.int32),
        first=np.empty(tokens, np.int32),
    )


def in_room(count: Callable[[int, Room], tuple[int, int]], documents: int, tokens: int = 4096) -> None:
    """Call `count(document, room)` from document 0 on until all are counted. It returns the next document to count, and the
    number of its tokens if it needs more room."""
    document, room = 0, room_for(tokens)
    while document < documents:
        document, needed = count(document, room)
        if document < documents:
            room = room_for(max(needed, 2 * len(room.ids)))


@inner
def number(n: Any, room: Any) -> Any:
    """Number the distinct values of `hashes[:n]` (never 0) 0, 1, … by first appearance; returns how many there are.

    Writes `ids[:n]`, and for each number its `counts` and the index of its `first`.
    """
    values, _, _, keys, slots, ids, counts, first = room
    size = table_size(n)
    mask = size - 1
    keys[:size] = 0
    distinct = 0
    for i in range(n):
        slot = find_slot(keys, mask, values[i])
        if keys[slot] == 0:
            keys[slot] = values[i]
            slots[slot] = distinct
            counts[distinct] = 0
            first[distinct] = i
            distinct += 1
        ids[i] = slots[slot]
        counts[ids[i]] += 1
    return distinct


@inner
def duplicates(n: Any, room: Any) -> Any:
    """How many of `n` lines or paragraphs are copies of an earlier one, and the total length of these copies."""
    distinct = number(n, room)
    copied = 0
    for i in range(n):
        if room.first[room.ids[i]] != i:
            copied += room.lengths[i]
    return n - distinct, copied


@inner
def number_longer(m: Any, room: Any) -> Any:
    """Number the n-grams that may repeat, from the m shorter ones: `ids[:m]` numbers those at `positions[:m]`, ascending.

    Only repeated n-grams can begin or end a longer repeat. Overwrites `hashes`; returns how many n-grams and numbers are left.
    """
    hashes, _, positions, _, _, ids, counts, _ = room
    kept = 0
    for j in range(m):
        if counts[ids[j]] > 1:
            ids[kept] = ids[j]
            positions[kept] = positions[j]
            kept += 1
    longer = 0
    for j in range(kept - 1):
        if positions[j + 1] == positions[j] + 1:
            hashes[longer] = (np.uint64(ids[j]) << np.uint64(32) | np.uint64(ids[j + 1])) + np.uint64(1)
            positions[longer] = positions[j]
            longer += 1
    return longer, number(longer, room)


@inner
def ngram_characters(n: Any, room: Any, top: Any, duplicate: Any, document: Any) -> None:
    """Characters in the most frequent 2- to 4-grams and in repeated 5- to 10-grams of a document's `n` tokens.

    `room.lengths[i]` is the number of characters in tokens 0 … i; `room.hashes` is overwritten.

    top[document, k]: characters of the most frequent (2+k)-gram, with a space between its tokens, times its occurrences; the
    first of equally frequent ones; 0 if there are fewer tokens.
    duplicate[document, k]: reading left to right, a (5+k)-gram that was read before counts its characters (without spaces),
    and reading continues after it; any other is remembered, and reading continues at the next token.
    """
    _, ends, positions, _, _, ids, counts, first = room
    distinct = number(n, room)
    for i in range(n):
        positions[i] = i
    # From here on ids[j], for j < m, numbers the (g-1)-gram at token positions[j]; positions ascend.
    m = n
    for g in range(_TOP_FIRST, _LAST + 1):
        m, distinct = number_longer(m, room)
        if g <= _TOP_LAST:
            position, occurrences = 0, 1
            for k in range(distinct):
                if counts[k] > occurrences:
                    position, occurrences = positions[first[k]], counts[k]
            top[document, g - _TOP_FIRST] = occurrences * (span(ends, position, g) + g - 1) if n >= g else 0
        if g >= _DUPLICATE_FIRST:
            # first[] is no longer needed; now it says whether this n-gram was read before.
            for k in range(distinct):
                first[k] = 0
            characters, free = 0, 0
            for j in range(m):
                if positions[j] >= free:
                    if first[ids[j]]:
                        characters += span(ends, positions[j], g)
                        free = positions[j] + g
                    else:
                        first[ids[j]] = 1
            duplicate[document, g - _DUPLICATE_FIRST] = characters


@inner
def span(ends: Any, start: Any, n: Any) -> Any:
    """Characters in n tokens from `start` on; ends[i] is the number of characters in tokens 0 … i."""
    return ends[start + n - 1] - (ends[start - 1] if start > 0 else 0)
