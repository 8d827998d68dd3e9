"""Bytes of an archive: the file, a compressed member in it, and a cursor over either.

A decompressor that hides gzip members cannot say where a record starts in the compressed file, how long it is there, or where
to continue after damage. Here members are read one at a time, so that all three are known exactly.
"""

import re
from collections.abc import Callable
from typing import BinaryIO, Protocol, cast

from isal import isal_zlib

GZIP_MAGIC = b"\x1f\x8b\x08"
PADDING = b"\r\n\0 \t"
"""Bytes that may be between two records."""
_EMPTY_LINE = re.compile(rb"\n\r*\n")
_BAD_GZIP = cast(type[Exception], isal_zlib.error)  # the stub calls it an instance
_BLOCK = 1 << 20  # bytes read from the file at once
_INPUT = 1 << 15  # compressed bytes handed to the decompressor at once
OUTPUT = 1 << 20
"""Decompressed bytes taken at once, so that a bomb costs at most a megabyte."""
BOMB_RATIO = 200
"""A member far larger than the record limit that expands by more than this factor is a bomb (deflate's limit is 1032)."""
BOMB_RECORDS = 16
"""How many records of the largest size a member may hold, whatever its factor."""


class File:
    """Random reads from a file, or from an archive stored within it, through one cached block. Offsets are the file's."""

    def __init__(self, handle: BinaryIO, begin: int = 0, end: int | None = None) -> None:
        self._handle = handle
        self._block = b""
        self._base = 0
        self.begin = begin
        self.end = handle.seek(0, 2) if end is None else end

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes at `offset`; fewer only at the end."""
        count = max(0, min(count, self.end - offset))
        at = offset - self._base
        if at < 0 or at + count > len(self._block):
            self._handle.seek(offset)
            self._block = self._handle.read(min(max(count, _BLOCK), self.end - offset))
            self._base, at = offset, 0
        return self._block[at : at + count]

    def glance(self, offset: int, count: int) -> bytes:
        """The same without moving the cached block, for a look far ahead."""
        if self._base <= offset and offset + count <= self._base + len(self._block):
            return self.read(offset, count)
        self._handle.seek(offset)
        return self._handle.read(count)


class Member(Protocol):
    """A compressed piece of an archive, decompressed bit by bit.

    `end` is the offset behind it as soon as that is known, else None. `problem` is "bad_gzip", "bad_zstd", "truncated" or
    "too_large" (a bomb, of which the rest is not decompressed) once reading has failed; `more` then returns nothing.
    """

    end: int | None
    problem: str | None
    detail: str | None

    def more(self) -> bytes:
        """The next decompressed bytes; empty at the end, or at the end of what can be read."""


class Packing(Protocol):
    """How an archive is compressed: what its members are, and where they start."""

    magic: bytes
    """The first bytes of a member."""
    name: str
    problem: str
    """The reason for bytes that are no member."""
    unit: str
    """What a member is called."""

    def member(self, file: File, offset: int, max_record_bytes: int) -> Member:
        """The member at `offset`."""

    def opening(self, file: File, offset: int, count: int) -> bytes:
        """The first `count` decompressed bytes of the member at `offset`; empty if none starts there."""

    def padding_end(self, file: File, offset: int) -> int:
        """Where the bytes between two members end that begin at `offset`."""


class GzipMember:
    """One gzip member at `offset`: a Member whose end is known once all of it is read."""

    def __init__(self, file: File, offset: int, max_record_bytes: int) -> None:
        self._file = file
        self._at = offset
        self._start = offset
        self._limit = BOMB_RECORDS * max_record_bytes
        self._inflate = isal_zlib.decompressobj(31)
        self._tail = b""
        self._produced = 0
        self.end: int | None = None
        self.problem: str | None = None
        self.detail: str | None = None

    def more(self) -> bytes:
        """See Member."""
        while self.end is None and self.problem is None:
            piece = self._tail
            if not piece:
                piece = self._file.read(self._at, _INPUT)
                self._at += len(piece)
                if not piece:
                    self.problem, self.detail = "truncated", "the file ends within a gzip member"
                    break
            try:
                out: bytes = self._inflate.decompress(piece, OUTPUT)
            except _BAD_GZIP as error:
                self.problem, self.detail = "bad_gzip", str(error)
                break
            self._produced += len(out)
            if self._inflate.eof:
                self.end = self._at - len(self._inflate.unused_data)
            else:
                self._tail = self._inflate.unconsumed_tail
                if self._produced > max(self._limit, BOMB_RATIO * (self._at - self._start)):
                    self.problem, self.detail = "too_large", f"{self._produced:,} bytes and more in one gzip member"
            if out:
                return out
        return b""


class Stream:
    """A cursor over pieces of bytes, which looks ahead as far as asked and does not keep what it has passed.

    `position` counts from the `position` given. A `file` that the source reads can also be looked at far ahead, and `seek`
    moves the source for `jump`.
    """

    def __init__(
        self,
        more: Callable[[], bytes],
        position: int = 0,
        file: File | None = None,
        seek: Callable[[int], None] | None = None,
    ) -> None:
        self._more = more
        self.file = file
        self._seek = seek
        self._clear = (0, 0)  # no empty line begins within these positions
        self._held = b""
        self._cursor = 0
        self._origin = position
        self._ended = False

    @property
    def position(self) -> int:
        """The position of the next byte."""
        return self._origin + self._cursor

    def fill(self, count: int) -> int:
        """Load the next `count` bytes; returns how many there are (fewer only at the end)."""
        ready = len(self._held) - self._cursor
        if ready < count and not self._ended:
            pieces = [self._held[self._cursor :]] if ready else []
            while ready < count and (piece := self._more()):
                pieces.append(piece)
                ready += len(piece)
            self._ended = ready < count
            self._origin += self._cursor
            self._cursor = 0
            self._held = b"".join(pieces)  # which copies nothing where there is one piece
        return min(ready, count)

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, without moving the cursor."""
        self.fill(count)
        return self._held[self._cursor : self._cursor + count]

    def ahead(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset` bytes after the cursor on."""
        self.fill(offset + count)
        return self._held[self._cursor + offset : self._cursor + offset + count]

    def take(self, count: int) -> bytes:
        """The next `count` bytes; moves the cursor past them."""
        taken = self.peek(count)
        self._cursor += len(taken)
        return taken

    def take_in_place(self, count: int) -> tuple[bytes, int, int]:
        """The next `count` bytes as a part of others: where they start in them, and where they end. Moves the cursor past."""
        taken = self.fill(count)
        start = self._cursor
        self._cursor += taken
        return self._held, start, self._cursor

    def skip(self, count: int) -> int:
        """Skip `count` bytes without keeping them in memory; returns how many there were."""
        remaining = count
        while remaining and (step := self.fill(min(remaining, OUTPUT))):
            self._cursor += step
            remaining -= step
        return count - remaining

    def match(self, pattern: re.Pattern[bytes], reach: int) -> re.Match[bytes] | None:
        """The pattern's match at the cursor within the next `reach` bytes, without moving the cursor."""
        self.fill(reach)
        return pattern.match(self._held, self._cursor, self._cursor + reach)

    def search(self, pattern: re.Pattern[bytes], reach: int) -> tuple[int, int] | None:
        """Where the pattern's first match within the next `reach` bytes begins and ends, counted from the cursor."""
        self.fill(reach)
        found = pattern.search(self._held, self._cursor, self._cursor + reach)
        return None if found is None else (found.start() - self._cursor, found.end() - self._cursor)

    def head(self, reach: int) -> tuple[int, int] | None:
        """The length of a header that an empty line ends within the next `reach` bytes, without and with the empty line.

        What was searched for an earlier call is not searched again. So a file of headers without an end takes time that
        grows with its size only.
        """
        end = self.position + self.fill(reach)
        first, last = self._clear
        if not first <= self.position <= last:
            first = last = self.position
        origin = self._origin
        found = _EMPTY_LINE.search(self._held, last - origin, end - origin)
        if found is None:
            line_end = self._held.rfind(
                b"\n", last - origin, end - origin
            )  # an empty line may follow in the next bytes
            self._clear = (first, max(last, end if line_end < 0 else origin + line_end))
            return None
        self._clear = (first, origin + found.start())
        length = len(self._held[self._cursor : found.start()].rstrip(b"\r"))
        return length, found.end() - self._cursor

    def skip_padding(self) -> None:
        """Skip the line ends, blanks and zeros between records."""
        while block := self.peek(256):
            padding = len(block) - len(block.lstrip(PADDING))
            self._cursor += padding
            if padding < len(block):
                return

    def jump(self, position: int) -> None:
        """Go to any position of a file."""
        assert self._seek is not None
        self._seek(position)
        self._held, self._origin, self._cursor, self._ended = b"", position, 0, False


def file_stream(file: File, position: int) -> Stream:
    """The bytes of the file from `position` on."""
    at = position

    def more() -> bytes:
        nonlocal at
        piece = file.read(at, _INPUT)
        at += len(piece)
        return piece

    def seek(position: int) -> None:
        nonlocal at
        at = position

    return Stream(more, position, file, seek)


class Gzip:
    """An archive in gzip: a member a record, or several records in one."""

    magic = GZIP_MAGIC
    name = "gzip"
    problem = "bad_gzip"
    unit = "gzip member"

    def member(self, file: File, offset: int, max_record_bytes: int) -> Member:
        """The member at `offset`."""
        return GzipMember(file, offset, max_record_bytes)

    def opening(self, file: File, offset: int, count: int) -> bytes:
        """The first `count` decompressed bytes of the member at `offset`; empty if none starts there."""
        try:
            return bytes(isal_zlib.decompressobj(31).decompress(file.read(offset, _INPUT), count))
        except _BAD_GZIP:
            return b""

    def padding_end(self, file: File, offset: int) -> int:
        """Where the bytes between two members end that begin at `offset`."""
        block = file.read(offset, 1 << 16)
        return offset + len(block) - len(block.lstrip(b"\r\n\0"))


def member_end(packing: Packing, file: File, offset: int, max_record_bytes: int) -> int | None:
    """Where the member at `offset` ends, found by decompressing it if need be; None if it is damaged."""
    member = packing.member(file, offset, max_record_bytes)
    while member.end is None and member.more():
        pass
    return member.end
