"""Pre-tokens and how often each occurs: all that BPE training needs to know about a corpus.

BPE never merges across pre-tokens, so a corpus is its distinct pre-tokens with their counts; memory grows with those and
not with the text, and beyond a budget they go to disk (`pipeline.tokenize.spill`). The two published patterns are scanned by
hand in Numba; any other goes through the `regex` module, which is also what the scanners are proven against.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from queue import SimpleQueue
from threading import Lock
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import regex

from pipeline.kernels import inner, kernel
from pipeline.tokenize.patterns import CL100K_PATTERN, GPT2_PATTERN, split

LIBRARIES = ("regex",)  # its tables decide where a text is cut

_OTHER, _LETTER, _NUMBER, _SPACE = 0, 1, 2, 3
_BLOCK_BYTES = 1 << 20
_ENTRY_BYTES = (
    96  # 8 each for offset, count and hash, 16 to 32 in the table, 10 or so of text, and all that grown by halves
)
_COUNTER_BYTES = 200  # a str of a dozen characters, an int and their places in a dict


@dataclass(frozen=True, slots=True, kw_only=True)
class PreTokens:
    """Distinct pre-tokens: number i is `data[offsets[i]:offsets[i + 1]]` (UTF-8) and occurs `counts[i]` times."""

    data: np.ndarray
    offsets: np.ndarray
    counts: np.ndarray

    @property
    def text_bytes(self) -> int:
        """Bytes of all text that these pre-tokens make up."""
        return int(np.diff(self.offsets) @ self.counts)


class Spill(Protocol):
    """Takes tables that have grown too large."""

    memory: int
    """Bytes that a table may have."""

    def take(self, pretokens: PreTokens) -> None:
        """Keep these elsewhere."""
        ...


def count_pretokens(
    texts: "Iterable[str | pa.Array]", pattern: str, spill: Spill | None = None, threads: int = 1
) -> PreTokens:
    """Cut each text (a string, or those of an Arrow array) into pre-tokens by `pattern` and count them.

    What a spill has taken is not among them: it is told to take a table that has grown to its share of `memory`. With one
    thread they come in order of first appearance.
    """
    if pattern == GPT2_PATTERN:
        return _count_scanned(texts, spill, threads, _ends_gpt2)
    if pattern == CL100K_PATTERN:
        return _count_scanned(texts, spill, threads, _ends_cl100k)
    found: Counter[str] = Counter()
    for item in texts:
        for text in [item] if isinstance(item, str) else item.drop_null().to_pylist():
            found.update(split(text, pattern))
            if spill is not None and len(found) * _COUNTER_BYTES > spill.memory:
                spill.take(_as_arrays(found))
                found = Counter()
    return _as_arrays(found)


def _as_arrays(found: "Counter[str]") -> PreTokens:
    encoded = [piece.encode() for piece in found]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(piece) for piece in encoded], out=offsets[1:])
    counts = np.fromiter(found.values(), np.int64, len(found))
    return PreTokens(data=np.frombuffer(b"".join(encoded), np.uint8), offsets=offsets, counts=counts)


@cache
def character_classes() -> np.ndarray:
    """uint8 by code point: letter, number, white space or other, as the `regex` module's Unicode tables say."""
    classes = np.zeros(0x110000, np.uint8)
    width = 0x800  # few at a time, for little memory; surrogates, which are no characters, are 0x800 from 0xD800
    for start in range(0, len(classes), width):
        if start == 0xD800:
            continue
        characters = np.arange(start, start + width, dtype="<u4").tobytes().decode("utf-32-le")
        for expression, value in ((r"\p{L}+", _LETTER), (r"\p{N}+", _NUMBER), (r"\s+", _SPACE)):
            for match in regex.finditer(expression, characters):
                classes[start + match.start() : start + match.end()] = value
    return classes


