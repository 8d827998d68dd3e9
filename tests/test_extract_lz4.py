"""Archives in LZ4: each record once, with the place to read it from again."""

import random
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.extract.inputs.archive import Record, cut, kind, read_records
from pipeline.extract.inputs.sources import find_inputs, raw_bytes

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


def lz4(data: bytes) -> bytes:
    with pa.CompressedOutputStream(held := pa.BufferOutputStream(), "lz4") as out:
        out.write(data)
    return bytes(held.getvalue())


FRAMES = [lz4(one) for one in RECORDS]


def read(data: bytes, tmp_path: Path) -> list[Record]:
    (tmp_path / "x.warc.lz4").write_bytes(data)
    return list(read_records(tmp_path / "x.warc.lz4", max_record_bytes=LIMIT))


def names(records: list[Record]) -> list[str]:
    return [one.problem or (one.url or "?")[7:-9] for one in records]


def test_records_of_an_archive_in_lz4(tmp_path: Path) -> None:
    skippable = b"\x53\x2a\x4d\x18\x04\0\0\0abcd"
    records = read(b"".join([*FRAMES[:3], skippable, *FRAMES[3:]]), tmp_path)
    assert names(records) == list(NAMES)
    path = tmp_path / "x.warc.lz4"
    assert kind(path) == "WARC in LZ4"
    assert find_inputs([str(path)]) == find_inputs([str(tmp_path)]) == ([str(path)], [])
    (alone := tmp_path / "alone").mkdir()
    for one, whole in zip(records, RECORDS, strict=True):  # its own bytes are an archive again
        assert whole.endswith(one.body + b"\r\n\r\n")
        (again,) = read(raw_bytes(str(path), one.offset, one.length), alone)
        assert (again.url, again.body) == (one.url, one.body)


def test_ranges_that_tile_an_archive_in_lz4(tmp_path: Path) -> None:
    read(data := b"".join(FRAMES), tmp_path)
    cuts = cut(tmp_path / "x.warc.lz4", len(data) // 3, max_record_bytes=LIMIT)
    assert len(cuts) == 3
    rng = random.Random(1)
    for edges in ([*cuts, len(data)], *(sorted([0, *rng.choices(range(len(data)), k=5), len(data)]) for _ in range(9))):
        ranges = (read_records(tmp_path / "x.warc.lz4", a, b, max_record_bytes=LIMIT) for a, b in pairwise(edges))
        assert names([one for records in ranges for one in records]) == list(NAMES)


def test_one_frame_for_the_whole_archive(tmp_path: Path) -> None:
    many = [record(f"{name}{number}", 90_000) for name in NAMES for number in range(8)]
    data = lz4(b"".join(many))
    records = read(data + FRAMES[0], tmp_path)
    assert names(records) == [*(f"{name}{number}" for name in NAMES for number in range(8)), "a"]
    assert {(one.offset, one.length) for one in records[:-1]} == {(0, len(data))}
    assert [one.inner_offset for one in records[:3]] == [0, len(many[0]), len(many[0] + many[1])]


BLOCK = bytes.fromhex(
    "72000000a0574152432f312e310d0a0a00f4002d547970653a207265736f757263651500f31a61726765742d5552493a20687474703a2f2f666c6167"
    "732e6578616d706c652f0d0a436f6e74656e744000a6746578742f706c61696e1a00f0074c656e6774683a20350d0a0d0a71756965740d0a0d0a"
)
BLOCK_CHECKSUM, CONTENT_CHECKSUM, END = b"\xaa\xae\xb0\x53", b"\xc3\x2a\xf4\x7c", bytes(4)


@pytest.mark.parametrize(
    ("head", "behind"),
    [
        ("04224d186840 7f00000000000000 40", BLOCK + END),  # written by the reference library: size
        ("04224d187c40 7f00000000000000 e1", BLOCK + BLOCK_CHECKSUM + END + CONTENT_CHECKSUM),
        ("04224d186440 a7", BLOCK + END + CONTENT_CHECKSUM),
        ("04224d186040 82", BLOCK + END),
        ("04224d187040 ad", BLOCK + BLOCK_CHECKSUM + END),
    ],
)
def test_each_kind_of_frame_ends_where_it_ends(tmp_path: Path, head: str, behind: bytes) -> None:
    frame = bytes.fromhex(head) + behind
    records = read(FRAMES[0] + frame + frame + FRAMES[1], tmp_path)
    assert names(records) == ["a", "flags", "flags", "b"]
    assert [one.length for one in records] == [len(FRAMES[0]), len(frame), len(frame), len(FRAMES[1])]
    for short in (1, 4, 9, len(frame) - 12):
        assert names(read(FRAMES[0] + frame[:-short], tmp_path)) == ["a", "truncated"]


def test_damage_costs_its_own_record(tmp_path: Path) -> None:
    bad = FRAMES[2][:200] + b"\xff" * 300 + FRAMES[2][500:]
    assert names(read(b"".join([*FRAMES[:2], bad, *FRAMES[3:]]), tmp_path)) == ["a", "b", "bad_lz4", *"defgh"]
    assert names(read(b"".join([FRAMES[0], b"some bytes", *FRAMES[1:]]), tmp_path)) == ["a", "bad_lz4", *"bcdefgh"]
    assert names(read(b"".join(FRAMES)[:-20], tmp_path)) == [*"abcdefg", "truncated"]
    assert names(read(b"damage" + b"".join(FRAMES), tmp_path)) == ["bad_lz4", *NAMES]


def test_records_before_a_break_in_a_frame_are_kept(tmp_path: Path) -> None:
    many = [record(f"{name}{number}", 30_000) for name in NAMES for number in range(8)]
    data = lz4(b"".join(many))
    for share in (0.1, 0.5, 0.9):
        found = names(read(data[: int(len(data) * share)], tmp_path))
        assert found[-1] == "truncated"
        assert len(found) > (len(many) * share) - (1 << 16) / len(many[0]) - 2


def test_a_bomb_in_lz4_is_left_unread(tmp_path: Path) -> None:
    head = b"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://x.example/\r\nContent-Length: 900000000\r\n\r\n"
    bomb = lz4(head + bytes(50_000_000))
    assert names(read(FRAMES[0] + bomb + FRAMES[2], tmp_path)) == ["a", "too_large", "c"]
