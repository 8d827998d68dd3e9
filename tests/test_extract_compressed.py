"""Compressed files: what is before a break in them is read, whatever breaks."""

import bz2
import gzip
import io
import lzma
import random
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest
import zstandard

from pipeline.extract.inputs.compressed import BROKEN, COMPRESSIONS, open_decompressed, problem_of


def lz4(data: bytes) -> bytes:
    with pa.CompressedOutputStream(held := pa.BufferOutputStream(), "lz4") as out:
        out.write(data)
    return bytes(held.getvalue())


PACKERS = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".zst": zstandard.compress,
    ".lz4": lz4,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
_RANDOM = random.Random(4)
LINES = b"".join(b"line %d %s\n" % (n, _RANDOM.randbytes(30).hex().encode()) for n in range(9000))
BLOCK = {".gz": 1 << 10, ".zst": 1 << 17, ".lz4": 1 << 16, ".bz2": 900_000, ".xz": 1 << 10}
"""Bytes of a text that are decoded together, or not at all."""


def read(path: Path, data: bytes) -> tuple[bytes, str | None]:
    """What is read, and the problem behind it."""
    path.write_bytes(data)
    found = b""
    with open_decompressed(path) as file:
        try:
            while piece := cast(io.BufferedReader, file).read1(1 << 16):
                found += piece
        except BROKEN as error:
            return found, problem_of(error)
    return found, None


@pytest.mark.parametrize("packed", COMPRESSIONS)
def test_what_is_before_a_break_is_read(tmp_path: Path, packed: str) -> None:
    path = tmp_path / f"x{packed}"
    pack = PACKERS[packed]
    data = pack(LINES)
    assert read(path, data) == (LINES, None)
    assert read(path, data * 2) == (LINES * 2, None)
    assert read(path, data + pack(b"more")) == (LINES + b"more", None)
    for share in (0.2, 0.5, 0.95):
        found, problem = read(path, data[: int(len(data) * share)])
        assert problem == "truncated"
        assert LINES.startswith(found)
        assert len(found) > len(LINES) * share - BLOCK[packed] - len(LINES) // 50
    few = pack(LINES[:3000])
    found, problem = read(path, data + few[:-10])
    assert (found[: len(LINES)], problem) == (LINES, "truncated")
    assert LINES.startswith(found[len(LINES) :])


@pytest.mark.parametrize("packed", COMPRESSIONS)
@pytest.mark.parametrize("stray", [b"some stray bytes ", b"\xff" * 70_000])
def test_stray_bytes_behind_the_end_cost_nothing_before_them(tmp_path: Path, packed: str, stray: bytes) -> None:
    for lines in (LINES, LINES[:700], b""):
        found, problem = read(tmp_path / f"x{packed}", PACKERS[packed](lines) + stray)
        assert found == lines
        assert problem in ("bad_coding", "truncated")


@pytest.mark.parametrize("packed", [".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("padding", [b"\n", b"\r\n", bytes(512)])
def test_padding_behind_the_end_is_no_damage(tmp_path: Path, packed: str, padding: bytes) -> None:
    assert read(tmp_path / f"x{packed}", PACKERS[packed](LINES) + padding) == (LINES, None)
