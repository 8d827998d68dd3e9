"""Pre-tokens and their counts: all that BPE training needs to know about a corpus.

BPE never merges across pre-tokens, so distinct pre-tokens with their counts represent a corpus. Memory grows with these, not
with the text; beyond a budget they go to disk (`pipeline.tokenize.spill`). The two published patterns have scanners written
in Numba; other patterns use the `regex` module, against which the scanners are tested.
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

from pipeline.arguments import not_one
from pipeline.kernels import inner, kernel
from pipeline.tokenize.patterns import CL100K_PATTERN, GPT2_PATTERN, split

LIBRARIES = ("regex",)  # its tables decide where text is cut

_OTHER, _LETTER, _NUMBER, _SPACE = 0, 1, 2, 3
_SIZE = 7  # the mask of a character's bytes
_LINE_FEED, _RETURN, _BLANK, _APOSTROPHE, _LONG_S = 0x0A, 0x0D, 0x20, 0x27, 0x17F
_D, _E, _L, _M, _R, _S, _T, _V = 0x64, 0x65, 0x6C, 0x6D, 0x72, 0x73, 0x74, 0x76
FNV_OFFSET, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a, 64 bits
_HALF, _ONE = np.uint64(32), np.uint64(1)

_BLOCK_BYTES = 1 << 20
_ENTRY_BYTES = (
    96  # 8 each for offset, count and hash, 16 to 32 in the table, 10 or so of text, and all that grown by halves
)
_COUNTER_BYTES = 200  # a str of a dozen characters, an int and their entry in a dict


@dataclass(frozen=True, slots=True, kw_only=True)
class PreTokens:
    """Distinct pre-tokens: number i is `data[offsets[i]:offsets[i + 1]]` (UTF-8) and occurs `counts[i]` times."""

    data: np.ndarray
    offsets: np.ndarray
    counts: np.ndarray

    @property
    def text_bytes(self) -> int:
        """Bytes of the text that these pre-tokens make up."""
        return int(np.diff(self.offsets) @ self.counts)


class Spill(Protocol):
    """Takes over tables that have grown too large."""

    memory: int
    """The maximal bytes of a table."""

    def take(self, pretokens: PreTokens) -> None:
        """Store these elsewhere."""
        ...


def count_pretokens(
    texts: "Iterable[str | pa.Array]", pattern: str, spill: Spill | None = None, threads: int = 1
) -> PreTokens:
    """Cut texts (strings, or Arrow arrays of strings) into pre-tokens by `pattern` and count them.

    A table that has grown to its share of the spill's `memory` is handed to the spill and is not part of the result. With one
    thread, pre-tokens are in order of first appearance.
    """
    not_one(texts)
    if pattern == GPT2_PATTERN:
        return _count_scanned(texts, spill, threads, _ends_gpt2)
    if pattern == CL100K_PATTERN:
        return _count_scanned(texts, spill, threads, _ends_cl100k)
    counter: Counter[str] = Counter()
    for item in texts:
        for text in [item] if isinstance(item, str) else item.drop_null().to_pylist():
            counter.update(split(text, pattern))
            if spill is not None and len(counter) * _COUNTER_BYTES > spill.memory:
                spill.take(_as_arrays(counter))
                counter = Counter()
    return _as_arrays(counter)


def _as_arrays(counter: "Counter[str]") -> PreTokens:
    encoded = [piece.encode() for piece in counter]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(piece) for piece in encoded], out=offsets[1:])
    counts = np.fromiter(counter.values(), np.int64, len(counter))
    return PreTokens(data=np.frombuffer(b"".join(encoded), np.uint8), offsets=offsets, counts=counts)


@cache
def character_classes() -> np.ndarray:
    """The class of each code point, uint8: letter, number, white space or other, by the `regex` module's Unicode tables."""
    classes = np.zeros(0x110000, np.uint8)
    width = 0x800  # few at a time, to save memory; it is also the number of surrogates, from 0xD800, which are skipped
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
    """Count with one table per thread; the tables are merged at the end."""
    classes = character_classes()
    tables = [Table() for _ in range(threads)]
    limit = None if spill is None else spill.memory // (_ENTRY_BYTES * threads)
    free: SimpleQueue[Table] = SimpleQueue()
    spilling = Lock()
    for table in tables:
        free.put(table)

    def make_room(table: Table, entries: int, size: int) -> None:
        if spill is not None and limit is not None and table.entries and table.entries + entries > limit:
            with spilling:
                spill.take(table.contents())
            table.clear()
        table.make_room(entries, size, limit)

    def count(data: np.ndarray, ends: np.ndarray) -> None:
        bounds = np.empty(len(data) + 1, np.int64)  # takes memory only where it is written
        bounds[0] = 0
        data.flags.writeable = False  # so that the kernel is compiled once
        pretokens = scan(data, ends, classes, bounds)
        table = free.get()
        try:
            make_room(table, pretokens, len(data))
            table.add(data, bounds[: pretokens + 1], np.ones(1, np.int64))
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
        contents = table.contents()
        make_room(first, len(contents.counts), len(contents.data))
        first.add(contents.data, contents.offsets, contents.counts)
    return first.contents()


