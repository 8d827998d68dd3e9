"""Archives in zstd and in WACZ: each record once, with the place to read it from again."""

import gzip
import io
import random
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard

from pipeline.errors import UserError
from pipeline.extract.inputs.archive import Record, cut, kind, read_records
from pipeline.extract.inputs.frames import Frame
from pipeline.extract.inputs.sources import raw_bytes
from pipeline.extract.inputs.stream import File
from pipeline.extract.inputs.zstd import block_ends

LIMIT = 100_000


def record(name: str, size: int = 4000) -> bytes:
    words = random.Random(name)
    body = " ".join(words.choice(("harbour", "quiet", "boat", "wall", name)) for _ in range(size // 6)).encode()
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>" + body
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://{name}.example/\r\n"
    head += f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


NAMES = "abcdefgh"
RECORDS = [record(name) for name in NAMES]
DICTIONARY = zstandard.ZstdCompressionDict(b"".join(RECORDS[:2])[-3000:] + b"harbour quiet boat wall")


def skippable(content: bytes, number: int) -> bytes:
    return bytes([0x50 + number]) + b"\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content


def packed(**options: object) -> list[bytes]:
    compressor = zstandard.ZstdCompressor(**options)  # type: ignore[arg-type]
    return [compressor.compress(one) for one in RECORDS]


DICTIONARY_FRAMES = {
    "none": b"",
    "raw": skippable(DICTIONARY.as_bytes(), 13),
    "compressed": skippable(zstandard.compress(DICTIONARY.as_bytes()), 13),
}


def archive(dictionary: str) -> bytes:
    frames = packed(dict_data=DICTIONARY) if dictionary != "none" else packed(write_checksum=True)
    frames.insert(4, skippable(b"an extension", 2))
    return DICTIONARY_FRAMES[dictionary] + b"".join(frames)


def names(records: list[Record]) -> list[str]:
    return [one.problem or (one.url or "?")[7:-9] for one in records]


def tiled(path: Path, edges: list[int]) -> list[Record]:
    """The records of the ranges between edges."""
    return [one for a, b in pairwise(edges) for one in read_records(path, a, b, max_record_bytes=LIMIT)]


def read(path: Path) -> list[Record]:
    return list(read_records(path, max_record_bytes=LIMIT))


@pytest.mark.parametrize("dictionary", DICTIONARY_FRAMES)
def test_records_of_an_archive_in_zstd(tmp_path: Path, dictionary: str) -> None:
    path = tmp_path / "x.warc.zst"
    path.write_bytes(archive(dictionary))
    records = read(path)
    assert names(records) == list(NAMES)
    assert kind(path) == "WARC in zstd"
    plain = tmp_path / "x.warc"
    plain.write_bytes(b"".join(RECORDS))
    assert [one.body for one in records] == [one.body for one in read(plain)]
    for one in records:  # its own bytes are an archive again
        alone = tmp_path / "alone.warc.zst"
        alone.write_bytes(raw_bytes(str(path), one.offset, one.length))
        (again,) = read(alone)
        assert (again.url, again.body) == (one.url, one.body)


@pytest.mark.parametrize("dictionary", DICTIONARY_FRAMES)
def test_ranges_that_tile_an_archive_in_zstd(tmp_path: Path, dictionary: str) -> None:
    path = tmp_path / "x.warc.zst"
    path.write_bytes(archive(dictionary))
    size = path.stat().st_size
    cuts = cut(path, size // 3, max_record_bytes=LIMIT)
    assert len(cuts) == 3
    rng = random.Random(1)
    for edges in ([*cuts, size], *(sorted([0, *(rng.randrange(size) for _ in range(5)), size]) for _ in range(20))):
        assert names(tiled(path, edges)) == list(NAMES)


def test_one_frame_for_the_whole_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.warc.zst"
    path.write_bytes(zstandard.compress(b"".join(RECORDS)))
    records = read(path)
    assert names(records) == list(NAMES)
    assert {(one.offset, one.length) for one in records} == {(0, path.stat().st_size)}
    assert [one.inner_offset for one in records] == [sum(map(len, RECORDS[:n])) for n in range(len(NAMES))]


def test_a_frame_of_many_pieces_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x.warc.zst"
    records = [record(f"{name}{number}", 90_000) for name in NAMES for number in range(8)]
    for level in (1, 19):  # of 19 the window is larger than a piece
        path.write_bytes(zstandard.ZstdCompressor(level=level, write_checksum=True).compress(b"".join(records)))
        assert names(read(path)) == [f"{name}{number}" for name in NAMES for number in range(8)]


def frame_end(data: bytes, offset: int) -> int | None:
    return Frame(File(io.BytesIO(data)), offset, block_ends).end()


def test_the_end_of_a_frame_is_found_without_decompressing() -> None:
    rng = random.Random(2)
    contents = [b"", b"x", b"x" * 500_000, rng.randbytes(300_000), b"ab" * 200_000 + rng.randbytes(200_000)]
    for content in contents:
        for options in ({}, {"write_checksum": True}, {"write_content_size": False}, {"level": 19}):
            frame = zstandard.ZstdCompressor(**options).compress(content)
            assert frame_end(b"before" + frame + b"behind", 6) == 6 + len(frame)
            for short in (len(frame) - 1, len(frame) // 2, 5):
                assert frame_end(frame[:short], 0) is None
    assert frame_end(b"no frame at all", 0) is None


def test_damage_costs_its_own_record(tmp_path: Path) -> None:
    frames = packed(write_checksum=True)
    path = tmp_path / "x.warc.zst"
    flipped = frames[2][:60] + bytes([frames[2][60] ^ 1]) + frames[2][61:]
    path.write_bytes(b"".join([*frames[:2], flipped, *frames[3:]]))
    assert names(read(path)) == ["a", "b", "bad_zstd", *"defgh"]
    path.write_bytes(b"".join([frames[0], b"some bytes", *frames[1:]]))
    assert names(read(path)) == ["a", "bad_zstd", *"bcdefgh"]
    path.write_bytes(b"".join(frames)[:-20])
    assert names(read(path)) == [*"abcdefg", "truncated"]
    path.write_bytes(b"damage" + b"".join(frames))
    assert names(read(path)) == ["bad_zstd", *NAMES]
    path.write_bytes(skippable(b"\x28\xb5\x2f\xfd nonsense", 13) + b"".join(packed(dict_data=DICTIONARY)))
    assert set(names(read(path))) == {"bad_zstd"}


def test_a_bomb_in_zstd_is_left_unread(tmp_path: Path) -> None:
    head = b"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://x.example/\r\nContent-Length: 900000000\r\n\r\n"
    compressor = zstandard.ZstdCompressor()
    bomb = compressor.compress(head + bytes(50_000_000))
    path = tmp_path / "x.warc.zst"
    path.write_bytes(compressor.compress(RECORDS[0]) + bomb + compressor.compress(RECORDS[2]))
    assert names(read(path)) == ["a", "too_large", "c"]


def test_broken_frames_whose_blocks_cover_one_another_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = RECORDS[0][:300]
    block, zeros = len(content) << 3, 1 << 1 | 20_000 << 3  # of the first 16 KB nothing is broken
    reserved = 3 << 1 | 6 << 3  # a type of block that does not exist; it covers the next frame's head
    head = b"\x28\xb5\x2f\xfd\0\x38" + block.to_bytes(3, "little") + content
    frame = head + zeros.to_bytes(3, "little") + b"\0" + reserved.to_bytes(3, "little")
    path = tmp_path / "x.warc.zst"
    reads: list[int] = []
    whole = File.read
    monkeypatch.setattr(File, "read", lambda *a: reads.append(1) or whole(*a))  # type: ignore[func-returns-value]
    counts = []
    for number in (50, 100):
        reads.clear()
        path.write_bytes(frame * number)
        assert names(read(path)) == ["bad_zstd"] * number
        counts.append(len(reads))
    assert counts[1] < 2.1 * counts[0]


def wacz(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    with zipfile.ZipFile(held := io.BytesIO(), "w", compression) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return held.getvalue()


def test_the_archives_in_a_wacz(tmp_path: Path) -> None:
    half = b"".join(gzip.compress(one, mtime=0) for one in RECORDS[:4])
    entries = {"datapackage.json": b"{}", "archive/one.warc.gz": half, "pages/pages.jsonl": b"{}"}
    entries |= {"archive/two.warc.zst": b"".join([DICTIONARY_FRAMES["raw"], *packed(dict_data=DICTIONARY)[4:7]])}
    entries |= {"archive/three.warc": RECORDS[7], "indexes/index.cdx.gz": gzip.compress(b"x")}
    path = tmp_path / "x.wacz"
    path.write_bytes(wacz(entries))
    records = read(path)
    assert names(records) == list(NAMES)
    assert kind(path) == "WARC in gzip, WARC in zstd, WARC"
    size = path.stat().st_size
    for one in records:
        alone = tmp_path / "alone"
        alone.write_bytes(raw_bytes(str(path), one.offset, one.length))
        assert [again.body for again in read(alone)] == [one.body]
    rng = random.Random(3)
    for part_bytes in (1, 500, 3000, size):
        edges = [*cut(path, part_bytes, max_record_bytes=LIMIT), size]
        assert names(tiled(path, edges)) == list(NAMES)
    for _ in range(30):
        edges = sorted([0, *(rng.randrange(size) for _ in range(4)), size])
        assert names(tiled(path, edges)) == list(NAMES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no zip", "not a WACZ"),
        (wacz({"datapackage.json": b"{}"}), "no archive in it"),
        (
            wacz({"archive/a.warc.gz": b"x" * 99}, zipfile.ZIP_DEFLATED),
            r"archive/a\.warc\.gz is compressed in it; unzip it",
        ),
    ],
)
def test_a_wacz_that_cannot_be_read(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.wacz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(path)
    with pytest.raises(UserError, match=message):
        cut(path, 1000)
