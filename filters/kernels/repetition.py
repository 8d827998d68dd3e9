"""How much of a text repeats itself: n-grams of tokens, and lines and paragraphs, by Gopher's definitions.

Kernels over arrays of 64-bit hashes. Only the hash of a single token, line or paragraph stands for a string; an n-gram
is then found exactly, since it is the pair of the (n-1)-grams that start at its first and its second token, each of
which has a number. The same step makes it fast: an n-gram can only repeat where both of these do, so each n looks at
the survivors of n-1, and an ordinary text has few of them after n = 3. The worst text (one word for ever) costs ten
passes, each linear.
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
    """Working arrays of the kernels here, for texts of at most as many tokens, or lines, as `ids` is long."""

    hashes: npt.NDArray[np.uint64]
    """A hash for each token."""
    lengths: npt.NDArray[np.int64]
    """Its characters, or those of all tokens so far."""
    positions: npt.NDArray[np.int64]
    keys: npt.NDArray[np.uint64]
    """`number`'s table, of table_size(len(ids)) slots: a value's hash, …"""
    slots: npt.NDArray[np.int32]
    """… and its number."""
    ids: npt.NDArray[np.int32]
    """The number of each token."""
    counts: npt.NDArray[np.int32]
    """How often each number occurs, …"""
    first: npt.NDArray[np.int32]
    """… and where first."""


def room_for(tokens: int) -> Room:
    """Some 40 bytes a token."""
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
    """Call `count(document, room)` from document 0 on, until all are counted. It returns the next document to count, and
    how many tokens that one has where it needs more room."""
    document, room = 0, room_for(tokens)
    while document < documents:
        document, needed = count(document, room)
        if document < documents:
            room = room_for(max(needed, 2 * len(room.ids)))


@inner
def number(n: Any, room: Any) -> Any:
    """Number equal values of `hashes[:n]` (never 0) 0, 1, … by first appearance; returns how many there are.

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
    """Of `n` lines or paragraphs: how many are copies of an earlier one, and the sum of these copies' lengths."""
    distinct = number(n, room)
    copied = 0
    for i in range(n):
        if room.first[room.ids[i]] != i:
            copied += room.lengths[i]
    return n - distinct, copied


@inner
def ngram_characters(n: Any, room: Any, top: Any, duplicate: Any, document: Any) -> None:
    """Characters in the most frequent 2- to 4-grams and in repeated 5- to 10-grams of a document's `n` tokens.

    `room.lengths[i]` is the number of characters in tokens 0 … i; `room.hashes` are overwritten.

    top[document, k]: characters of the most frequent (2+k)-gram, a space between its tokens, times its occurrences; of equally
    frequent ones the first; 0 when there are fewer tokens.
    duplicate[document, k]: reading left to right, a (5+k)-gram already read counts its characters (no spaces) and reading goes
    on after it; any other is remembered and reading goes on at the next token.
    """
    hashes, ends, positions, _, _, ids, counts, first = room
    distinct = number(n, room)
    for i in range(n):
        positions[i] = i
    # From here on ids[j], for j < m, numbers the (g-1)-gram at token positions[j]; positions ascend.
    m = n
    for g in range(_TOP_FIRST, _LAST + 1):
        kept = 0  # only what repeats can begin or end a longer repeat
        for j in range(m):
            if counts[ids[j]] > 1:
                ids[kept] = ids[j]
                positions[kept] = positions[j]
                kept += 1
        m = 0
        for j in range(kept - 1):
            if positions[j + 1] == positions[j] + 1:
                hashes[m] = (np.uint64(ids[j]) << np.uint64(32) | np.uint64(ids[j + 1])) + np.uint64(1)
                positions[m] = positions[j]
                m += 1
        distinct = number(m, room)
        if g <= _TOP_LAST:
            at, times = 0, 1
            for k in range(distinct):
                if counts[k] > times:
                    at, times = positions[first[k]], counts[k]
            top[document, g - _TOP_FIRST] = times * (span(ends, at, g) + g - 1) if n >= g else 0
        if g >= _DUPLICATE_FIRST:
            # first[] has served: from here it says whether the walk has read this n-gram.
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
    """Characters of n tokens from `start` on, whose last characters are at `ends`."""
    return ends[start + n - 1] - (ends[start - 1] if start > 0 else 0)
