"""The merge loop of BPE training, over distinct pre-tokens.

A symbol is stored at the position of its first byte. If it is longer than a byte, the position of its last byte holds minus
its length, and all between are negative too; so its neighbours are found in one step, without links. Each pair has a list of
the positions where it starts, in ascending order. The list is complete when it is made, since a merge makes only pairs of its
new symbol. Positions that later merges consume stay in the list until it is read, or until all lists are compacted because
room runs out. Compacting always makes enough room: a merge adds only as many neighbours as have gone.

The next pair is the winner of a tournament: the leaves of a binary tree are pairs, and each node holds the better of two. The
count of a pair never rises, so the tree may compare counts that are too high. Only the winner's true count is checked; if it is
lower, the matches of that pair are played again.

Two more facts keep it simple. No two merges spell the same bytes: a span that no merge crosses is divided as it would be
alone, so each spelling has one last pair. And a symbol's bytes are found where it was first merged, so no spelling is stored.

The first, small run mostly waits for compiling, so NumPy lists the pairs of bytes, and arrays grow outside of the kernel.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels import inner, kernel
from pipeline.tokenize.pretokens import PreTokens, grown

_ROOM = 1 << 10  # pairs at least; a power of two
_STRIDE = 16  # positions for one entry of the index from positions to pre-tokens
_BLOCK = 1 << 20  # positions whose pairs of bytes are handled together

_RIGHT = (1 << 32) - 1  # a pair is a number: its left symbol above these bits, its right one in them
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio
_HALF, _ONE = np.uint64(32), np.uint64(1)

_PAIRS, _MERGES, _USED = range(3)  # the state of the kernel between calls

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
    """The 256 bytes and the results of merges."""

    first_at: _Ints  # a position of its bytes
    length: _Ints
    last_pair: (
        _Ints  # of 2 * symbol + side: the pair it was last in with a new symbol, which was to its right (0) or left (1)
    )


class _Pairs(NamedTuple):
    """Pairs in order of creation, with room for a power of two."""

    code: _Longs
    total: _Longs  # how often it occurs
    bound: _Longs  # the upper bound on that which the tournament compares
    start: _Ints  # where its list of positions begins
    sites: _Ints  # the length of that list


def learn_merges(pretokens: PreTokens, limit: int) -> list[tuple[bytes, bytes]]:
    """At most `limit` merges: each the most frequent pair; ties go to the lexicographically greatest pair of byte strings.

    Fewer if nothing is left to merge. The order of the pre-tokens makes no difference.
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
        first_at=np.zeros(256 + limit, np.int32),
        length=np.ones(256 + limit, np.int32),
        last_pair=np.full(2 * (256 + limit), -1, np.int32),
    )
    neighbours = size - len(counts)
    positions = np.empty(neighbours + neighbours // 8, np.int32)  # an eighth more, so that lists are rarely compacted
    pairs = _byte_pairs(words, symbols, positions)
    state = np.array([len(pairs.code), 0, neighbours])
    # Usually enough, because growing fragments memory: 16 pairs per merge, measured on 110 MB of text with 32,000 merges.
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
    """The pairs of single bytes; also writes `positions`, and `symbols` for the bytes."""
    sites, total = np.zeros(1 << 16, np.int64), np.zeros(1 << 16, np.int64)
    for _, code, weight in _neighbours(words):
        sites += np.bincount(code, minlength=len(sites))
        total += np.bincount(code, weight, len(total)).astype(np.int64)
    start = np.cumsum(sites) - sites
    next_slot = start.copy()
    for at, code, _ in _neighbours(words):
        block_sites = np.bincount(code, minlength=len(sites))
        shift = next_slot - (np.cumsum(block_sites) - block_sites)  # of the places among those that are listed here
        positions[np.arange(len(code)) + np.repeat(shift, block_sites)] = at[np.argsort(code, kind="stable")]
        next_slot += block_sites
    codes = np.flatnonzero(sites)
    total, start = total[codes], start[codes].astype(np.int32)
    symbols.first_at[codes >> 8], symbols.first_at[codes & 0xFF] = positions[start], positions[start] + 1
    return _Pairs(codes >> 8 << 32 | codes & 0xFF, total, total.copy(), start, sites[codes].astype(np.int32))


def _neighbours(words: _Words) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """In blocks: positions, the pair of bytes at each as a number, and how often its pre-token occurs."""
    for low in range(0, len(words.data) - 1, _BLOCK):
        high = min(low + _BLOCK, len(words.data) - 1)
        first, last = (
            np.searchsorted(words.offsets, [low, high - 1], side="right") - 1
        )  # the pre-tokens in which it lies
        edges = words.offsets[first + 1 : last + 2]
        has_next = np.ones(high - low, np.bool_)
        has_next[edges[edges <= high] - low - 1] = False  # the last byte of each has none behind it
        data = words.data[low : high + 1]
        code = (data[:-1].astype(np.uint16) << 8 | data[1:])[has_next]
        lengths = np.diff(edges[:-1], prepend=low, append=high)
        yield low + np.flatnonzero(has_next), code, np.repeat(words.counts[first : last + 1], lengths)[has_next]


def _lookup(room: int) -> tuple[_Ints, _Ints]:
    """An empty hash table of pairs, and a tournament that has not been played: each node holds its first leaf."""
    tree = np.zeros(2 * room, np.int32)
    for level in range(room.bit_length()):
        tree[room >> level : 2 * room >> level] = np.arange(0, room, 1 << level)
    return np.full(2 * room, -1, np.int32), tree


@inner
def _better(a: Any, b: Any, bound: Any, code: Any, data: Any, first_at: Any, length: Any) -> Any:
    """Which of two pairs is merged first, by bounds, then by bytes."""
    if bound[a] != bound[b]:
        return a if bound[a] > bound[b] else b
    for shift in range(32, -1, -32):  # the left symbols, then the right ones
        symbol_a, symbol_b = code[a] >> shift & _RIGHT, code[b] >> shift & _RIGHT
        for i in range(length[symbol_a] if length[symbol_a] < length[symbol_b] else length[symbol_b]):
            byte_a, byte_b = data[first_at[symbol_a] + i], data[first_at[symbol_b] + i]
            if byte_a != byte_b:
                return a if byte_a > byte_b else b
        if length[symbol_a] != length[symbol_b]:
            return a if length[symbol_a] > length[symbol_b] else b
    return a


@inner
def _slot(table: Any, codes: Any, code: Any) -> Any:
    """The slot of a pair in the open-addressing table, or the free slot for it."""
    mask = np.uint64(table.size - 1)
    mixed = np.uint64(code) * _FACTOR
    slot = (mixed ^ (mixed >> _HALF)) & mask
    while table[slot] >= 0 and codes[table[slot]] != code:
        slot = (slot + _ONE) & mask
    return slot


@inner(forceinline=True)
def _word(at: Any, near: Any, offsets: Any) -> Any:
    """The pre-token at position `at`."""
    word = near[at // _STRIDE]
    while offsets[word + 1] <= at:
        word += 1
    return word


@inner(forceinline=True)
def _beside(at: Any, after: Any, side: Any, word: Any, offsets: Any, symbol: Any) -> Any:
    """The start of the symbol before (side 0) or after (1) the one from `at` to `after`; -1 at the end of the pre-token."""
    if side:
        return after if after < offsets[word + 1] else -1
    if at == offsets[word]:
        return -1
    return at - 1 if symbol[at - 1] >= 0 else at + symbol[at - 1]


@inner
def _compact(born: Any, merging: Any, symbol: Any, length: Any, pairs: Any, positions: Any) -> Any:
    """Drop positions where the pair no longer occurs, except for the pair being merged; returns the positions in use."""
    used = 0
    for pair in range(born):
        first, last = pairs.start[pair], pairs.start[pair] + pairs.sites[pair]
        left, right = pairs.code[pair] >> 32, pairs.code[pair] & _RIGHT
        pairs.start[pair] = used
        for i in range(first, last):
            at = positions[i]
            if pair == merging or (symbol[at] == left and symbol[at + length[left]] == right):
                positions[used] = at
                used += 1
        pairs.sites[pair] = used - pairs.start[pair]
    return used


@kernel
def _learn(words: Any, symbols: Any, pairs: Any, positions: Any, merged: Any, table: Any, tree: Any, state: Any) -> Any:
    """Continue merging; True if finished, False if there is no room for pairs. `table` and `tree` come from `_lookup`."""
    data, symbol, offsets, counts, near = words
    first_at, length, last_pair = symbols
    code, total, bound, start, site_count = pairs
    born, merge_count, used = state[_PAIRS], state[_MERGES], state[_USED]
    entered = 0  # pairs in the table and in the tournament
    pair: Any
    while True:
        # Add new pairs, and replay a winner whose count has fallen, up to the first match whose result does not change.
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
                winner = _better(tree[2 * node], tree[2 * node + 1], bound, code, data, first_at, length)
                if winner == tree[node] and winner != pair:
                    break
                tree[node] = winner
        best = tree[1]
        finished = merge_count == merged.size or total[best] == 0
        # Each site and each symbol, including the new one, adds at most two pairs.
        if finished or (born + 2 * site_count[best] > code.size and born + 2 * (257 + merge_count) > code.size):
            state[_PAIRS], state[_MERGES], state[_USED] = born, merge_count, used
            return finished

        # Merge in ascending order: in "aaaa" the first two, then the last two. The neighbouring pairs lose counts.
        left, right, new = code[best] >> 32, code[best] & _RIGHT, 256 + merge_count
        merged[merge_count] = code[best]
        merge_count += 1
        sites = 0
        for i in range(start[best], start[best] + site_count[best]):
            at = positions[i]
            partner = at + length[left]
            if symbol[at] != left or symbol[partner] != right:
                continue
            after = partner + length[right]
            word = _word(at, near, offsets)
            for side in range(2):
                neighbour = _beside(at, after, side, word, offsets, symbol)
                if neighbour >= 0 and symbol[neighbour] != new:  # otherwise the pair between them does not exist yet
                    old_code = right << 32 | symbol[neighbour] if side else symbol[neighbour] << 32 | left
                    total[table[_slot(table, code, old_code)]] -= counts[word]
            symbol[at], symbol[partner], symbol[after - 1] = new, -1, at - after
            positions[start[best] + sites] = at
            sites += 1
        site_count[best], total[best] = sites, 0
        first_at[new], length[new] = positions[start[best]], length[left] + length[right]

        # Count the pairs of the new symbol, then list their positions.
        new_sites = 0
        for filling in range(2):
            if filling:
                if used + new_sites > positions.size:
                    used = _compact(entered, best, symbol, length, pairs, positions)
                for pair in range(entered, born):
                    start[pair], site_count[pair], used = used, 0, used + site_count[pair]
            for i in range(start[best], start[best] + sites):
                at = positions[i]
                word = _word(at, near, offsets)
                for side in range(2):
                    neighbour = _beside(at, at + length[new], side, word, offsets, symbol)
                    if neighbour < 0 or (side == 0 and symbol[neighbour] == new):  # seen from there
                        continue
                    key = 2 * symbol[neighbour] + side
                    pair = np.int64(last_pair[key])
                    if pair < entered:
                        pair = born
                        last_pair[key], born = pair, born + 1
                        code[pair] = new << 32 | symbol[neighbour] if side else symbol[neighbour] << 32 | new
                    if filling:
                        positions[start[pair] + site_count[pair]] = neighbour if side == 0 else at
                    else:
                        total[pair] += counts[word]
                        new_sites += 1
                    site_count[pair] += 1
        site_count[best] = 0
