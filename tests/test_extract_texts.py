"""Plain text and HTML as input: files, paragraphs and lines."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from pipeline.errors import UserError
from pipeline.extract.inputs.sources import check_columns, cut, kind, raw_bytes, read
from pipeline.extract.options import Columns, ExtractOptions, TextUnit
from pipeline.extract.page import Row, rows

LIMIT = 1000


def lz4(data: bytes) -> bytes:
    with pa.CompressedOutputStream(held := pa.BufferOutputStream(), "lz4") as out:
        out.write(data)
    return bytes(held.getvalue())


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
    ".lz4": lz4,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
POEM = "Die Möwe ruft.\r\nDas Meer ist weit.\r\n\r\n \t\r\nEin Boot\nkehrt heim.\n\n\n\nNacht.".encode()


def ledger(path: Path, unit: TextUnit = "file", start: int = 0, end: int | None = None) -> list[Row]:
    records = read(str(path), start, end, columns=Columns(text_unit=unit), max_record_bytes=LIMIT)
    return list(rows(records, ExtractOptions(extractor="resiliparse", max_record_bytes=LIMIT), archive=path))


@pytest.mark.parametrize("packed", PACKERS)
def test_a_file_a_paragraph_or_a_line_is_a_document(tmp_path: Path, packed: str) -> None:
    path = tmp_path / f"poem.txt{packed}"
    path.write_bytes(PACKERS[packed](POEM))
    [whole] = ledger(path)
    assert whole.text == POEM.decode().replace("\r\n", "\n")
    assert (whole.offset, whole.length, whole.encoding, whole.html_bytes) == (0, len(POEM), "utf-8", len(POEM))
    units: dict[TextUnit, list[str]] = {
        "paragraph": ["Die Möwe ruft.\nDas Meer ist weit.", "Ein Boot\nkehrt heim.", "Nacht."],
        "line": ["Die Möwe ruft.", "Das Meer ist weit.", "Ein Boot", "kehrt heim.", "Nacht."],
    }
    for unit, texts in units.items():
        found = ledger(path, unit)
        assert [row.text for row in found] == texts
        assert not any(row.dropped for row in found)
        assert len({row.id for row in found}) == len(texts)
        assert {row.record_type for row in found} == {"document"}
        stored = [raw_bytes(str(path), row.offset, row.length) for row in found]
        assert [data.decode().replace("\r\n", "\n").strip() for data in stored] == texts
    assert kind(str(path)) == "text"


def test_any_cut_gives_the_same_rows(tmp_path: Path) -> None:
    path = tmp_path / "poem.md"
    path.write_bytes(POEM * 3)
    units: tuple[tuple[TextUnit, int], ...] = (("file", 1), ("paragraph", 7), ("line", 13))
    for unit, most in units:
        whole = ledger(path, unit)
        assert len(whole) == most
        seen = set()
        for size in range(1, path.stat().st_size + 2):
            cuts = cut(str(path), size, unit)
            ranges = zip(cuts, [*cuts[1:], None], strict=True)
            assert [row for start, end in ranges for row in ledger(path, unit, start, end)] == whole
            seen.add(len(cuts))
        assert max(seen) == most
        assert min(seen) == 1
    packed = tmp_path / "poem.md.gz"
    packed.write_bytes(gzip.compress(POEM * 3))
    assert cut(str(packed), 10, "line") == [0]


def test_files_of_one_name_in_two_folders_have_two_ids(tmp_path: Path) -> None:
    found = []
    for folder, words in (("a", b"One."), ("b", b"Two."), ("c", b"One.")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "index.txt").write_bytes(words)
        found += ledger(tmp_path / folder / "index.txt")
    assert found[0].id == found[2].id != found[1].id


def test_bad_units_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    long = b"x" * LIMIT
    path.write_bytes(b"\xef\xbb\xbfgood\n\n" + long + b"\n\n" + long[1:] + b"\n\nna\xefve\n\n" + long + b"y\n\nend\n\n")
    found = ledger(path, "paragraph")
    assert [(row.dropped, row.text and row.text[:4]) for row in found] == [
        ([], "good"),
        (["too_large"], None),  # with its line end
        ([], "xxxx"),
        (["bad_record"], None),
        (["too_large"], None),
        ([], "end"),
    ]
    assert found[1].detail == "1,001 bytes; max_record_bytes is 1,000"
    assert found[3].detail == "not UTF-8: invalid continuation byte at byte 2"
    [whole] = ledger(path)
    assert (whole.dropped, whole.length) == (["too_large"], path.stat().st_size)
    path.write_bytes(b" " * 3000 + b"x" + b" " * 3000 + b"\n\n" + b"\t" * 5000 + b"\nend")
    assert [(row.dropped, row.length) for row in ledger(path, "paragraph")] == [(["too_large"], 6002), ([], 3)]


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        ("Ça va très bien, où êtes-vous ? À bientôt, à l'été.".encode("cp1252"), "Ça va", "windows-1252"),
        ("\ufeffZwei Wörter".encode("utf-16-le"), "Zwei Wörter", "utf-16-le"),
        (b"\xef\xbb\xbfMark", "Mark", "utf-8"),
    ],
)
def test_a_whole_file_has_any_encoding(tmp_path: Path, data: bytes, text: str, encoding: str) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    [row] = ledger(tmp_path / "x.txt")
    assert (row.text or "").startswith(text)
    assert row.encoding == encoding
    (tmp_path / "x.txt").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert ledger(tmp_path / "x.txt")[0].dropped == ["not_html"]


def test_units_of_utf_16_are_refused_before_work(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeffZwei".encode("utf-16-le"))
    with pytest.raises(
        UserError, match=r'UTF-16, which text_unit = "line" does not read: iconv -f UTF-16 -t UTF-8 x.txt'
    ):
        check_columns(str(path), Columns(text_unit="line"))
    assert check_columns(str(path), Columns()) == []
    path.write_bytes(b"\xef\xbb\xbfZwei")
    assert check_columns(str(path), Columns(text_unit="line")) == []
    (tmp_path / "x.txt.gz").write_bytes(b"no gzip")
    assert check_columns(str(tmp_path / "x.txt.gz"), Columns(text_unit="line")) == []


def test_empty_files_are_counted(tmp_path: Path) -> None:
    for name in ("a.txt", "b.html"):
        (tmp_path / name).write_bytes(b"")
        assert [row.dropped for row in ledger(tmp_path / name)] == [["empty_body"]]
    for data in (b"", b"\n", b" \n\n\t"):
        (tmp_path / "a.txt").write_bytes(data)
        assert ledger(tmp_path / "a.txt", "paragraph") == ledger(tmp_path / "a.txt", "line") == []


@pytest.mark.parametrize("packed", [".gz", ".zst", ".bz2", ".xz"])
def test_what_comes_before_damage_is_read(tmp_path: Path, packed: str) -> None:
    path = tmp_path / f"x.txt{packed}"
    lines = b"".join(b"line %d\n" % n for n in range(5))
    data = PACKERS[packed](lines)
    path.write_bytes(data[:-5] if packed != ".zst" else data[:-2])
    assert [row.dropped for row in ledger(path)] == [["truncated"]]
    if packed == ".gz":
        found = ledger(path, "line")
        assert [row.text for row in found] == ["line 0", "line 1", "line 2", "line 3", "line 4", None]
        assert found[-1].dropped == ["truncated"]
        assert [row.dropped for row in ledger(path, "paragraph")] == [["truncated"]]
    path.write_bytes(data + data)
    assert len(ledger(path, "line")) == 10
    path.write_bytes(b"no such thing")
    assert [row.dropped for row in ledger(path, "line")] == [["bad_coding"]]


@pytest.mark.parametrize("packed", PACKERS)
def test_a_page_is_extracted(tmp_path: Path, packed: str) -> None:
    path = tmp_path / f"page.html{packed}"
    page = "<meta charset=iso-8859-1><title>Häfen</title><p>The harbour café was quiet in the morning."
    path.write_bytes(PACKERS[packed](page.encode("latin-1")))
    [row] = ledger(path)
    assert (row.title, row.text) == ("Häfen", "The harbour café was quiet in the morning.")
    assert (row.encoding, row.url, row.content_type) == ("windows-1252", None, "text/html")
    assert raw_bytes(str(path), row.offset, row.length) == page.encode("latin-1")
    assert cut(str(path), 1) == [0]
