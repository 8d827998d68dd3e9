"""Kinds of input at the command line: what is typed, the exit code, and the line that says what came of it.

With exit code 2 the line is all of stderr; with 0 it is a line on stdout. "…" stands for anything.
"""

import bz2
import gzip
import io
import lzma
import re
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.cli.main import main

TEXT = b"The harbour was quiet in the morning."
PAGE = b"<!doctype html><title>T</title><p>" + TEXT + b"</p>"
LINE = b'{"text": "The harbour was quiet."}\n'
TABLE = b"id,text\n1,The harbour was quiet.\n2,And the boats lay along the wall.\n"
WARC = b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n"


class Typed(NamedTuple):
    """Files of the folder, what is set (--set input.…), and what comes of it."""

    files: Mapping[str, bytes]
    settings: str
    line: str
    code: int = 2


def parquet(**columns: pa.Array) -> bytes:
    pq.write_table(pa.table(columns), held := io.BytesIO())
    return held.getvalue()


def extracted(kept: int, dropped: int) -> str:
    return f"extract …{kept + dropped} … {kept} … {dropped} …"


FAR = parquet(text=["a b", "c d"], date=pa.array([0, 10**15], pa.int64()).view(pa.timestamp("s")))
GUIDE = (
    'a directory is read for one kind of file, since others beside them are mostly about them; to read them too, add "'
)