class Table:
    """An open-addressing table of byte strings with counts, as arrays that a kernel fills."""

    def __init__(self) -> None:
        self.entries = 0
        self._table = np.full(1 << 16, -1, np.int32)
        self._arena, self._offsets = np.empty(0, np.uint8), np.zeros(1, np.int64)
        self._counts, self._hashes = np.empty(0, np.int64), np.empty(0, np.uint64)

    def add(self, data: np.ndarray, bounds: np.ndarray, weights: np.ndarray) -> None:
        """Count data[bounds[i]:bounds[i + 1]] weights[i] times, or each weights[0] times; there must be room for them."""
        data = data.view()
        data.flags.writeable = False  # as in `_count_scanned`
        arrays = self._table, self._arena, self._offsets, self._counts, self._hashes
        self.entries = int(_add(data, bounds, weights, int(len(weights) > 1), *arrays, self.entries))

    def make_room(self, entries: int, size: int, limit: int | None = None) -> None:
        """Make room for `entries` more entries of `size` bytes in total, and as much again, within `limit` entries."""
        room = self.entries + entries
        if len(self._counts) < room:
            capacity = 2 * room if limit is None else max(room, min(2 * room, limit))
            self._counts, self._hashes = grown(self._counts, capacity), grown(self._hashes, capacity)
            self._offsets = grown(self._offsets, capacity + 1)
        used = int(self._offsets[self.entries])
        if len(self._arena) < used + size:
            self._arena = grown(self._arena, 2 * (used + size) if limit is None else used + max(size, used // 2))
        if len(self._table) < 2 * room:
            self._table = np.full(1 << (2 * room - 1).bit_length(), -1, np.int32)
            _rehash(self._table, self._hashes[: self.entries])

    def clear(self) -> None:
        """Remove all entries and keep the room."""
        self.entries = 0
        self._table.fill(-1)

    def contents(self) -> PreTokens:
        """A copy of the entries, in order of first appearance."""
        offsets = self._offsets[: self.entries + 1].copy()
        return PreTokens(
            data=self._arena[: offsets[-1]].copy(), offsets=offsets, counts=self._counts[: self.entries].copy()
        )


def _blocks(texts: "Iterable[str | pa.Array]", block_bytes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of whole texts, about `block_bytes` of UTF-8 each: (bytes, end of each text)."""
    block: list[bytes] = []
    size = 0
    for text in texts:
        if not isinstance(text, str):
            yield from _array_blocks(text, block_bytes)
            continue
        block.append(text.encode())
        size += len(block[-1])
        if size >= block_bytes:
            yield np.frombuffer(b"".join(block), np.uint8), np.cumsum([len(piece) for piece in block])
            block, size = [], 0
    if size:
        yield np.frombuffer(b"".join(block), np.uint8), np.cumsum([len(piece) for piece in block])


def _array_blocks(texts: pa.Array, block_bytes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same for an array, from its own bytes without a copy."""
    texts = texts.drop_null()
    texts.validate(full=True)  # the scanners need valid UTF-8
    if not len(texts):
        return
    _, offsets, data = texts.buffers()
    kind = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    bounds = np.frombuffer(offsets, kind)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    first = 0
    while first < len(texts) and bounds[-1] > bounds[first]:
        last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + block_bytes, side="right")) - 1)
        content = np.frombuffer(data, np.uint8)[bounds[first] : bounds[last]]
        yield content, bounds[first + 1 : last + 1] - bounds[first]
        first = last