def _count_scanned(
    texts: "Iterable[str | pa.Array]", spill: Spill | None, threads: int, scan: Callable[..., int]
) -> PreTokens:
    """Each thread has a table of its own; in the end they become one."""
    classes = character_classes()
    tables = [Table() for _ in range(threads)]
    limit = None if spill is None else spill.memory // (_ENTRY_BYTES * threads)
    free: SimpleQueue[Table] = SimpleQueue()
    spilling = Lock()
    for table in tables:
        free.put(table)

    def make_room(table: Table, entries: int, size: int) -> None:
        if spill is not None and limit is not None and table.found and table.found + entries > limit:
            with spilling:
                spill.take(table.contents())
            table.clear()
        table.make_room(entries, size, limit)

    def count(data: np.ndarray, ends: np.ndarray) -> None:
        bounds = np.empty(len(data) + 1, np.int64)  # memory only where something is written
        bounds[0] = 0
        found = scan(data, ends, classes, bounds)
        table = free.get()
        try:
            make_room(table, found, len(data))
            table.add(data, bounds[: found + 1], np.ones(1, np.int64))
        finally:
            free.put(table)

    blocks = _blocks(texts, _BLOCK_BYTES if limit is None else max(1, min(_BLOCK_BYTES, limit // 8)))
    if threads == 1:
        for block in blocks:
            count(*block)
    else:
        with ThreadPoolExecutor(threads) as pool:
            pending: deque[Future[None]] = deque()
            for block in blocks:
                pending.append(pool.submit(count, *block))
                if len(pending) > 2 * threads:
                    pending.popleft().result()
            for future in pending:
                future.result()
    first, *others = tables
    for table in others:
        some = table.contents()
        make_room(first, len(some.counts), len(some.data))
        first.add(some.data, some.offsets, some.counts)
    return first.contents()


class Table:
    """An open-addressing table of byte strings with counts, as arrays that a kernel fills."""

    def __init__(self) -> None:
        self.found = 0
        self._table = np.full(1 << 16, -1, np.int32)
        self._arena, self._offsets = np.empty(0, np.uint8), np.zeros(1, np.int64)
        self._counts, self._hashes = np.empty(0, np.int64), np.empty(0, np.uint64)

    def add(self, data: np.ndarray, bounds: np.ndarray, weights: np.ndarray) -> None:
        """Count data[bounds[i]:bounds[i + 1]] weights[i] times more, for which there is room; the last weight goes on."""
        if not len(weights):
            return
        data = data.view()
        data.flags.writeable = False  # one type, one compilation
        arrays = self._table, self._arena, self._offsets, self._counts, self._hashes
        self.found = int(_add(data, bounds, weights, *arrays, self.found))

    def make_room(self, entries: int, size: int, limit: int | None = None) -> None:
        """Room for so many entries more, of `size` bytes together; twice that for the next, but within `limit` entries."""
        room = self.found + entries
        if len(self._counts) < room:
            wanted = 2 * room if limit is None else max(room, min(2 * room, limit))
            self._counts, self._hashes = grown(self._counts, wanted), grown(self._hashes, wanted)
            self._offsets = grown(self._offsets, wanted + 1)
        used = int(self._offsets[self.found])
        if len(self._arena) < used + size:
            self._arena = grown(self._arena, 2 * (used + size) if limit is None else used + max(size, used // 2))
        if len(self._table) < 2 * room:
            self._table = np.full(1 << (2 * room - 1).bit_length(), -1, np.int32)
            _rehash(self._table, self._hashes[: self.found])

    def clear(self) -> None:
        """Empty, with the room that there is."""
        self.found = 0
        self._table.fill(-1)

    def contents(self) -> PreTokens:
        """A copy of what is in it, in order of first appearance."""
        offsets = self._offsets[: self.found + 1].copy()
        return PreTokens(
            data=self._arena[: offsets[-1]].copy(), offsets=offsets, counts=self._counts[: self.found].copy()
        )


def _blocks(texts: "Iterable[str | pa.Array]", wanted: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Whole texts, about `wanted` bytes of UTF-8 together: (bytes, end of each text)."""
    block: list[bytes] = []
    size = 0
    for text in texts:
        if not isinstance(text, str):
            yield from _array_blocks(text, wanted)
            continue
        block.append(text.encode())
        size += len(block[-1])
        if size >= wanted:
            yield np.frombuffer(b"".join(block), np.uint8), np.cumsum([len(piece) for piece in block])
            block, size = [], 0
    if size:
        yield np.frombuffer(b"".join(block), np.uint8), np.cumsum([len(piece) for piece in block])


def _array_blocks(texts: pa.Array, wanted: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same of an array's own bytes, without a copy."""
    texts = texts.drop_null()
    texts.validate(full=True)  # the scanners trust that it is UTF-8
    if not len(texts):
        return
    _, offsets, data = texts.buffers()
    kind = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    bounds = np.frombuffer(offsets, kind)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    first = 0
    while first < len(texts) and bounds[-1] > bounds[first]:
        last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + wanted, side="right")) - 1)
        found = np.frombuffer(data, np.uint8)[bounds[first] : bounds[last]]
        yield found, bounds[first + 1 : last + 1] - bounds[first]
        first = last


def grown(array: np.ndarray, size: int) -> np.ndarray:
    """The array with room for more."""
    larger = np.empty(size, array.dtype)
    larger[: len(array)] = array
    return larger


@kernel
def _rehash(table: Any, hashes: Any) -> None:
    mask = np.uint64(len(table) - 1)
    for i in range(len(hashes)):
        slot = hashes[i] & mask
        while table[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = i


@kernel
def _add(
    data: Any, bounds: Any, weights: Any, table: Any, arena: Any, offsets: Any, counts: Any, hashes: Any, found: Any
) -> Any:
    """Returns how many entries there are then."""
    mask = np.uint64(len(table) - 1)
    for i in range(len(bounds) - 1):
        start, size = bounds[i], bounds[i + 1] - bounds[i]
        weight = weights[min(i, len(weights) - 1)]
        code = np.uint64(14695981039346656037)  # FNV-1a, its high bits folded down for the mask
        for at in range(size):
            code = (code ^ np.uint64(data[start + at])) * np.uint64(1099511628211)
        code ^= code >> np.uint64(32)
        slot = code & mask
        while True:
            known = table[slot]
            if known < 0:
                table[slot] = found
                hashes[found], counts[found] = code, weight
                base = offsets[found]
                for at in range(size):
                    arena[base + at] = data[start + at]
                offsets[found + 1] = base + size
                found += 1
                break
            base = offsets[known]
            if hashes[known] == code and offsets[known + 1] - base == size:
                same = 0
                while same < size and arena[base + same] == data[start + same]:
                    same += 1
                if same == size:
                    counts[known] += weight
                    break
            slot = (slot + np.uint64(1)) & mask
    return found


@kernel
def _ends_gpt2(data: Any, ends: Any, classes: Any, bounds: Any) -> Any:
    """Write where each pre-token of the texts that end at `ends` ends, after a 0; returns how many there are."""
    at, count = np.int64(0), 0
    for end in ends:
        while at < end:
            at = _scan_gpt2(data, at, end, classes)
            count += 1
            bounds[count] = at
    return count


@kernel
def _ends_cl100k(data: Any, ends: Any, classes: Any, bounds: Any) -> Any:
    """As `_ends_gpt2`."""
    at, count = np.int64(0), 0
    for end in ends:
        while at < end:
            at = _scan_cl100k(data, at, end, classes)
            count += 1
            bounds[count] = at
    return count


@inner
def _character(data: Any, at: Any) -> Any:
    """Code point at `at` of valid UTF-8, and where the next one starts."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, at + 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | (data[at + 1] & 0x3F), at + 2
    if first < 0xF0:
        return (first & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F), at + 3
    tail = (np.int64(data[at + 1]) & 0x3F) << 12 | (np.int64(data[at + 2]) & 0x3F) << 6 | (data[at + 3] & 0x3F)
    return (first & 0x07) << 18 | tail, at + 4


@inner
def _run(data: Any, at: Any, end: Any, classes: Any, kind: Any) -> Any:
    """Where the run of characters of one class that starts at `at` ends."""
    while at < end:
        point, after = _character(data, at)
        if classes[point] != kind:
            break
        at = after
    return at


@inner
def _spaces(data: Any, at: Any, end: Any, classes: Any) -> Any:
    r"""`\s+(?!\S)|\s+`: the run of white space, less its last character if a word follows and something is left."""
    last, stop = at, at
    while stop < end:
        point, after = _character(data, stop)
        if classes[point] != _SPACE:
            break
        last, stop = stop, after
    return last if stop < end and last > at else stop


@inner
def _scan_gpt2(data: Any, at: Any, end: Any, classes: Any) -> Any:
    """Where the pre-token that starts at `at` ends, by GPT2_PATTERN."""
    point, after = _character(data, at)
    if point == 39 and after < end:  # an apostrophe: 's 't 'm 'd 're 've 'll
        one = data[after]
        if one == 115 or one == 116 or one == 109 or one == 100:
            return after + 1
        if after + 1 < end:
            two = data[after + 1]
            if ((one == 114 or one == 118) and two == 101) or (one == 108 and two == 108):
                return after + 2
    kind = classes[point]
    if point == 32 and after < end:
        following, _ = _character(data, after)
        if classes[following] != _SPACE:
            return _run(data, after, end, classes, classes[following])
    if kind == _SPACE:
        return _spaces(data, at, end, classes)
    return _run(data, after, end, classes, kind)


@inner
def _scan_cl100k(data: Any, at: Any, end: Any, classes: Any) -> Any:
    """Where the pre-token that starts at `at` ends, by CL100K_PATTERN."""
    point, after = _character(data, at)
    kind = classes[point]
    if point == 39 and after < end:  # an apostrophe; | 32 makes ASCII letters small
        one = data[after] | 32
        if one == 115 or one == 116 or one == 109 or one == 100:
            return after + 1
        letter, beyond = _character(data, after)
        if letter == 0x17F:  # the long s is an s when case is ignored
            return beyond
        if after + 1 < end:
            two = data[after + 1] | 32
            if ((one == 114 or one == 118) and two == 101) or (one == 108 and two == 108):
                return after + 2
    if kind == _LETTER:
        return _run(data, after, end, classes, _LETTER)
    following_kind = -1
    if after < end:
        following, _ = _character(data, after)
        following_kind = classes[following]
    if following_kind == _LETTER and kind != _NUMBER and point != 10 and point != 13:
        return _run(data, after, end, classes, _LETTER)
    if kind == _NUMBER:
        for _ in range(2):
            if after < end:
                point, beyond = _character(data, after)
                if classes[point] != _NUMBER:
                    break
                after = beyond
        return after
    if kind == _OTHER or (point == 32 and following_kind == _OTHER):
        stop = _run(data, after, end, classes, _OTHER)
        while stop < end and (data[stop] == 10 or data[stop] == 13):
            stop += 1
        return stop
    stop = _run(data, at, end, classes, _SPACE)
    for newline in range(stop - 1, at - 1, -1):
        if data[newline] == 10 or data[newline] == 13:
            return newline + 1
    return _spaces(data, at, end, classes)
