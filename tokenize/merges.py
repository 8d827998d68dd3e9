"""The merge loop of BPE training, over distinct pre-tokens.

A symbol stands at the position of its first byte; its last, where that is another, holds minus its length, and all between are
negative too. So the symbols beside it are a step away, without links. Each pair has a list of the positions where it
starts, in ascending order, made with the pair and complete from then on, for a merge makes pairs of its new symbol only.
What later merges swallow stays in it until it is walked, or until all lists are compacted for want of room; then there is
room, for as many neighbours as a merge lists anew have gone.

Two facts more keep it simple. No pair's count ever rises: a heap entry is an upper bound, put back with the true count when it
comes up too high. No two merges spell the same bytes: up to the merge that completes it, a span that no merge crosses is cut
as it would be alone, so one spelling has one last pair. And a symbol's bytes stand where it was first merged, so no
spelling is kept.

Compiling is what a first, small run waits for, so the kernel has one loop, of plain arrays: what grows is grown outside.
"""

from typing import Any

import numpy as np

from pipeline.kernels import inner, kernel
from pipeline.tokenize.pretokens import PreTokens, grown

_ROOM = 1 << 16  # pairs at least, all of bytes among them; a power of two
_STRIDE = 16  # positions for one entry of the index from positions to pre-tokens