def grown(array: np.ndarray, size: int) -> np.ndarray:
    """A copy of the array with `size` items; the new ones are zeros, which take no memory until they are written."""
    larger = np.zeros(size, array.dtype)
    larger[: len(array)] = array
    return larger


@kernel
def _rehash(table: Any, hashes: Any) -> None:
    """Put the numbers of the entries with these hashes into an empty table."""
    mask = np.uint64(table.size - 1)
    for i in range(hashes.size):
        slot = hashes[i] & mask
        while table[slot] >= 0:
            slot = (slot + _ONE) & mask
        table[slot] = i


@kernel
def _add(
    data: Any,
    bounds: Any,
    weights: Any,
    step: Any,
    table: Any,
    arena: Any,
    offsets: Any,
    counts: Any,
    hashes: Any,
    known: Any,
) -> Any:
    """Count data[bounds[i]:bounds[i + 1]] weights[step * i] times; returns the number of entries after that."""
    mask = np.uint64(table.size - 1)
    for i in range(bounds.size - 1):
        # Its bytes are hashed and written after the last entry's; they stay if it is new.
        start, stop, end = bounds[i], bounds[i + 1], offsets[known]
        code = FNV_OFFSET
        for at in range(start, stop):
            code = (code ^ data[at]) * FNV_PRIME
            arena[end] = data[at]
            end += 1
        code ^= code >> _HALF  # the high bits folded down for the mask

        # Find the entry of this pre-token, or a free slot.
        slot = code & mask
        while table[slot] >= 0:
            entry = table[slot]
            at, same = offsets[entry], start
            if hashes[entry] == code and offsets[entry + 1] - at == stop - start:
                while same < stop and arena[at] == data[same]:
                    at, same = at + 1, same + 1
                if same == stop:
                    counts[entry] += weights[step * i]
                    break
            slot = (slot + _ONE) & mask

        if table[slot] < 0:
            table[slot], hashes[known], counts[known] = known, code, weights[step * i]
            known += 1
            offsets[known] = end
    return known


@kernel
def _ends_gpt2(data: Any, ends: Any, classes: Any, bounds: Any) -> Any:
    """Write the end of each pre-token of the texts that end at `ends`, after a 0; returns the number of pre-tokens."""
    at, count = np.int64(0), 0
    for text in range(ends.size):
        while at < ends[text]:
            at = _scan_gpt2(data, at, ends[text], classes)
            count += 1
            bounds[count] = at
    return count


@kernel
def _ends_cl100k(data: Any, ends: Any, classes: Any, bounds: Any) -> Any:
    """The same as `_ends_gpt2`, for CL100K_PATTERN."""
    at, count = np.int64(0), 0
    for text in range(ends.size):
        while at < ends[text]:
            at = _scan_cl100k(data, at, ends[text], classes)
            count += 1
            bounds[count] = at
    return count


@inner
def _character(data: Any, at: Any) -> Any:
    """Code point << 3 | bytes of the character at `at` in valid UTF-8; one number, because pairs compile slowly."""
    first = np.int64(data[at])
    if first < 0x80:
        return first << 3 | 1
    second = first << 6 | (data[at + 1] & 0x3F)
    if first < 0xE0:
        return (second & 0x7FF) << 3 | 2
    third = second << 6 | (data[at + 2] & 0x3F)
    if first < 0xF0:
        return (third & 0xFFFF) << 3 | 3
    return (third << 6 & 0x1FFFC0 | (data[at + 3] & 0x3F)) << 3 | 4


