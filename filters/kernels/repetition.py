"""How much of a text repeats itself: n-grams of tokens, and lines and paragraphs, by Gopher's definitions.

Kernels over arrays of 64-bit hashes. Only the hash of a single token, line or paragraph stands for a string; an n-gram
is then found exactly, since it is the pair of the (n-1)-grams that start at its first and its second token, each of
which has a number. The same step makes it fast: an n-gram can only repeat where both of these do, so each n looks at
the survivors of n-1, and an ordinary text has few of them after n = 3. The worst text (one word for ever) costs ten
passes, each linear.
"""

from typing import Any

import numpy as np

from pipeline.filters.kernels.unicode import find_slot, table_size
from pipeline.kernels import inner

TOP_NGRAMS = (2, 3, 4)  # Gopher, table A1: the share of the most frequent n-gram
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)  # Gopher, table A1: the share of all repeated n-grams
_TOP_FIRST, _TOP_LAST, _DUPLICATE_FIRST, _LAST = 2, 4, 5, 10


@inner
def number(values: Any, n: Any, keys: Any, slots: Any, ids: Any, counts: Any, first: Any) -> Any:
    """Number equal values 0, 1, … by first appearance; returns how many there are.

    Reads `values[:n]` (never 0). Writes `ids[:n]`, and for each number its `counts` and the index of its `first`.
    `keys` and `slots` are scratch of at least `table_size(n)`.
    """
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


@inner(allocates=True)
def scratch(n: Any) -> Any:
    """Working arrays for `n` values: keys, slots, ids, counts, first."""
    size = table_size(n)
    return (
        np.empty(size, np.uint64),
        np.empty(size, np.int32),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
    )


@inner
def duplicates(hashes: Any, lengths: Any, n: Any, arrays: Any) -> Any:
    """Of `n` lines or paragraphs: how many are copies of an earlier one, and the sum of these copies' lengths."""
    keys, slots, ids, counts, first = arrays
    distinct = number(hashes, n, keys, slots, ids, counts, first)
    copied = 0
    for i in range(n):
        if first[ids[i]] != i:
            copied += lengths[i]
    return n - distinct, copied


@inner
def ngram_characters(hashes: Any, ends: Any, n: Any, arrays: Any, positions: Any, top: Any, duplicate: Any) -> None:
    """Characters in the most frequent 2- to 4-grams and in repeated 5- to 10-grams of a document's `n` tokens.

    `ends[i]` is the number of characters in tokens 0 … i. `hashes` and `positions` are overwritten.

    top[k]: characters of the most frequent (2+k)-gram, a space between its tokens, times its occurrences; of equally
    frequent ones the first; 0 when there are fewer tokens.
    duplicate[k]: reading left to right, a (5+k)-gram already read counts its characters (no spaces) and reading goes
    on after it; any other is remembered and reading goes on at the next token.
    """
    keys, slots, ids, counts, first = arrays
    distinct = number(hashes, n, keys, slots, ids, counts, first)
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
        distinct = number(hashes, m, keys, slots, ids, counts, first)
        if g <= _TOP_LAST:
            at, times = 0, 1
            for k in range(distinct):
                if counts[k] > times:
                    at, times = positions[first[k]], counts[k]
            top[g - _TOP_FIRST] = times * (_span(ends, at, g) + g - 1) if n >= g else 0
        if g >= _DUPLICATE_FIRST:
            # first[] has served: from here it says whether the walk has read this n-gram.
            for k in range(distinct):
                first[k] = 0
            characters, free = 0, 0
            for j in range(m):
                if positions[j] >= free:
                    if first[ids[j]]:
                        characters += _span(ends, positions[j], g)
                        free = positions[j] + g
                    else:
                        first[ids[j]] = 1
            duplicate[g - _DUPLICATE_FIRST] = characters


@inner
def _span(ends: Any, start: Any, n: Any) -> Any:
    return ends[start + n - 1] - (ends[start - 1] if start > 0 else 0)
