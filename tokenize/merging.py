"""The merge loop of BPE training, over distinct pre-tokens.

Every position of the pre-tokens' bytes that starts a symbol is linked to the next and previous symbol of its pre-token, and to
the other positions where the same pair starts. A merge walks the positions of its pair and touches nothing else.

Two facts keep the queue simple. A merge makes pairs of its new symbol only, so no older pair's count ever rises: a heap
entry is an upper bound, put back with the true count when it comes up too high. And no two merges spell the same bytes: up
to the merge that completes it, a span that no merge crosses is cut as it would be alone, so one spelling has one last pair.
"""

import numpy as np
from numba import njit

from pipeline.tokenize.pretokens import PreTokens


def learn_merges(pretokens: PreTokens, limit: int) -> list[tuple[bytes, bytes]]:
    """Up to `limit` merges: each the most frequent pair; among equals the lexicographically greatest pair of byte strings.

    Fewer come back when nothing is left to merge. The order of the pre-tokens does not matter.
    """
    if len(pretokens.data) >= 2**31:
        raise ValueError("more than 2 GiB of distinct pre-tokens")
    left, right = _learn(pretokens.data, pretokens.offsets, pretokens.counts, limit)
    spelling = [bytes([value]) for value in range(256)]
    merges = []
    for a, b in zip(left.tolist(), right.tolist(), strict=True):
        merges.append((spelling[a], spelling[b]))
        spelling.append(spelling[a] + spelling[b])
    return merges


@njit(nogil=True, cache=True)
def _grow(array, size):  # type: ignore[no-untyped-def]
    larger = np.empty(max(size, 2 * len(array)), array.dtype)
    larger[: len(array)] = array
    return larger


@njit(nogil=True, cache=True)
def _compare(spelling, offsets, a, b):  # type: ignore[no-untyped-def]
    """Sign of the lexicographic comparison of two symbols' bytes."""
    size_a, size_b = offsets[a + 1] - offsets[a], offsets[b + 1] - offsets[b]
    for i in range(min(size_a, size_b)):
        difference = np.int64(spelling[offsets[a] + i]) - np.int64(spelling[offsets[b] + i])
        if difference != 0:
            return difference
    return size_a - size_b


@njit(nogil=True, cache=True)
def _above(count_a, a, count_b, b, left, right, spelling, offsets):  # type: ignore[no-untyped-def]
    """Whether pair a with its count comes out of the heap before pair b with its."""
    if count_a != count_b:
        return count_a > count_b
    order = _compare(spelling, offsets, left[a], left[b])
    if order == 0:
        order = _compare(spelling, offsets, right[a], right[b])
    return order > 0


@njit(nogil=True, cache=True)
def _push(heap, bound, size, pair, count, left, right, spelling, offsets):  # type: ignore[no-untyped-def]
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if not _above(count, pair, bound[parent], heap[parent], left, right, spelling, offsets):
            break
        heap[at], bound[at] = heap[parent], bound[parent]
        at = parent
    heap[at], bound[at] = pair, count


@njit(nogil=True, cache=True)
def _sink(heap, bound, size, pair, count, left, right, spelling, offsets):  # type: ignore[no-untyped-def]
    """Put (pair, count) in the place of the heap's top."""
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _above(
            bound[child + 1], heap[child + 1], bound[child], heap[child], left, right, spelling, offsets
        ):
            child += 1
        if not _above(bound[child], heap[child], count, pair, left, right, spelling, offsets):
            break
        heap[at], bound[at] = heap[child], bound[child]
        at = child
    heap[at], bound[at] = pair, count


@njit(nogil=True, cache=True)
def _slot(table, left, right, a, b):  # type: ignore[no-untyped-def]
    """Where pair (a, b) is in the open-addressing table, or the free place for it."""
    mask = np.uint64(len(table) - 1)
    code = (np.uint64(a) << np.uint64(32) | np.uint64(b)) * np.uint64(0x9E3779B97F4A7C15)
    slot = (code ^ (code >> np.uint64(32))) & mask
    while table[slot] >= 0 and not (left[table[slot]] == a and right[table[slot]] == b):
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(nogil=True, cache=True)
def _unlink(at, weight, pair_at, following, preceding, head, total):  # type: ignore[no-untyped-def]
    """The pair that started at position `at` is gone."""
    pair = pair_at[at]
    total[pair] -= weight
    if preceding[at] >= 0:
        following[preceding[at]] = following[at]
    else:
        head[pair] = following[at]
    if following[at] >= 0:
        preceding[following[at]] = preceding[at]


