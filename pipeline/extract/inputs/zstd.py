"""Archives in zstd (.warc.zst): a frame a record, read as gzip members are, so that each record's place is known exactly.

The format is "Zstandard Compression for WARC Files 1.0" (IIPC): a dictionary for all frames may come first, in a skippable
frame of its own magic number; other skippable frames may be anywhere and are left out.
"""

import io
from collections.abc import Callable, Iterator
from typing import IO, cast

import zstandard

from pipeline.extract.inputs.frames import Frame, FrameMember, skippable_end
from pipeline.extract.inputs.stream import OUTPUT, File, Member

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"  # 0x184D2A5D, little endian
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
        return FrameMember(
            lambda: Frame(file, offset, block_ends), self._pieces, self.name, (zstandard.ZstdError,), max_record_bytes
        )

    def _pieces(self, opened: Callable[[], Frame]) -> Iterator[bytes]:
        """What a frame holds, up to the block that is broken."""
        reader = self._decompressor().stream_reader(cast(IO[bytes], opened()))
        while piece := reader.read1(OUTPUT):
            yield piece

    def opening(self, file: File, offset: int, count: int) -> bytes:
        """The first `count` decompressed bytes of the frame at `offset`; empty if none starts there."""
        if file.read(offset, 4) != ZSTD_MAGIC:
            return b""
        try:
            return self._decompressor().stream_reader(cast(IO[bytes], Frame(file, offset, block_ends))).read(count)
        except zstandard.ZstdError:
            return b""

    def padding_end(self, file: File, offset: int) -> int:
        """Where the skippable frames end that begin at `offset`."""
        return skippable_end(file, offset)


def block_ends(file: File, offset: int) -> Iterator[int]:
    """The ends of a frame's head and of its blocks, and last its own; beyond the end of the file if it is cut or no frame."""
    header = file.read(offset, _FRAME_HEADER)
    try:
        at = offset + zstandard.frame_header_size(header)
        has_checksum = zstandard.get_frame_parameters(header).has_checksum
    except (zstandard.ZstdError, ValueError):
        yield file.end + 1
        return
    yield at
    last = False
    while not last:
        head = int.from_bytes(file.read(at, 3), "little")  # last block, type (two bits), size
        if at + 3 > file.end:
            yield file.end + 1
            return
        last = bool(head & 1)
        at += 3 + (1 if head >> 1 & 3 == _RLE else head >> 3)
        yield at
    yield at + 4 * has_checksum
