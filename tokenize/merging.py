"""The merge loop of BPE training, over distinct pre-tokens.

Every position of the pre-tokens' bytes that starts a symbol is linked to the next and previous symbol of its pre-token, and to
the other positions where the same pair starts. A merge walks the positions of its pair and touches nothing else.

Three facts keep it simple. A merge makes pairs of its new symbol only, so no older pair's count ever rises: a heap entry is
an upper bound, put back with the true count when it comes up too high. No two merges spell the same bytes: up to the merge
that completes it, a span that no merge crosses is cut as it would be alone, so one spelling has one last pair. And a symbol's
bytes stand where it was first merged, so no spelling is kept.

Compiling is what a first, small run waits for, so the kernel has one loop, of plain arrays: what grows is grown outside.
"""

import numpy as np
from numba import njit

from pipeline.tokenize.pretokens import PreTokens, grown

_ROOM = 1 << 16

# What the kernel remembers from call to call.
_PAIRS, _HEAPED, _MERGES, _TOUCHES, _LINKED, _OLD = range(6)


def learn_merges(pretokens: PreTokens, limit: int) -> list[tuple[bytes, bytes]]:
    """Up to `limit` merges: each the most frequent pair; among equals the lexicographically greatest pair of byte strings.

    Fewer come back when nothing is left to merge. The order of the pre-tokens does not matter.
    """
    size = len(pretokens.data)
    if size >= 2**31:
        raise ValueError("more than 2 GiB of distinct pre-tokens")
    data, offsets, counts = (
        np.require(a, requirements=("C", "W")) for a in (pretokens.data, pretokens.offsets, pretokens.counts)
    )
    symbol = data.astype(np.int32)
    word = np.repeat(np.arange(len(counts), dtype=np.int32), np.diff(offsets))
    after, before = np.arange(1, size + 1, dtype=np.int32), np.arange(-1, size - 1, dtype=np.int32)
    after[offsets[1:] - 1], before[offsets[:-1]] = -1, -1
    pair_at = np.full(size, -1, np.int32)
    following, preceding = np.empty(size, np.int32), np.empty(size, np.int32)
    touched = np.arange(size, dtype=np.int32)  # in the first round all positions, later those beside the round's merges
    positions = symbol, word, after, before, pair_at, following, preceding, touched

    place, length = np.zeros(256 + limit, np.int32), np.ones(256 + limit, np.int32)
    merged_left, merged_right = np.empty(limit, np.int32), np.empty(limit, np.int32)
    symbols = place, length, merged_left, merged_right
    pairs = [np.empty(_ROOM, kind) for kind in (np.int32, np.int32, np.int64, np.int32, np.int32, np.int64)]
    state = np.zeros(6, np.int64)
    state[_TOUCHES] = size
    while not _learn(
        data, counts, limit, *positions, *symbols, *pairs, np.full(4 * len(pairs[0]), -1, np.int32), state
    ):
        pairs = [grown(array, 2 * len(array)) for array in pairs]

    spelling = [bytes([value]) for value in range(256)]
    merges = []
    for a, b in zip(merged_left[: state[_MERGES]].tolist(), merged_right[: state[_MERGES]].tolist(), strict=True):
        merges.append((spelling[a], spelling[b]))
        spelling.append(spelling[a] + spelling[b])
    return merges


@njit(nogil=True)
def _above(count_a, a, count_b, b, left, right, data, place, length):  # type: ignore[no-untyped-def]
    """Whether pair a with its count comes out of the heap before pair b with its."""
    if count_a != count_b:
        return count_a > count_b
    for side in range(2):
        one, two = (right[a], right[b]) if side else (left[a], left[b])
        for i in range(min(length[one], length[two])):
            byte_a, byte_b = data[place[one] + i], data[place[two] + i]
            if byte_a != byte_b:
                return byte_a > byte_b
        if length[one] != length[two]:
            return length[one] > length[two]
    return False


@njit(nogil=True)
def _push(heap, bound, size, pair, count, left, right, data, place, length):  # type: ignore[no-untyped-def]
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if not _above(count, pair, bound[parent], heap[parent], left, right, data, place, length):
            break
        heap[at], bound[at] = heap[parent], bound[parent]
        at = parent
    heap[at], bound[at] = pair, count


@njit(nogil=True)
def _sink(heap, bound, size, pair, count, left, right, data, place, length):  # type: ignore[no-untyped-def]
    """Put (pair, count) in the place of the heap's top."""
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _above(
            bound[child + 1], heap[child + 1], bound[child], heap[child], left, right, data, place, length
        ):
            child += 1
        if not _above(bound[child], heap[child], count, pair, left, right, data, place, length):
            break
        heap[at], bound[at] = heap[child], bound[child]
        at = child
    heap[at], bound[at] = pair, count