# What the kernel remembers from call to call.
_PAIRS, _HEAPED, _KNOWN, _MERGES, _USED = range(5)


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
    word_near = (np.searchsorted(offsets, np.arange(0, size, _STRIDE), side="right") - 1).astype(np.int32)
    neighbours = size - len(counts)
    positions = np.empty(neighbours + neighbours // 8, np.int32)  # an eighth more: compacted a few times, not a dozen

    symbols = 256 + limit
    place, length = np.zeros(symbols, np.int32), np.ones(symbols, np.int32)
    merged = np.empty(limit, np.int32), np.empty(limit, np.int32)
    beside = np.full(symbols, -1, np.int32), np.full(symbols, -1, np.int32)
    # Mostly enough, for growing leaves holes in memory: 16 pairs a merge were measured at 110 MB of text and 32,000 merges.
    room = max(_ROOM, 1 << min(neighbours // 8, 32 * limit).bit_length())
    pairs = [np.empty(room, kind) for kind in (*[np.int32] * 4, np.int64, np.int32, np.int64)]
    state = np.zeros(5, np.int64)
    while not _learn(
        data, offsets, counts, word_near, limit, symbol, positions, place, length, *merged, *beside,
        *pairs, np.full(2 * len(pairs[0]), -1, np.int32), state,
    ):  # fmt: skip
        for number, array in enumerate(pairs):  # one after the other, so that only one is there twice
            pairs[number] = grown(array, 2 * len(array))

    spelling = [bytes([value]) for value in range(256)]
    merges = []
    for a, b in zip(*(side[: state[_MERGES]].tolist() for side in merged), strict=True):
        merges.append((spelling[a], spelling[b]))
        spelling.append(spelling[a] + spelling[b])
    return merges


@inner
def _above(
    count_a: Any, a: Any, count_b: Any, b: Any, left: Any, right: Any, data: Any, place: Any, length: Any
) -> Any:
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


@inner
def _push(
    heap: Any, bound: Any, size: Any, pair: Any, count: Any, left: Any, right: Any, data: Any, place: Any, length: Any
) -> None:
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if not _above(count, pair, bound[parent], heap[parent], left, right, data, place, length):
            break
        heap[at], bound[at] = heap[parent], bound[parent]
        at = parent
    heap[at], bound[at] = pair, count


@inner
def _sink(
    heap: Any, bound: Any, size: Any, pair: Any, count: Any, left: Any, right: Any, data: Any, place: Any, length: Any
) -> None:
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


@inner
def _slot(table: Any, left: Any, right: Any, a: Any, b: Any) -> Any:
    """Where pair (a, b) is in the open-addressing table, or the free place for it."""
    mask = np.uint64(len(table) - 1)
    code = (np.uint64(a) << np.uint64(32) | np.uint64(b)) * np.uint64(0x9E3779B97F4A7C15)
    slot = (code ^ (code >> np.uint64(32))) & mask
    while table[slot] >= 0 and not (left[table[slot]] == a and right[table[slot]] == b):
        slot = (slot + np.uint64(1)) & mask
    return slot


@inner
def _word(at: Any, word_near: Any, offsets: Any) -> Any:
    """The pre-token that position `at` lies in."""
    word = word_near[at // _STRIDE]
    while offsets[word + 1] <= at:
        word += 1
    return word


@inner
def _ahead(at: Any, symbol: Any) -> Any:
    """Where the symbol before the one at `at` starts."""
    return at - 1 if symbol[at - 1] >= 0 else at + symbol[at - 1]


@inner
def _compact(
    born: Any, merging: Any, symbol: Any, length: Any, left: Any, right: Any, start: Any, held: Any, positions: Any
) -> Any:
    """Leave out positions where the pair is no more, but of the pair that is being merged; returns what is used then."""
    used = 0
    for pair in range(born):
        first, last = start[pair], start[pair] + held[pair]
        start[pair] = used
        for i in range(first, last):
            at = positions[i]
            if pair == merging or (symbol[at] == left[pair] and symbol[at + length[left[pair]]] == right[pair]):
                positions[used] = at
                used += 1
        held[pair] = used - start[pair]
    return used


@kernel
def _learn(
    data: Any,
    offsets: Any,
    counts: Any,
    word_near: Any,
    limit: Any,
    symbol: Any,
    positions: Any,
    place: Any,
    length: Any,
    merged_left: Any,
    merged_right: Any,
    left_beside: Any,
    right_beside: Any,
    left: Any,
    right: Any,
    start: Any,
    held: Any,
    total: Any,
    heap: Any,
    bound: Any,
    table: Any,
    state: Any,
) -> Any:
    """Go on with the rounds; True at their end, False for want of room for pairs. The table comes empty."""
    pairs, heaped, known = state[_PAIRS], state[_HEAPED], state[_KNOWN]
    done, used = state[_MERGES], state[_USED]
    for pair in range(pairs):
        table[_slot(table, left, right, left[pair], right[pair])] = pair
    for filling in range(0 if pairs else 2):  # the pairs of bytes: counted, then listed
        for pair in range(pairs):
            start[pair], held[pair], used = used, 0, used + held[pair]
        for word in range(len(counts)):
            place[data[offsets[word]]] = offsets[word]
            for at in range(offsets[word], offsets[word + 1] - 1):
                place[data[at + 1]] = at + 1
                slot = _slot(table, left, right, symbol[at], symbol[at + 1])
                if table[slot] < 0:
                    table[slot] = pairs
                    left[pairs], right[pairs], total[pairs], held[pairs] = symbol[at], symbol[at + 1], 0, 0
                    pairs += 1
                pair = table[slot]
                if filling:
                    positions[start[pair] + held[pair]] = at
                else:
                    total[pair] += counts[word]
                held[pair] += 1
    while True:
        while known < pairs:
            _push(heap, bound, heaped, np.int32(known), total[known], left, right, data, place, length)
            heaped += 1
            known += 1
        best = np.int32(-1)
        while heaped > 0 and best < 0 and done < limit:
            pair, count = heap[0], total[heap[0]]
            if count == bound[0]:
                best = pair
                # Each site and each symbol, the new one among them, brings two pairs at most.
                if pairs + 2 * min(np.int64(held[best]), 257 + done) > len(left):
                    state[_PAIRS], state[_HEAPED], state[_KNOWN] = pairs, heaped, known
                    state[_MERGES], state[_USED] = done, used
                    return False
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

        # In ascending order: of "aaaa" the first two are merged, then the last two.
        sites = 0
        for i in range(start[best], start[best] + held[best]):
            at = positions[i]
            partner = at + length[a]
            if symbol[at] != a or symbol[partner] != b:
                continue
            after = partner + length[b]
            word = _word(at, word_near, offsets)
            if at > offsets[word]:
                x = symbol[_ahead(at, symbol)]
                if x != new:  # else the pair between is none yet
                    total[table[_slot(table, left, right, x, a)]] -= counts[word]
            if after < offsets[word + 1]:
                total[table[_slot(table, left, right, b, symbol[after])]] -= counts[word]
            symbol[at], symbol[partner], symbol[after - 1] = new, -1, at - after
            positions[start[best] + sites] = at
            sites += 1
        held[best] = sites
        place[new], length[new] = positions[start[best]], length[a] + length[b]

        born = pairs
        for filling in range(2):  # the pairs of the new symbol: counted, then listed
            if filling:
                needed = np.int64(0)
                for pair in range(born, pairs):
                    needed += held[pair]
                if used + needed > len(positions):
                    used = _compact(born, best, symbol, length, left, right, start, held, positions)
                for pair in range(born, pairs):
                    start[pair], held[pair], used = used, 0, used + held[pair]
            for i in range(start[best], start[best] + sites):
                at = positions[i]
                after = at + length[new]
                word = _word(at, word_near, offsets)
                for side in range(2):
                    if side == 0:
                        if at == offsets[word]:
                            continue
                        first = _ahead(at, symbol)
                        other = symbol[first]
                        if other == new:  # seen from there
                            continue
                        pair = left_beside[other]
                    else:
                        if after == offsets[word + 1]:
                            continue
                        first, other = at, symbol[after]
                        pair = right_beside[other]
                    if pair < born:
                        pair = pairs
                        if side:
                            right_beside[other], left[pair], right[pair] = pair, new, other
                        else:
                            left_beside[other], left[pair], right[pair] = pair, other, new
                        total[pair], held[pair] = 0, 0
                        table[_slot(table, left, right, left[pair], right[pair])] = pair
                        pairs += 1
                    if filling:
                        positions[start[pair] + held[pair]] = first
                    else:
                        total[pair] += counts[word]
                    held[pair] += 1
        held[best] = 0