@njit(nogil=True, cache=True)
def _learn(data, ends, counts, limit):  # type: ignore[no-untyped-def]
    size = len(data)
    symbol = data.astype(np.int32)
    after, before = np.empty(size, np.int32), np.empty(size, np.int32)
    word = np.empty(size, np.int32)
    pair_at = np.full(size, -1, np.int32)
    following, preceding = np.empty(size, np.int32), np.empty(size, np.int32)

    left, right = np.empty(1 << 16, np.int32), np.empty(1 << 16, np.int32)
    total, head = np.empty(1 << 16, np.int64), np.empty(1 << 16, np.int32)
    table = np.full(1 << 18, -1, np.int32)
    pairs = 0
    heap, bound = np.empty(1 << 16, np.int32), np.empty(1 << 16, np.int64)
    heaped = 0

    spelling, offsets = np.empty(1 << 16, np.uint8), np.empty(257 + limit, np.int64)
    for value in range(256):
        spelling[value] = value
    offsets[:257] = np.arange(257)
    merged_left, merged_right = np.empty(limit, np.int32), np.empty(limit, np.int32)

    # The first round's touched positions are all of them; a later round's are those beside its merges.
    touched = np.empty(size, np.int32)
    touches = 0
    for w in range(len(counts)):
        for at in range(ends[w], ends[w + 1]):
            word[at] = w
            before[at] = at - 1 if at > ends[w] else -1
            after[at] = at + 1 if at + 1 < ends[w + 1] else -1
            if after[at] >= 0:
                touched[touches] = at
                touches += 1

    done = 0
    while True:
        first_new = pairs
        for t in range(touches):
            at = touched[t]
            a, b = symbol[at], symbol[after[at]]
            slot = _slot(table, left, right, a, b)
            if table[slot] < 0:
                if pairs == len(left):
                    left, right = _grow(left, 0), _grow(right, 0)
                    total, head = _grow(total, 0), _grow(head, 0)
                if 2 * pairs >= len(table):
                    table = np.full(4 * len(table), -1, np.int32)
                    for known in range(pairs):
                        table[_slot(table, left, right, left[known], right[known])] = known
                    slot = _slot(table, left, right, a, b)
                table[slot] = pairs
                left[pairs], right[pairs], total[pairs], head[pairs] = a, b, 0, -1
                pairs += 1
            pair = table[slot]
            total[pair] += counts[word[at]]
            pair_at[at], following[at], preceding[at] = pair, head[pair], -1
            if head[pair] >= 0:
                preceding[head[pair]] = at
            head[pair] = at
        if heaped + pairs - first_new > len(heap):
            heap, bound = _grow(heap, heaped + pairs - first_new), _grow(bound, heaped + pairs - first_new)
        for pair in range(first_new, pairs):
            _push(heap, bound, heaped, pair, total[pair], left, right, spelling, offsets)
            heaped += 1

        while heaped > 0 and bound[0] != total[heap[0]]:
            pair = heap[0]
            if total[pair] > 0:
                _sink(heap, bound, heaped, pair, total[pair], left, right, spelling, offsets)
            else:
                heaped -= 1
                _sink(heap, bound, heaped, heap[heaped], bound[heaped], left, right, spelling, offsets)
        if done == limit or heaped == 0:
            break
        best = heap[0]
        heaped -= 1
        _sink(heap, bound, heaped, heap[heaped], bound[heaped], left, right, spelling, offsets)

        a, b, new = left[best], right[best], 256 + done
        merged_left[done], merged_right[done] = a, b
        done += 1
        length = offsets[a + 1] - offsets[a] + offsets[b + 1] - offsets[b]
        offsets[new + 1] = offsets[new] + length
        if offsets[new + 1] > len(spelling):
            spelling = _grow(spelling, offsets[new + 1])
        middle = offsets[new] + offsets[a + 1] - offsets[a]
        spelling[offsets[new] : middle] = spelling[offsets[a] : offsets[a + 1]]
        spelling[middle : offsets[new + 1]] = spelling[offsets[b] : offsets[b + 1]]

        # Collect first: merging relinks the very list that is walked.
        sites = 0
        at = head[best]
        while at >= 0:
            touched[sites] = at
            sites += 1
            at = following[at]
        starts = np.sort(touched[:sites])  # from the left: in "aaa" the left pair wins
        touches = 0
        for at in starts:
            if symbol[at] != a:  # swallowed by the merge on its left
                continue
            partner = after[at]
            if partner < 0 or symbol[partner] != b:
                continue
            weight = counts[word[at]]
            beyond, ahead = after[partner], before[at]
            _unlink(at, weight, pair_at, following, preceding, head, total)
            if beyond >= 0:
                _unlink(partner, weight, pair_at, following, preceding, head, total)
                before[beyond] = at
            if ahead >= 0 and pair_at[ahead] >= 0:
                _unlink(ahead, weight, pair_at, following, preceding, head, total)
                pair_at[ahead] = -1
            symbol[at], symbol[partner] = new, -1
            after[at] = beyond
            pair_at[at] = -1
            if ahead >= 0:
                touched[touches] = ahead
                touches += 1
            if beyond >= 0:
                touched[touches] = at
                touches += 1
        # A position between two merges was noted twice, once by each.
        unique = 0
        for t in range(touches):
            at = touched[t]
            if pair_at[at] == -1:
                pair_at[at] = -2
                touched[unique] = at
                unique += 1
        touches = unique
    return merged_left[:done].copy(), merged_right[:done].copy()
