"""Transfer and content codings undone, and taken with a grain of salt."""

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from pipeline.extract.pages.coding import Uncoded, unchunk, undo

TEXT = b"<html><p>" + b"".join(b"line %d of a page\n" % n for n in range(5000))
RAW = zlib.compressobj(wbits=-15)
CODED = {
    "gzip": gzip.compress(TEXT, mtime=0),
    "x-gzip": gzip.compress(TEXT, mtime=0),
    "GZIP": gzip.compress(TEXT[:100], mtime=0) + gzip.compress(TEXT[100:], mtime=0),
    "deflate": zlib.compress(TEXT),
    "raw deflate": RAW.compress(TEXT) + RAW.flush(),
    "br": brotli.compress(TEXT),
    "zstd": zstandard.ZstdCompressor().compress(TEXT),
    "identity": TEXT,
}
PLENTY = 10_000_000


def coded(name: str) -> list[tuple[str, str]]:
    return [("content-encoding", name.removeprefix("raw "))]


@pytest.mark.parametrize("name", CODED)
def test_each_coding(name: str) -> None:
    assert undo(CODED[name], coded(name), max_bytes=PLENTY) == Uncoded(TEXT)
    assert undo(CODED[name], coded(name), max_bytes=len(TEXT)).body == TEXT
    assert undo(CODED[name], coded(name), max_bytes=len(TEXT) - 1).problem == "too_large"
    assert undo(b"", coded(name), max_bytes=PLENTY) == Uncoded(b"")


@pytest.mark.parametrize(
    ("name", "body", "note"),
    [
        ("gzip", CODED["gzip"] + b"\0", None),
        ("gzip", CODED["gzip"] + b"\x1f\x8b", f"broken after {len(TEXT):,} bytes (ends early)"),
        ("gzip", CODED["gzip"][:-8] + b"1234" + CODED["gzip"][-4:], "broken after 65,536 bytes"),  # a wrong checksum
        ("deflate", CODED["deflate"] + b"behind", None),
        ("deflate", CODED["raw deflate"] + b"behind", None),
        ("deflate", CODED["deflate"][:-1], f"broken after {len(TEXT):,} bytes (ends early)"),
    ],
)
def test_what_is_behind_a_stream_or_missing_at_its_end(name: str, body: bytes, note: str | None) -> None:
    uncoded = undo(body, coded(name), max_bytes=PLENTY)
    assert (uncoded.body, uncoded.problem) == (TEXT[:65_536] if note and "65,536" in note else TEXT, None)
    assert (uncoded.detail or "").startswith(f"{name}: {note}" if note else "")
    assert bool(uncoded.detail) == bool(note)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd", "unheard-of"])
def test_a_body_that_was_decoded_before_is_used_as_it_is(name: str) -> None:
    found = undo(TEXT, coded(name), max_bytes=PLENTY)
    assert (found.body, found.problem) == (TEXT, None)
    assert found.detail in (f"{name}: declared, but the body is not encoded so", f"{name}: unknown coding")


@pytest.mark.parametrize("name", ["gzip", "deflate", "raw deflate", "br"])
def test_a_cut_body_keeps_what_can_be_read(name: str) -> None:
    found = undo(CODED[name][: len(CODED[name]) * 3 // 4], coded(name), max_bytes=PLENTY)
    assert found.problem is None
    assert 0 < len(found.body) < len(TEXT)
    assert TEXT.startswith(found.body)
    assert "broken after" in (found.detail or "")


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd", "unheard-of"])
def test_what_cannot_be_read_at_all_is_a_reason(name: str) -> None:
    start = {"gzip": b"\x1f\x8b\x08\0", "zstd": b"\x28\xb5\x2f\xfd"}.get(name, b"")
    found = undo(start + b"\xff\xfe\x01\x02\x03\x04\x05" * 30, coded(name), max_bytes=PLENTY)
    assert (found.body, found.problem) == (b"", "bad_coding")


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_bombs_stop_at_the_limit(name: str) -> None:
    zeros = bytes(50_000_000)
    pack: dict[str, Callable[[], bytes]] = {
        "gzip": lambda: gzip.compress(zeros, 1, mtime=0),
        "deflate": lambda: zlib.compress(zeros, 1),
        "br": lambda: bytes(brotli.compress(zeros, quality=1)),
        "zstd": lambda: zstandard.ZstdCompressor().compress(zeros),
    }
    packed = pack[name]()
    assert undo(packed, coded(name), max_bytes=100_000).problem == "too_large"


def test_several_codings_are_undone_from_the_last() -> None:
    twice = brotli.compress(CODED["gzip"])
    assert undo(twice, [("content-encoding", "gzip, br")], max_bytes=PLENTY) == Uncoded(TEXT)
    headers = [("content-encoding", "gzip"), ("content-encoding", "br"), ("transfer-encoding", "chunked")]
    assert undo(chunked(twice), headers, max_bytes=PLENTY) == Uncoded(TEXT)


def chunked(body: bytes, size: int = 1000) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "expected", "note"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello", None),
        (b"5;name=value\r\nhello\r\n6 \r\n world\r\n0\r\nTrailer: x\r\n\r\n", b"hello world", None),
        (b"5\nhello\n0\n\n", b"hello", None),
        (b"0\r\n\r\n", b"", None),
        (b"", b"", None),
        (b"0000000000000005\r\nhello\r\n000000000\r\n\r\n", b"hello", None),
        (b"00000000000000005\r\nhello\r\n", b"00000000000000005\r\nhello\r\n", "declared chunked, but is not"),
        (b"5\r\nhello\r\n", b"hello", "chunks broken after 10 bytes"),
        (b"5\r\nhello\r\nff\r\nwor", b"hellowor", "last chunk is truncated"),
        (b"5\r\nhello\r\nno size\r\n", b"hello", "chunks broken after 10 bytes"),
        (b"<html>", b"<html>", "declared chunked, but is not"),
        (b"<html>\r\n<p>", b"<html>\r\n<p>", "declared chunked, but is not"),
        (b"5\r\nhello, this is a page that starts so", b"5\r\nhello, this is a page that starts so", "declared chunked, but is not"),
        (b"-5\r\nhello", b"-5\r\nhello", "declared chunked, but is not"),
        (b"2024\nwas a good year", b"2024\nwas a good year", "declared chunked, but is not"),
        (b"Cafe\nmenu", b"Cafe\nmenu", "declared chunked, but is not"),
        (b"5\nhello\n6\nwor", b"5\nhello\n6\nwor", "declared chunked, but is not"),
        (b"5\nhello\nno size\n", b"5\nhello\nno size\n", "declared chunked, but is not"),
    ],
)  # fmt: skip
def test_chunks(body: bytes, expected: bytes, note: str | None) -> None:
    assert unchunk(body) == (expected, note)
    assert undo(body, [("transfer-encoding", "Chunked")], max_bytes=PLENTY) == Uncoded(expected, None, note)


def test_chunks_of_any_size() -> None:
    for size in (1, 15, 16, 4096, 10**6):
        assert unchunk(chunked(TEXT, size)) == (TEXT, None)
