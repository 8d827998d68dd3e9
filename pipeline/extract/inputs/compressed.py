"""Files as their uncompressed bytes: gzip, zstd, LZ4, bzip2 and xz, by the name's last suffix."""

import bz2
import io
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
from isal import igzip_lib, isal_zlib

from pipeline.extract.inputs.files import name_of, open_file

COMPRESSIONS = (".gz", ".zst", ".lz4", ".bz2", ".xz")
BROKEN = (OSError, EOFError, lzma.LZMAError, cast(type[Exception], isal_zlib.error))  # the stub calls it an instance
"""What reading a damaged compressed file raises; `problem_of` tells the damage."""
_INPUT = 1 << 15  # compressed bytes handed to a decompressor at once
_OUTPUT = 1 << 18  # uncompressed bytes taken at once, so that a bomb costs little
_BUFFER = 1 << 20
_READ_AHEAD = 1 << 16  # bytes that Arrow reads at once
_SLICE = 64
_XZ_MEMORY = 1 << 28  # bytes; xz -9 needs 65 MiB, and a file may ask for 4 GiB
_PADDING = b"\0\r\n"  # what tools leave behind a member


def compression_of(path: str) -> str:
    """How a file is compressed: one of COMPRESSIONS, or nothing."""
    return next((suffix for suffix in COMPRESSIONS if name_of(path).endswith(suffix)), "")


@contextmanager
def open_decompressed(path: Path | str) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed as its name says. Only a file that is not compressed can seek.

    Damage raises one of BROKEN, after all bytes before it have been read.
    """
    with io.BufferedReader(cast(io.RawIOBase, open_file(path)), _BUFFER) as handle:
        compression = compression_of(str(path))
        if not compression:
            yield cast(BinaryIO, handle)
        else:
            pieces = to_the_break(lambda: _rewound(handle), _DECODERS[compression])
            with io.BufferedReader(_Pieces(pieces), _BUFFER) as reader:
                yield cast(BinaryIO, reader)


def problem_of(error: Exception) -> str:
    """The reason for a record that stands for the rest of a file: "truncated" or "bad_coding"."""
    return "truncated" if isinstance(error, EOFError) or "Truncated" in str(error) else "bad_coding"


def read_up_to(file: BinaryIO, limit: int) -> tuple[bytes, int]:
    """All bytes of a file and their number; of a file of more than `limit`, some of them and the number of all."""
    pieces: list[bytes] = []
    length = 0
    while piece := file.read(min(_BUFFER, limit + 1)):
        if length <= limit:
            pieces.append(piece)
        length += len(piece)
    return b"".join(pieces), length


class _Pieces(io.RawIOBase):
    """A reader of pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = memoryview(b"")

    def readable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See io.RawIOBase."""
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count


Decoder = Callable[[io.RawIOBase, Callable[[int], int]], Iterator[bytes]]
"""From compressed bytes to pieces of what they hold. It also asks how many bytes to take at once, by how many it has given."""


def to_the_break(opened: Callable[[], io.RawIOBase], decode: Decoder) -> Iterator[bytes]:
    """The pieces of a stream, up to the place where it breaks; then one of BROKEN. `opened` gives the stream from its start.

    A decoder that is given much at once loses what comes before a break in it. Then it starts again, and is given the last
    bytes in small slices. What is before a break is exact to a slice.
    """
    given = 0
    source = _Sliced(opened())
    try:
        for piece in decode(source, lambda _: _OUTPUT):
            given += len(piece)
            yield piece
        return
    except BROKEN as error:
        broken = error
    for step in (1 << 10, 1):
        before, produced = given, 0

        def size(produced: int, before: int = before, step: int = step) -> int:
            return min(_OUTPUT, before - produced) if produced < before else step

        with suppress(*BROKEN):
            for piece in decode(_Sliced(opened(), source.taken - _READ_AHEAD), size):
                produced += len(piece)
                if produced > before:
                    given += len(piece)
                    yield piece
    raise broken


class _Sliced(io.RawIOBase):
    """A stream that gives small slices from a position on, and is not closed with this."""

    def __init__(self, source: io.RawIOBase, small_from: float = inf) -> None:
        self._source = source
        self._small_from = small_from
        self.taken = 0

    def readable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def read(self, size: int = -1) -> bytes:
        """See io.RawIOBase."""
        small = max(_SLICE, self._small_from - self.taken)
        piece = self._source.read(int(min(size, small)))
        self.taken += len(piece)
        return piece


def _rewound(handle: Any) -> io.RawIOBase:
    handle.seek(0)
    return cast(io.RawIOBase, handle)


def arrow_pieces(codec: str) -> Decoder:
    """A decoder of Arrow's: unlike other readers of zstd, it notices a truncated stream."""

    def decode(source: io.RawIOBase, size: Callable[[int], int]) -> Iterator[bytes]:
        produced = 0
        with pa.CompressedInputStream(pa.PythonFile(source, mode="r"), codec) as stream:
            while piece := stream.read(size(produced)):
                produced += len(piece)
                yield piece

    return decode


def _members(new: Callable[[], Any]) -> Decoder:
    """A decoder of gzip members, or of bzip2 or xz streams. Zeros and line ends between them, or at the end, are skipped;
    other bytes there are damage."""

    def decode(source: io.RawIOBase, size: Callable[[int], int]) -> Iterator[bytes]:
        produced = 0
        held = source.read(_INPUT) or b""
        while held:
            member = new()
            while not member.eof:
                if piece := member.decompress(held, size(produced)):
                    produced += len(piece)
                    yield piece
                    held = b""
                elif not member.eof:
                    held = source.read(_INPUT) or b""
                    if not held:
                        raise EOFError("the file ends before its compressed data do")
            held = member.unused_data or source.read(_INPUT) or b""
            while held and not (held := held.lstrip(_PADDING)):
                held = source.read(_INPUT) or b""

    return decode


_DECODERS: dict[str, Decoder] = {
    ".gz": _members(lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)),
    ".zst": arrow_pieces("zstd"),
    ".lz4": arrow_pieces("lz4"),
    ".bz2": _members(bz2.BZ2Decompressor),
    ".xz": _members(lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY)),
}
