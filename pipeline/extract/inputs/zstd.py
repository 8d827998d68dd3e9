"""Archives in zstd (.warc.zst): a frame a record, read as gzip members are, so that each record's place is known exactly.

The format is "Zstandard Compression for WARC Files 1.0" (IIPC): a dictionary for all frames may come first, in a skippable
frame of its own magic number; other skippable frames may be anywhere and are left out.
"""

import io
from typing import IO, cast

import zstandard

from pipeline.extract.inputs.stream import BOMB_RATIO, BOMB_RECORDS, OUTPUT, File, Member

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"  # 0x184D2A5D, little endian
_SKIPPABLE = b"\x2a\x4d\x18"  # behind a byte of 0x50 to 0x5F
_MOST_DICTIONARY = 1 << 24  # bytes; real ones have a few hundred thousand
_MOST_WINDOW = 1 << 27
_FRAME_HEADER = 18  # bytes at most (RFC 8878, section 3.1.1.1)
_RLE = 1  # the type of a block that is one byte, repeated


class Zstd:
    """An archive in zstd, with the dictionary at its start, if it has one."""

    magic = ZSTD_MAGIC
    name = "zstd"
    problem = "bad_zstd"
    unit = "zstd frame"

    def __init__(self, file: File) -> None:
        begin = file.begin
        dictionary_end = skippable_end(file, begin) if file.read(begin, 4) == DICTIONARY_MAGIC else begin
        self.dictionary = file.read(begin, min(dictionary_end - begin, _MOST_DICTIONARY))
        """The frame with the dictionary; empty if there is none."""
        content = self.dictionary[8:]
        if content.startswith(ZSTD_MAGIC):
            reader = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW).stream_reader(io.BytesIO(content))
            try:
                content = reader.read(_MOST_DICTIONARY)
            except zstandard.ZstdError:
                content = b""  # every frame that needs it is then bad_zstd
        self._data = zstandard.ZstdCompressionDict(content) if content else None

    def _decompressor(self) -> zstandard.ZstdDecompressor:
        """A decompressor for one reader: a second reader of the same one would reset the first."""
        return zstandard.ZstdDecompressor(dict_data=self._data, max_window_size=_MOST_WINDOW)

    def member(self, file: File, offset: int, max_record_bytes: int) -> Member:
        """The frame at `offset`."""
        return ZstdFrame(file, offset, max_record_bytes, self._decompressor())

    def opening(self, file: File, offset: int, count: int) -> bytes:
        """The first `count` decompressed bytes of the frame at `offset`; empty if none starts there."""
        if file.read(offset, 4) != ZSTD_MAGIC:
            return b""
        try:
            return self._decompressor().stream_reader(_range(file, offset, file.end)).read(count)
        except zstandard.ZstdError:
            return b""

    def padding_end(self, file: File, offset: int) -> int:
        """Where the skippable frames end that begin at `offset`."""
        return skippable_end(file, offset)


class ZstdFrame:
    """One zstd frame at `offset`: a Member whose end is known at once."""

    def __init__(
        self, file: File, offset: int, max_record_bytes: int, decompressor: zstandard.ZstdDecompressor
    ) -> None:
        self.end = frame_end(file, offset)
        self.problem: str | None = None
        self.detail: str | None = None
        self._limit = max(BOMB_RECORDS * max_record_bytes, BOMB_RATIO * ((self.end or file.end) - offset))
        self._produced = 0
        self._reader = decompressor.stream_reader(_range(file, offset, self.end or file.end))

    def more(self) -> bytes:
        """See Member."""
        if self.problem is not None:
            return b""
        try:
            piece = self._reader.read1(OUTPUT)
        except zstandard.ZstdError as error:
            self._fail("bad_zstd", str(error))
            return b""
        self._produced += len(piece)
        if not piece and self.end is None:
            self._fail("truncated", "the file ends within a zstd frame")
        elif piece and self._produced > self._limit:
            self._fail("too_large", f"{self._produced:,} bytes and more in one zstd frame")
        return piece

    def _fail(self, problem: str, detail: str) -> None:
        self.problem, self.detail = problem, detail
        if problem != "truncated":
            self.end = None


def _range(file: File, start: int, end: int) -> IO[bytes]:
    """The bytes [start, end) of a file, as a stream to read from."""
    return cast(IO[bytes], _Range(file, start, end))


class _Range(io.RawIOBase):
    def __init__(self, file: File, start: int, end: int) -> None:
        self._file, self._at, self._end = file, start, end

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(self._at, max(0, min(size, self._end - self._at)))
        self._at += len(piece)
        return piece


def frame_end(file: File, offset: int) -> int | None:
    """Where the frame at `offset` ends, found without decompressing it; None if the file ends before, or it is none."""
    header = file.read(offset, _FRAME_HEADER)
    try:
        at = offset + zstandard.frame_header_size(header)
        has_checksum = zstandard.get_frame_parameters(header).has_checksum
    except (zstandard.ZstdError, ValueError):
        return None
    last = False
    while not last:
        head = int.from_bytes(file.read(at, 3), "little")  # last block, type (two bits), size
        if at + 3 > file.end:
            return None
        last = bool(head & 1)
        at += 3 + (1 if head >> 1 & 3 == _RLE else head >> 3)
    at += 4 * has_checksum
    return at if at <= file.end else None


def skippable_end(file: File, offset: int) -> int:
    """Where the skippable frame at `offset` ends; `offset` if there is none."""
    head = file.read(offset, 8)
    if len(head) < 8 or head[1:4] != _SKIPPABLE or not 0x50 <= head[0] <= 0x5F:
        return offset
    return min(offset + 8 + int.from_bytes(head[4:], "little"), file.end)