@inner
def _look(data: Any, at: Any, classes: Any) -> Any:
    """Class << 3 | bytes of the character at `at`."""
    character = _character(data, at)
    return classes[character >> 3] << 3 | character & _SIZE


@inner
def _run(data: Any, at: Any, end: Any, classes: Any, kind: Any) -> Any:
    """The end of the run of characters of class `kind` that starts at `at`."""
    while at < end:
        look = _look(data, at, classes)
        if look >> 3 != kind:
            break
        at += look & _SIZE
    return at


@inner
def _spaces(data: Any, at: Any, end: Any, classes: Any) -> Any:
    r"""`\s+(?!\S)|\s+`: the end of the run of white space, without its last character if a word follows a longer run."""
    last, stop = at, at
    while stop < end:
        look = _look(data, stop, classes)
        if look >> 3 != _SPACE:
            break
        last, stop = stop, stop + (look & _SIZE)
    return last if stop < end and last > at else stop


@inner
def _contraction(data: Any, at: Any, end: Any, case: Any) -> Any:
    """Bytes of the s, t, m, d, re, ve or ll at `at`; 0 if there is none. `case` 0x20: capitals too."""
    first = data[at] | case
    if first == _S or first == _T or first == _M or first == _D:  # noqa: SIM109 (a tuple compiles slowly)
        return 1
    if at + 1 < end:
        second = data[at + 1] | case
        if (second == _E and (first == _R or first == _V)) or (second == _L and first == _L):  # noqa: SIM109
            return 2
    return 0


@inner
def _scan_gpt2(data: Any, at: Any, end: Any, classes: Any) -> Any:
    """The end of the pre-token that starts at `at`, by GPT2_PATTERN."""
    look = _look(data, at, classes)
    kind, after = look >> 3, at + (look & _SIZE)
    if after < end:
        if data[at] == _APOSTROPHE:
            size = _contraction(data, after, end, 0)
            if size:
                return after + size
        if data[at] == _BLANK:
            following = _look(data, after, classes) >> 3
            if following != _SPACE:
                return _run(data, after, end, classes, following)
    if kind == _SPACE:
        return _spaces(data, at, end, classes)
    return _run(data, after, end, classes, kind)


@inner
def _scan_cl100k(data: Any, at: Any, end: Any, classes: Any) -> Any:
    """The end of the pre-token that starts at `at`, by CL100K_PATTERN."""
    look = _look(data, at, classes)
    kind, after = look >> 3, at + (look & _SIZE)
    if data[at] == _APOSTROPHE and after < end:
        size = _contraction(data, after, end, 0x20)
        if size:
            return after + size
        letter = _character(data, after)
        if letter >> 3 == _LONG_S:  # equals s if case is ignored
            return after + (letter & _SIZE)

    # Letters, possibly after one character that is not a number or a line break.
    if kind == _LETTER:
        return _run(data, after, end, classes, _LETTER)
    following = _look(data, after, classes) >> 3 if after < end else -1
    if following == _LETTER and kind != _NUMBER and data[at] != _LINE_FEED and data[at] != _RETURN:
        return _run(data, after, end, classes, _LETTER)

    # At most three numbers.
    if kind == _NUMBER:
        for _ in range(2):
            if after < end:
                look = _look(data, after, classes)
                if look >> 3 != _NUMBER:
                    break
                after += look & _SIZE
        return after

    # Other characters, possibly with a blank before and line breaks after them.
    if kind == _OTHER or (data[at] == _BLANK and following == _OTHER):
        stop = _run(data, after, end, classes, _OTHER)
        while stop < end and (data[stop] == _LINE_FEED or data[stop] == _RETURN):
            stop += 1
        return stop

    # White space up to its last line break.
    stop = _run(data, at, end, classes, _SPACE)
    for newline in range(stop - 1, at - 1, -1):
        if data[newline] == _LINE_FEED or data[newline] == _RETURN:
            return newline + 1
    return _spaces(data, at, end, classes)
