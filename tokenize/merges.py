"""The merge loop of BPE training, over distinct pre-tokens.

A symbol stands at the position of its first byte; its last, where that is another, holds minus its length, and all between are
negative too. So the symbols beside it are a step away, without links. Each pair has a list of the positions where it
starts, in ascending order, made with the pair and complete from then on, for a merge makes pairs of its new symbol only.
What later merges swallow stays in it until it is walked, or until all lists are compacted for want of room; then there is
room, for as many neighbours as a merge lists anew have gone.

The next pair is the winner of a tournament: the leaves of a binary tree are pairs, each node holds the better of its two. No
pair's count ever rises, so the tree may compare counts that are too high: only of a winner is the true one asked, and where it
is lower, the matches of that pair are played again.

Two facts more keep it simple. No two merges spell the same bytes: up to the merge that completes it, a span that no merge
crosses is cut as it would be alone, so one spelling has one last pair. And a symbol's bytes stand where it was first merged,
so no spelling is kept.

Compiling is what a first, small run waits for: the pairs of bytes are listed with NumPy, and what grows is grown outside.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels import inner, kernel
from pipeline.tokenize.pretokens import PreTokens, grown

_ROOM = 1 << 10  # pairs at least; a power of two
_STRIDE = 16  # positions for one entry of the index from positions to pre-tokens
_BLOCK = 1 << 20  # positions whose pairs of bytes are looked at together

_RIGHT = (1 << 32) - 1  # a pair is a number: its left symbol above these bits, its right one in them
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio
_HALF, _ONE = np.uint64(32), np.uint64(1)

_PAIRS, _MERGES, _USED = range(3)  # what the kernel remembers from call to call

_Ints = npt.NDArray[np.int32]
_Longs = npt.NDArray[np.int64]


class _Words(NamedTuple):
    """The pre-tokens."""

    data: npt.NDArray[np.uint8]
    symbol: _Ints  # at each position
    offsets: _Longs
    counts: _Longs
    near: _Ints  # the pre-token at every _STRIDE-th position


class _Symbols(NamedTuple):
    """The 256 bytes and what is merged."""

    place: _Ints  # where its bytes stand
    length: _Ints
    beside: (
        _Ints  # of 2 * symbol + side: the pair it was last in with a new symbol, which was to its right (0) or left (1)
    )


class _Pairs(NamedTuple):
    """Pairs in order of birth, as many as there is room for, a power of two."""

    code: _Longs
    total: _Longs  # how often it occurs
    bound: _Longs  # how often at most, as the tournament has it
    start: _Ints  # its positions begin here
    held: _Ints  # and are this many


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
    near = (np.searchsorted(offsets, np.arange(0, size, _STRIDE), side="right") - 1).astype(np.int32)
    words = _Words(data, data.astype(np.int32), offsets, counts, near)
    symbols = _Symbols(
        place=np.zeros(256 + limit, np.int32),
        length=np.ones(256 + limit, np.int32),
        beside=np.full(2 * (256 + limit), -1, np.int32),
    )
    neighbours = size - len(counts)
    positions = np.empty(neighbours + neighbours // 8, np.int32)  # an eighth more: compacted a few times, not a dozen
    pairs = _byte_pairs(words, symbols, positions)
    state = np.array([len(pairs.code), 0, neighbours])
    # Mostly enough, for growing leaves holes in memory: 16 pairs a merge were measured at 110 MB of text and 32,000 merges.
    room = max(_ROOM, 1 << max(len(pairs.code), min(neighbours // 8, 32 * limit)).bit_length())
    pairs = _Pairs(*(grown(array, room) for array in pairs))
    merged = np.empty(limit, np.int64)
    while not _learn(words, symbols, pairs, positions, merged, *_lookup(len(pairs.code)), state):
        pairs = _Pairs(*(grown(array, 2 * len(array)) for array in pairs))

    spelling = [bytes([value]) for value in range(256)]
    merges = []
    for code in merged[: state[_MERGES]].tolist():
        left, right = spelling[code >> 32], spelling[code & _RIGHT]
        merges.append((left, right))
        spelling.append(left + right)
    return merges


def _byte_pairs(words: _Words, symbols: _Symbols, positions: _Ints) -> _Pairs:
    """The pairs of single bytes; fills in where they, and the bytes, stand."""
    held, total = np.zeros(1 << 16, np.int64), np.zeros(1 << 16, np.int64)
    for _, code, weight in _neighbours(words):
        held += np.bincount(code, minlength=len(held))
        total += np.bincount(code, weight, len(total)).astype(np.int64)
    start = np.cumsum(held) - held
    listed = start.copy()
    for at, code, _ in _neighbours(words):
        here = np.bincount(code, minlength=len(held))
        ahead = listed - (np.cumsum(here) - here)  # of the places among those that are listed here
        positions[np.arange(len(code)) + np.repeat(ahead, here)] = at[np.argsort(code, kind="stable")]
        listed += here
    codes = np.flatnonzero(held)
    total, start = total[codes], start[codes].astype(np.int32)
    symbols.place[codes >> 8], symbols.place[codes & 0xFF] = positions[start], positions[start] + 1
    return _Pairs(codes >> 8 << 32 | codes & 0xFF, total, total.copy(), start, held[codes].astype(np.int32))


def _neighbours(words: _Words) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """Some positions, the byte at each with the one behind it as a number, and how often their pre-token occurs."""
    for low in range(0, len(words.data) - 1, _BLOCK):
        high = min(low + _BLOCK, len(words.data) - 1)
        first, last = (
            np.searchsorted(words.offsets, [low, high - 1], side="right") - 1
        )  # the pre-tokens in which it lies
        edges = words.offsets[first + 1 : last + 2]
        inside = np.ones(high - low, np.bool_)
        inside[edges[edges <= high] - low - 1] = False  # the last byte of each has none behind it
        data = words.data[low : high + 1]
        code = (data[:-1].astype(np.uint16) << 8 | data[1:])[inside]
        lengths = np.diff(edges[:-1], prepend=low, append=high)
        yield low + np.flatnonzero(inside), code, np.repeat(words.counts[first : last + 1], lengths)[inside]


def _lookup(room: int) -> tuple[_Ints, _Ints]:
    """An empty hash table of pairs, and a tournament that nobody has played: each node holds its first leaf."""
    tree = np.zeros(2 * room, np.int32)
    for level in range(room.bit_length()):
        tree[room >> level : 2 * room >> level] = np.arange(0, room, 1 << level)
    return np.full(2 * room, -1, np.int32), tree


@inner
def _better(a: Any, b: Any, bound: Any, code: Any, data: Any, place: Any, length: Any) -> Any:
    """Which of two pairs is merged first, by their bounds."""
    if bound[a] != bound[b]:
        return a if bound[a] > bound[b] else b
    for shift in range(32, -1, -32):  # the left symbols, then the right ones
        one, two = code[a] >> shift & _RIGHT, code[b] >> shift & _RIGHT
        for i in range(length[one] if length[one] < length[two] else length[two]):
            byte_one, byte_two = data[place[one] + i], data[place[two] + i]
            if byte_one != byte_two:
                return a if byte_one > byte_two else b
        if length[one] != length[two]:
            return a if length[one] > length[two] else b
    return a


@inner
def _slot(table: Any, codes: Any, code: Any) -> Any:
    """Where a pair is in the open-addressing table, or the free slot for it."""
    mask = np.uint64(table.size - 1)
    mixed = np.uint64(code) * _FACTOR
    slot = (mixed ^ (mixed >> _HALF)) & mask
    while table[slot] >= 0 and codes[table[slot]] != code:
        slot = (slot + _ONE) & mask
    return slot


@inner(forceinline=True)
def _word(at: Any, near: Any, offsets: Any) -> Any:
    """The pre-token that position `at` lies in."""
    word = near[at // _STRIDE]
    while offsets[word + 1] <= at:
        word += 1
    return word


@inner(forceinline=True)
def _beside(at: Any, after: Any, side: Any, word: Any, offsets: Any, symbol: Any) -> Any:
    """Where the symbol before (side 0) or behind (1) the one from `at` to `after` starts; -1 where the pre-token ends."""
    if side:
        return after if after < offsets[word + 1] else -1
    if at == offsets[word]:
        return -1
    return at - 1 if symbol[at - 1] >= 0 else at + symbol[at - 1]


@inner
def _compact(born: Any, merging: Any, symbol: Any, length: Any, pairs: Any, positions: Any) -> Any:
    """Leave out positions where the pair is no more, but of the pair that is being merged; returns what is used then."""
    used = 0
    for pair in range(born):
        first, last = pairs.start[pair], pairs.start[pair] + pairs.held[pair]
        left, right = pairs.code[pair] >> 32, pairs.code[pair] & _RIGHT
        pairs.start[pair] = used
        for i in range(first, last):
            at = positions[i]
            if pair == merging or (symbol[at] == left and symbol[at + length[left]] == right):
                positions[used] = at
                used += 1
        pairs.held[pair] = used - pairs.start[pair]
    return used


@kernel
def _learn(words: Any, symbols: Any, pairs: Any, positions: Any, merged: Any, table: Any, tree: Any, state: Any) -> Any:
    """Go on with the merges; True at their end, False for want of room for pairs. `table` and `tree` come from _lookup."""
    data, symbol, offsets, counts, near = words
    place, length, beside = symbols
    code, total, bound, start, held = pairs
    born, done, used = state[_PAIRS], state[_MERGES], state[_USED]
    entered = 0  # pairs in the table and in the tournament
    pair: Any
    while True:
        # New pairs enter, and a winner whose count has fallen plays again, up to the first match that it changes nothing in.
        while entered < born or bound[tree[1]] != total[tree[1]]:
            pair = np.int64(tree[1])
            if entered < born:
                pair = entered
                entered += 1
                table[_slot(table, code, code[pair])] = pair
            bound[pair] = total[pair]
            node = code.size + pair
            while node > 1:
                node >>= 1
                winner = _better(tree[2 * node], tree[2 * node + 1], bound, code, data, place, length)
                if winner == tree[node] and winner != pair:
                    break
                tree[node] = winner
        best = tree[1]
        finished = done == merged.size or total[best] == 0
        # Each site and each symbol, the new one among them, brings two pairs at most.
        if finished or (born + 2 * held[best] > code.size and born + 2 * (257 + done) > code.size):
            state[_PAIRS], state[_MERGES], state[_USED] = born, done, used
            return finished

        # Merge, in ascending order: of "aaaa" the first two, then the last two. The pairs beside become fewer.
        left, right, new = code[best] >> 32, code[best] & _RIGHT, 256 + done
        merged[done] = code[best]
        done += 1
        sites = 0
        for i in range(start[best], start[best] + held[best]):
            at = positions[i]
            partner = at + length[left]
            if symbol[at] != left or symbol[partner] != right:
                continue
            after = partner + length[right]
            word = _word(at, near, offsets)
            for side in range(2):
                neighbour = _beside(at, after, side, word, offsets, symbol)
                if neighbour >= 0 and symbol[neighbour] != new:  # else the pair between is none yet
                    lost = right << 32 | symbol[neighbour] if side else symbol[neighbour] << 32 | left
                    total[table[_slot(table, code, lost)]] -= counts[word]
            symbol[at], symbol[partner], symbol[after - 1] = new, -1, at - after
            positions[start[best] + sites] = at
            sites += 1
        held[best], total[best] = sites, 0
        place[new], length[new] = positions[start[best]], length[left] + length[right]

        # The pairs of the new symbol: counted, then listed.
        needed = 0
        for filling in range(2):
            if filling:
                if used + needed > positions.size:
                    used = _compact(entered, best, symbol, length, pairs, positions)
                for pair in range(entered, born):
                    start[pair], held[pair], used = used, 0, used + held[pair]
            for i in range(start[best], start[best] + sites):
                at = positions[i]
                word = _word(at, near, offsets)
                for side in range(2):
                    neighbour = _beside(at, at + length[new], side, word, offsets, symbol)
                    if neighbour < 0 or (side == 0 and symbol[neighbour] == new):  # seen from there
                        continue
                    key = 2 * symbol[neighbour] + side
                    pair = np.int64(beside[key])
                    if pair < entered:
                        pair = born
                        beside[key], born = pair, born + 1
                        code[pair] = new << 32 | symbol[neighbour] if side else symbol[neighbour] << 32 | new
                    if filling:
                        positions[start[pair] + held[pair]] = neighbour if side == 0 else at
                    else:
                        total[pair] += counts[word]
                        needed += 1
                    held[pair] += 1
        held[best] = 0
