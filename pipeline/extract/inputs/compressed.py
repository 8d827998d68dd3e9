"""Files as their uncompressed bytes: gzip, zstd, bzip2 and xz, by the name's last suffix."""

import bz2
import io
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
from isal import igzip_lib, isal_zlib

from pipeline.extract.inputs.files import name_of, open_file

COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")
BROKEN = (OSError, EOFError, lzma.LZMAError, cast(type[Exception], isal_zlib.error))  # the stub calls it an instance
"""What reading a damaged compressed file raises; `problem_of` tells the damage."""
_INPUT = 1 << 15  # compressed bytes handed to a decompressor at once
_OUTPUT = 1 << 18  # uncompressed bytes taken at once, so that a bomb costs little
_BUFFER = 1 << 20
_XZ_MEMORY = 1 << 28  # bytes; xz -9 needs 65 MiB, and a file may ask for 4 GiB
_PADDING = b"\0\r\n"  # what tools leave behind a member


def compression_of(path: str) -> str:
    """How a file is compressed: one of COMPRESSIONS, or nothing."""
    return next((suffix for suffix in COMPRESSIONS if name_of(path).endswith(suffix)), "")


@contextmanager
def open_decompressed(path: Path | str) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed as its name says. Only a file that is not compressed can seek.

    Damage raises one of BROKEN, after all bytes before it (of zstd: all but its last 256 KB) have been read.
    """
    with io.BufferedReader(cast(io.RawIOBase, open_file(path)), _BUFFER) as handle:
        compression = compression_of(str(path))
        if not compression:
            yield cast(BinaryIO, handle)
        else:
            pieces = _zstd(handle) if compression == ".zst" else _members(handle, _NEW[compression])
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


def _zstd(handle: BinaryIO) -> Iterator[bytes]:
    """zstandard's own reader does not notice a truncated file; Arrow's does."""
    with pa.CompressedInputStream(pa.PythonFile(handle), "zstd") as source:
        while piece := source.read(_OUTPUT):
            yield piece


def _members(handle: BinaryIO, new: Callable[[], Any]) -> Iterator[bytes]:
    """The bytes of a file of gzip members, or of bzip2 or xz streams. Zeros and line ends between them, or at the end, are
    skipped; other bytes there are damage."""
    held = handle.read(_INPUT)
    while held:
        member = new()
        while not member.eof:
            if piece := member.decompress(held, _OUTPUT):
                yield piece
                held = b""
            elif not member.eof:
                held = handle.read(_INPUT)
                if not held:
                    raise EOFError("the file ends before its compressed data do")
        held = member.unused_data or handle.read(_INPUT)
        while held and not (held := held.lstrip(_PADDING)):
            held = handle.read(_INPUT)


_NEW: dict[str, Callable[[], Any]] = {
    ".gz": lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY),
}
