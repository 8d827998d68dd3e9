"""Archives in LZ4 (.warc.lz4): a frame a record, or many records in one, read as gzip members are."""

import io
from collections.abc import Iterator

from pipeline.extract.inputs.compressed import BROKEN, arrow_pieces, problem_of, to_the_break
from pipeline.extract.inputs.stream import BOMB_RATIO, BOMB_RECORDS, File, Member
from pipeline.extract.inputs.zstd import skippable_end

LZ4_MAGIC = b"\x04\x22\x4d\x18"
# Bits of a frame's descriptor (LZ4 Frame Format 1.6): what follows it, and what follows each block and the last one.
_DICTIONARY, _CONTENT_CHECKSUM, _CONTENT_SIZE, _BLOCK_CHECKSUM = 0x01, 0x04, 0x08, 0x10
_UNCOMPRESSED = 1 << 31  # in a block's size
_STEP = 1 << 12  # bytes


class Lz4:
    """An archive in LZ4."""

    magic = LZ4_MAGIC
    name = "LZ4"
    problem = "bad_lz4"
    unit = "LZ4 frame"

    def member(self, file: File, offset: int, max_record_bytes: int) -> Member:
        """The frame at `offset`."""
        return Lz4Frame(file, offset, max_record_bytes)

    def opening(self, file: File, offset: int, count: int) -> bytes:
        """The first `count` decompressed bytes of the frame at `offset`; empty if none starts there."""
        if file.read(offset, 4) != LZ4_MAGIC:
            return b""
        opening = b""
        try:
            for piece in arrow_pieces("lz4")(_Frame(file, offset), lambda _: count):
                opening += piece
                if len(opening) >= count:
                    break
        except BROKEN:
            pass  # told when the frame is read
        return opening[:count]

    def padding_end(self, file: File, offset: int) -> int:
        """Where the skippable frames end that begin at `offset`."""
        return skippable_end(file, offset)


class Lz4Frame:
    """One LZ4 frame at `offset`: a Member whose end is known once all of it is read."""

    def __init__(self, file: File, offset: int, max_record_bytes: int) -> None:
        self.end: int | None = None
        self.problem: str | None = None
        self.detail: str | None = None
        self._file = file
        self._offset = offset
        self._frame = _Frame(file, offset)
        self._limit = BOMB_RECORDS * max_record_bytes
        self._produced = 0
        self._pieces = to_the_break(self._opened, arrow_pieces("lz4"))

    def _opened(self) -> io.RawIOBase:
        self._frame = _Frame(self._file, self._offset)
        return self._frame

    def more(self) -> bytes:
        """See Member."""
        if self.problem is not None or self.end is not None:
            return b""
        try:
            piece = next(self._pieces, b"")
        except BROKEN as error:
            cut = problem_of(error) == "truncated"
            self.problem = "truncated" if cut else "bad_lz4"
            self.detail = "the file ends within an LZ4 frame" if cut else str(error)
            return b""
        self._produced += len(piece)
        if not piece:
            self.end = self._frame.end
        elif self._produced > max(self._limit, BOMB_RATIO * (self._frame.tell() - self._offset)):
            self.problem, self.detail = "too_large", f"{self._produced:,} bytes and more in one LZ4 frame"
        return piece


class _Frame(io.RawIOBase):
    """The bytes of one frame, some blocks at a time. A decoder is given no byte behind it, and the walk from block to block
    goes no further than the decoder does."""

    def __init__(self, file: File, offset: int) -> None:
        self._file = file
        self._at = offset
        self._known = offset
        self._ends = _block_ends(file, offset)
        self.end: int | None = None
        """Where the frame ends, once it has been read to its end."""

    def readable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def tell(self) -> int:
        """The place of the next byte in the file."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """See io.RawIOBase."""
        while self.end is None and self._known < self._at + min(size, _STEP):
            known = next(self._ends, None)
            if known is None:
                self.end = self._known
            else:
                self._known = known
        piece = self._file.read(self._at, min(size, self._known - self._at))
        self._at += len(piece)
        return piece


def _block_ends(file: File, offset: int) -> Iterator[int]:
    """The ends of a frame's head and of its blocks, and last its own end; beyond the end of the file if it is cut there."""
    flags = int.from_bytes(file.read(offset + 4, 1), "little")
    at = offset + 7 + 8 * bool(flags & _CONTENT_SIZE) + 4 * bool(flags & _DICTIONARY)
    yield at
    while at + 4 <= file.end and (size := int.from_bytes(file.read(at, 4), "little")):
        at += 4 + (size & ~_UNCOMPRESSED) + 4 * bool(flags & _BLOCK_CHECKSUM)
        yield at
    yield at + 4 + 4 * bool(flags & _CONTENT_CHECKSUM)