@njit(nogil=True)
def _slot(table, left, right, a, b):  # type: ignore[no-untyped-def]
    """Where pair (a, b) is in the open-addressing table, or the free place for it."""
    mask = np.uint64(len(table) - 1)
    code = (np.uint64(a) << np.uint64(32) | np.uint64(b)) * np.uint64(0x9E3779B97F4A7C15)
    slot = (code ^ (code >> np.uint64(32))) & mask
    while table[slot] >= 0 and not (left[table[slot]] == a and right[table[slot]] == b):
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(nogil=True)
def _unlink(at, weight, pair_at, following, preceding, head, total):  # type: ignore[no-untyped-def]
    """The pair that started at position `at`, if one still does, is gone."""
    pair = pair_at[at]
    if pair < 0:
        return
    pair_at[at] = -1
    total[pair] -= weight
    if preceding[at] >= 0:
        following[preceding[at]] = following[at]
    else:
        head[pair] = following[at]
    if following[at] >= 0:
        preceding[following[at]] = preceding[at]


@njit(nogil=True, cache=True)
def _learn(  # type: ignore[no-untyped-def]
    data, counts, limit,
    symbol, word, after, before, pair_at, following, preceding, touched,
    place, length, merged_left, merged_right,
    left, right, total, head, heap, bound, table, state,
):  # fmt: skip
    """Go on with the rounds; True at their end, False for want of room for pairs. The table comes empty."""
    pairs, heaped, done = state[_PAIRS], state[_HEAPED], state[_MERGES]
    touches, linked, old = state[_TOUCHES], state[_LINKED], state[_OLD]
    if pairs == 0:
        for position in range(len(data)):
            place[data[position]] = position
    for known in range(pairs):
        table[_slot(table, left, right, left[known], right[known])] = known
    while True:
        while linked < touches:
            at = touched[linked]
            if pair_at[at] < 0 and after[at] >= 0:  # it may have been touched twice, or be swallowed
                a, b = symbol[at], symbol[after[at]]
                slot = _slot(table, left, right, a, b)
                pair = table[slot]
                if pair < 0:
                    if pairs == len(left):
                        state[_PAIRS], state[_HEAPED], state[_MERGES] = pairs, heaped, done
                        state[_TOUCHES], state[_LINKED], state[_OLD] = touches, linked, old
                        return False
                    pair = np.int32(pairs)
                    table[slot] = pair
                    left[pair], right[pair], total[pair], head[pair] = a, b, 0, -1
                    pairs += 1
                total[pair] += counts[word[at]]
                pair_at[at], following[at], preceding[at] = pair, head[pair], -1
                if head[pair] >= 0:
                    preceding[head[pair]] = at
                head[pair] = at
            linked += 1
        while old < pairs:
            _push(heap, bound, heaped, np.int32(old), total[old], left, right, data, place, length)
            heaped += 1
            old += 1

        best = np.int32(-1)
        while heaped > 0 and best < 0 and done < limit:
            pair, count = heap[0], total[heap[0]]
            if count == bound[0]:
                best = pair
            if best >= 0 or count == 0:
                heaped -= 1
                pair, count = heap[heaped], bound[heaped]
            _sink(heap, bound, heaped, pair, count, left, right, data, place, length)
        if best < 0:
            state[_MERGES] = done
            return True
        a, b, new = left[best], right[best], np.int32(256 + done)
        merged_left[done], merged_right[done] = a, b
        done += 1
        place[new], length[new] = head[best], length[a] + length[b]

        # Collect first, at the far end: merging relinks the very list that is walked. Of "aaaa" only the start counts.
        first = len(touched)
        at = head[best]
        while at >= 0:
            if a != b or before[at] < 0 or symbol[before[at]] != a:
                first -= 1
                touched[first] = at
            at = following[at]
        touches = linked = 0
        for site in range(first, len(touched)):
            at = touched[site]
            while at >= 0 and symbol[at] == a and after[at] >= 0 and symbol[after[at]] == b:
                partner = after[at]
                weight = counts[word[at]]
                beyond, ahead = after[partner], before[at]
                _unlink(at, weight, pair_at, following, preceding, head, total)
                _unlink(partner, weight, pair_at, following, preceding, head, total)
                symbol[at], symbol[partner] = new, -1
                after[at], after[partner] = beyond, -1
                if ahead >= 0:
                    _unlink(ahead, weight, pair_at, following, preceding, head, total)
                    touched[touches] = ahead
                    touches += 1
                if beyond >= 0:
                    before[beyond] = at
                    touched[touches] = at
                    touches += 1
                at = beyond if a == b else np.int32(-1)