TRIED = [
    # plain text
    Typed({"a.txt": TEXT}, "paths=a.txt", extracted(1, 0), 0),
    Typed({"d/a.txt": TEXT, "d/b/c.md": TEXT}, "paths=d", extracted(2, 0), 0),
    Typed({"a.txt.gz": gzip.compress(TEXT)}, "paths=a.txt.gz", extracted(1, 0), 0),
    Typed({"a.md.zst": zstandard.compress(TEXT)}, "paths=a.md.zst", extracted(1, 0), 0),
    Typed({"a.txt": TEXT + b"\n\n" + TEXT}, "paths=a.txt text_unit=paragraph", extracted(2, 0), 0),
    Typed({"a.txt": b"a b\nc d\n\ne f"}, "paths=a.txt text_unit=line", extracted(3, 0), 0),
    Typed({"a.txt": b"a b\nna\xefve\n\ne f"}, "paths=a.txt text_unit=line", "removed most … extract.bad_record (1)", 0),
    Typed({"a.txt": "ö".encode("utf-16")}, "paths=a.txt text_unit=line", 'a.txt: UTF-16, which text_unit = "line" does not …'),
    Typed({"a.txt": "Zwei Wörter".encode("utf-16")}, "paths=a.txt", extracted(1, 0), 0),
    Typed({"a.txt": TEXT}, "paths=a.txt text_unit=page", "--set: input.text_unit: input should be 'file', 'paragraph' or …"),
    Typed({"a.txt": b""}, "paths=a.txt", "run: nothing is left after the extract stage: extract.empty_body dropped the only …"),
    Typed({"a.txt": b"\n\n"}, "paths=a.txt text_unit=line", "run: nothing was read: a.txt has no record; is the input empty?"),
    Typed({"a.txt": b"%PDF-1.7"}, "paths=a.txt", "a.txt: is PDF; take the text out with another tool, …"),
    Typed({"a.txt": PAGE}, "paths=a.txt", "a.txt: is HTML; rename it to end in .html"),
    Typed({"a.txt": WARC}, "paths=a.txt", "a.txt: is a web archive; rename it to end in .warc"),
    Typed({"a.txt": gzip.compress(TEXT)}, "paths=a.txt", "a.txt: is compressed; rename it to end in .gz"),
    Typed({"a.rst": TEXT}, "paths=a.rst", "a.rst: is text of a kind that is not read; rename it to end in .txt if it is plain text"),
    # HTML
    Typed({"a.html": PAGE}, "paths=a.html", extracted(1, 0), 0),
    Typed({"d/a.html": PAGE, "d/b/a.htm": PAGE}, "paths=d", extracted(2, 0), 0),
    Typed({"a.html": b""}, "paths=a.html", "run: nothing is left after the extract stage: extract.empty_body dropped the only …"),
    Typed({"a.mhtml": PAGE}, "paths=a.mhtml", "a.mhtml: is HTML; rename it to end in .html"),
    # CSV
    Typed({"a.csv": TABLE}, "paths=a.csv", extracted(2, 0), 0),
    Typed({"a.tsv": TABLE.replace(b",", b"\t")}, "paths=a.tsv", extracted(2, 0), 0),
    Typed({"a.csv.xz": lzma.compress(TABLE)}, "paths=a.csv.xz", extracted(2, 0), 0),
    Typed({"a.csv": TABLE}, "paths=a.csv text=txet", "a.csv: no column 'txet' (did you mean text?); set input.text to one of id, text"),
    Typed({"a.csv": TABLE.replace(b",", b";")}, "paths=a.csv", "a.csv: no column 'text' …; set input.text to one of id;text"),
    Typed({"a.csv": TABLE + b"3,c,d\n"}, "paths=a.csv", "removed most … extract.bad_record (1)", 0),
    Typed({"a.csv": TABLE + b"3,\xff\n"}, "paths=a.csv", "removed most … extract.bad_record (1)", 0),
    Typed({"a.csv": TABLE.decode().encode("utf-16")}, "paths=a.csv", "a.csv: the header is not UTF-8: iconv -f ENCODING …"),
    Typed({"a.csv": b""}, "paths=a.csv", "run: nothing was read: a.csv has no record; is the input empty?"),
    Typed({"a.csv": b"id,text\n"}, "paths=a.csv", "run: nothing was read: a.csv has no record; is the input empty?"),
    Typed({"a.xlsx": b"PK\x03\x04"}, "paths=a.xlsx", "a.xlsx: is a zip file; unpack it and give the files inside"),
    # JSON
    Typed({"a.json": LINE * 2}, "paths=a.json", extracted(2, 0), 0),
    Typed({"a.json.gz": gzip.compress(LINE)}, "paths=a.json.gz", extracted(1, 0), 0),
    Typed({"a.jsonl.bz2": bz2.compress(LINE)}, "paths=a.jsonl.bz2", extracted(1, 0), 0),
    Typed({"a.jsonl.xz": lzma.compress(LINE)}, "paths=a.jsonl.xz", extracted(1, 0), 0),
    Typed({"a.jsonl.gz": gzip.compress(LINE) + b"\n"}, "paths=a.jsonl.gz", extracted(1, 0), 0),
    Typed({"a.jsonl.xz": lzma.compress(LINE)[:-9]}, "paths=a.jsonl.xz", "removed most … extract.truncated (1)", 0),
    Typed({"a.jsonl.bz2": b"hello"}, "paths=a.jsonl.bz2", "run: nothing is left after the extract stage: extract.bad_coding …"),
    Typed({"a.json": b"[" + LINE + b"]"}, "paths=a.json", "a.json: is a JSON array, not JSON Lines; … jq -c '.[]' a.json > NEW.jsonl"),
    Typed({"a.json": b'{\n"text": "a"}'}, "paths=a.json", "a.json: is JSON, with an object on several lines; … jq -c '.' a.json …"),
    Typed({"a.json": LINE}, "paths=a.json text=body", "a.json, first line: no key 'body'; set input.text to one of text"),
    # values
    Typed({"a.parquet": FAR}, "paths=a.parquet", extracted(2, 0), 0),
    Typed({"a.parquet": parquet(text=pa.nulls(2))}, "paths=a.parquet", "run: nothing is left after …: extract.empty_text dropped all 2 …"),
    Typed({"a.parquet": parquet(text=[b"a b", b"\xff"])}, "paths=a.parquet", "removed most … extract.bad_record (1)", 0),
    Typed({"a.parquet": parquet(text=["a b"], id=[[1]])}, "paths=a.parquet", extracted(1, 0), 0),
    # directories
    Typed({"d/a.jsonl": LINE, "d/b.csv": TABLE}, "paths=d", f"skipped 1 file (1 .csv), the first is d/b.csv: {GUIDE}d/*.csv\" …", 0),
    Typed({"d/a.jsonl": LINE, "d/b.csv": TABLE}, "paths=['d','d/*.csv']", extracted(3, 0), 0),
    Typed({"d/a.html": PAGE, "d/robots.txt": TEXT}, "paths=d", extracted(1, 0), 0),
    Typed({"d/a.json": LINE, "d/README.md": TEXT}, "paths=d", extracted(1, 0), 0),
    Typed({"d/a.json": b"[1]", "d/README.md": TEXT}, "paths=d", "d/a.json: is a JSON array, not JSON Lines; …"),
    Typed({"d/a.xyz": TEXT}, "paths=d", "input.paths: no file of a kind that is read in d; d/a.xyz is of no kind that is read; .warc, …"),
]  # fmt: skip


@pytest.mark.parametrize("typed", TRIED, ids=lambda typed: f"{' '.join(typed.files)} {typed.settings} {typed.line}")
def test_an_input_is_read_or_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Typed) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in typed.files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)
    Path("c.toml").write_text('[input]\npaths = ["x"]\n')
    settings = [word for setting in typed.settings.split() for word in ("--set", f"input.{setting}")]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(["run", "c.toml", *settings, "--out", "run", "--until", "extract", "--workers", "1"])
        except SystemExit as stop:
            code = int(stop.code or 0)
    assert code == typed.code, err.getvalue()
    pattern = ".*".join(re.escape(piece) for piece in typed.line.split("…"))
    if code:
        assert re.fullmatch(f"error: {pattern}\n", err.getvalue())
    else:
        assert any(re.fullmatch(pattern, line.strip()) for line in out.getvalue().splitlines()), out.getvalue()
