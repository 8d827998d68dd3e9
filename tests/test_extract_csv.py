"""CSV and TSV as input."""

import gzip
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.extract.inputs.sources import check_columns, cut, kind, raw_bytes, read
from pipeline.extract.options import Columns, ExtractOptions
from pipeline.extract.page import Row, rows

LIMIT = 1000
TABLE = b'id,url,text\n1,http://a.example/,"Two, or\nthree ""words"""\n2,,NA\n'


def ledger(path: Path, columns: Columns | None = None) -> list[Row]:
    records = read(str(path), 0, None, columns=columns or Columns(), max_record_bytes=LIMIT)
    return list(rows(records, ExtractOptions(extractor="resiliparse", max_record_bytes=LIMIT), archive=path))


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.tsv", "X.TSV.gz"])
def test_rows_become_documents(tmp_path: Path, name: str) -> None:
    data = TABLE if ".csv" in name else TABLE.replace(b"Two, or", b"Two; or").replace(b",", b"\t").replace(b"; ", b", ")
    path = written(tmp_path / name, b"\xef\xbb\xbf" + data.replace(b"\n2", b"\r\n2"))
    found = ledger(path)
    assert [(row.id, row.url, row.text, row.offset, row.length) for row in found] == [
        ("1", "http://a.example/", 'Two, or\nthree "words"', 0, 0),
        ("2", None, "NA", 1, 0),
    ]
    assert {row.record_type for row in found} == {"document"}
    assert cut(str(path), 1) == [0]
    assert kind(str(path)) == "csv"
    with pytest.raises(UserError, match="row 1 is a row of a table and has no bytes of its own"):
        raw_bytes(str(path), 1, 0)


def test_columns_have_the_names_that_the_user_says(tmp_path: Path) -> None:
    page = "<p>The harbour was quiet in the morning, and boats lay along the wall.</p>"
    path = written(tmp_path / "x.csv", f'body,link\n"{page}",u\n'.encode())
    [row] = ledger(path, Columns(html="body", url="link"))
    assert (row.text, row.url) == (page[3:-4], "u")
    with pytest.raises(UserError, match=r"x\.csv: no column 'text'; set input\.text to one of body, link"):
        check_columns(str(path), Columns())
    assert check_columns(str(path), Columns(text="body", url="lnk", keep_columns=("link",))) == [
        f"input.url: no column 'lnk' (did you mean link?) in {path}"
    ]


def test_bad_rows_are_counted(tmp_path: Path) -> None:
    lines = [
        b"id,text",
        b"0,good",
        b"1,one,too many",
        b"",
        b"2",
        b"3,na\xefve",
        b"4,",
        b"5," + b"x" * LIMIT,
        b"6," + b"x" * (LIMIT + 1),
        b"7,end",
        b"8,a,b",
    ]
    found = ledger(written(tmp_path / "x.csv", b"\n".join(lines)))
    assert [row.dropped for row in found] == [
        [], ["bad_record"], ["bad_record"], ["bad_record"], ["empty_text"], [], ["too_large"], [], ["bad_record"],
    ]  # fmt: skip
    assert [row.offset for row in found] == list(range(9))
    assert found[1].detail == "the header has 2 fields, this row 3"
    assert found[3].detail == "not UTF-8: invalid continuation byte"
    assert found[7].text == "end"


def test_a_row_without_end_is_one_record(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", b'id,text\n0,good\n1,"never closed\n' + b"2,more\n" * 500_000)
    found = ledger(path)
    assert [row.dropped for row in found] == [[], ["too_large"]]
    assert found[1].detail == "a row of more than 1,050,576 bytes; is a quotation mark never closed?"


@pytest.mark.parametrize("data", [b"", b"\n\n", b"id,text", b"id,text\n", b"\xef\xbb\xbfid,text\r\n\r\n"])
def test_a_table_without_rows_is_no_error(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path / "x.csv", data)
    assert check_columns(str(path), Columns()) == []
    assert ledger(path) == []


def test_a_damaged_file_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    data = gzip.compress(b"id,text\n" + b"".join(b"%d,text\n" % n for n in range(5)))
    path.write_bytes(data[:-3])
    found = ledger(path)
    assert [(row.text, row.dropped) for row in found] == [("text", [])] * 4 + [(None, ["truncated"])]
    assert found[-1].offset == 4
    for packed, reason in ((b"not compressed at all", "bad_coding"), (data[:12], "truncated")):
        path.write_bytes(packed)
        assert check_columns(str(path), Columns()) == []
        assert [row.dropped for row in ledger(path)] == [[reason]]


def test_a_header_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    for data in ("id,text\n".encode("utf-16"), b"t\xe4xt,text\n"):
        path = written(tmp_path / "x.csv", data)
        with pytest.raises(UserError, match=r"the header is not UTF-8: iconv -f ENCODING -t UTF-8 x\.csv > NEW\.csv"):
            check_columns(str(path), Columns())
