"""Files of a kind that is not read: refused by name before any work, with what to do."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pytest
import zstandard
from typer.testing import CliRunner

from pipeline.config_file import load
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.extract.inputs.kinds import left_out
from pipeline.extract.inputs.sources import find_inputs
from pipeline.run.runner import run

PAGE = b"<!DOCTYPE html><title>T</title><p>Hello.</p>"
WARC = b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n"


def zipped() -> bytes:
    with zipfile.ZipFile(held := io.BytesIO(), "w") as file:
        file.writestr("archive/a.warc.gz", b"")
    return held.getvalue()


def tarred() -> bytes:
    with tarfile.open(fileobj=(held := io.BytesIO()), mode="w") as file:
        file.addfile(tarfile.TarInfo("a.warc.gz"))
    return held.getvalue()


def arrow() -> bytes:
    pyarrow.feather.write_feather(pa.table({"text": ["a"]}), held := io.BytesIO())
    return held.getvalue()


TO_LINES = 'put each document on a line of a .jsonl file, as {"text": ...}'
WRONG = {
    "a.wacz": (zipped(), "a WACZ, which is a zip: unzip it and give the archives in its folder archive/"),
    "a.zip": (zipped(), "a zip file; unpack it and give the files inside"),
    "zip.warc.gz": (zipped(), "a zip file; unpack it"),
    "a.tar": (tarred(), "a tar file; unpack it"),
    "a.tar.gz": (gzip.compress(tarred()), "a tar file; unpack it"),
    "a.tar.bz2": (bz2.compress(tarred()), "compressed with bzip2"),
    "a.html": (PAGE, "HTML; put each page on a line of a .jsonl file, as"),
    "b.htm": (b"<p>no doctype", "HTML; put each page on a line"),
    "error.warc": (b"\n<html><body>404", "HTML; put each page on a line"),
    "page.warc.gz": (gzip.compress(PAGE), "HTML; put each page on a line"),
    "a.txt": (b"Some words.\n", f"plain text; {TO_LINES}"),
    "a.md": (b"# Title\n", f"plain text; {TO_LINES}"),
    "a.csv": (b"id,text\n1,a\n", "a table of another format; convert it to Parquet"),
    "a.tsv.gz": (gzip.compress(b"id\ttext\n"), "a table of another format; convert it to Parquet"),
    "a.json": (b'[{"text": "a"}]', "a JSON array; write one object per line: jq -c '.[]' a.json > a.json.jsonl"),
    "b.json": (b'{\n  "text": "a"\n}\n', "JSON; write one object per line: jq -c . b.json > b.json.jsonl"),
    "c.json": (b'{"text": "a"}\n{"text": "b"}\n', "JSON Lines; rename it to end in .jsonl"),
    "c.json.gz": (gzip.compress(b'{"text": "a"}\n'), "JSON Lines; rename it to end in .jsonl.gz"),
    "array.jsonl": (b'[\n{"text": "a"}\n]', "a JSON array, not JSON Lines; write one object per line: jq -c '.[]'"),
    "array.jsonl.gz": (gzip.compress(b'[{"text": "a"}]'), "a JSON array, not JSON Lines"),
    "a.warc.wat.gz": (gzip.compress(WARC), "WAT, metadata without pages; give the .warc or .wet file of the same name"),
    "a.wat": (WARC, "WAT, metadata without pages"),
    "a.pdf": (b"%PDF-1.7\n", "PDF; take the text out with another tool"),
    "a.docx": (zipped(), "a zip file; unpack it"),
    "a.xml": (b"<?xml version='1.0'?><a/>", "XML; take the text out"),
    "a.cdx": (b" CDX N b a\n", "an index of archives; give the archives that it names"),
    "a.cdxj.gz": (gzip.compress(b"org,a)/ 2026 {}\n"), "an index of archives"),
    "a.jsonl.bz2": (bz2.compress(b'{"text": "a"}\n'), "compressed with bzip2, which is not read; decompress it first"),
    "a.jsonl.xz": (lzma.compress(b'{"text": "a"}\n'), "compressed with xz, which is not read; decompress it first"),
    "a.warc.zst": (zstandard.compress(WARC), "compressed with zstd, which only .jsonl.zst may be"),
    "a.arrow": (arrow(), "Arrow; convert it to Parquet"),
    "part-0": (b"PAR1....PAR1", "Parquet; rename it to end in .parquet"),
    "a.db": (b"SQLite format 3\0", "a database; convert it to Parquet"),
    "a.png": (b"\x89PNG\r\n\x1a\n", "a picture"),
    "a.toml": (b"[input]\n", "a config file; give it to python -m pipeline run"),
    "a.dat": (b"\x00\x01\x02", "no archive, JSON Lines or Parquet; .warc, .arc, .wet (also .gz), .jsonl"),
    "empty": (b"", "no archive, JSON Lines or Parquet"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("by", ["name", "glob"])
def test_a_file_of_the_wrong_kind_is_refused(tmp_path: Path, name: str, by: str) -> None:
    data, message = WRONG[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError) as error:
        find_inputs([str(tmp_path / (name if by == "name" else f"{name[:1]}*"))])
    assert str(error.value).startswith(f"{tmp_path / name}: is {message}")
    assert "\n" not in str(error.value)


def test_the_command_ends_before_work(tmp_path: Path, config_file: Path) -> None:
    from pipeline.cli.main import app

    (tmp_path / "a.wacz").write_bytes(zipped())
    (tmp_path / "b.csv").write_bytes(b"id,text\n")
    arguments = ["run", str(config_file), "--out", str(tmp_path / "run"), "--set", f"input.paths=['{tmp_path}/*.*']"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == (
        f"{tmp_path}/a.wacz: is a WACZ, which is a zip: unzip it and give the archives in its folder archive/; "
        f"1 more of these files are not read, {tmp_path}/b.csv next"
    )
    assert not (tmp_path / "run" / "ledger").exists()


def test_what_a_directory_leaves_out(tmp_path: Path, config_file: Path) -> None:
    names = ("x.warc.gz", "x.wat.gz", "a.jsonl", "b.jsonl.gz", "c.parquet", "notes.txt")
    for name in names:
        (tmp_path / name).write_bytes(b"")
    inputs, ignored = find_inputs([str(tmp_path)])
    assert [Path(file).name for file in inputs] == ["x.warc.gz"]
    assert left_out(ignored) == [
        f"3 files of documents (1 .jsonl, 1 .jsonl.gz, 1 .parquet) are left out, {tmp_path}/a.jsonl first: beside archives they "
        f'are mostly lists of them; to read them too, add "{tmp_path}/*.jsonl" to input.paths',
        f"2 other files (1 .txt, 1 .wat.gz) are left out, {tmp_path}/notes.txt first: .warc, .arc, .wet (also .gz), "
        ".jsonl (also .gz, .zst) and .parquet are read",
    ]
    assert left_out([]) == []
    both, _ = find_inputs([str(tmp_path), f"{tmp_path}/*.jsonl"])
    assert [Path(file).name for file in both] == ["x.warc.gz", "a.jsonl"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.csv").write_bytes(b"id,text\n")
    config = load(config_file, [f"input.paths=['{tmp_path / 'other'}']"])
    with pytest.raises(UserError, match=r"no archive .* in .*other; .*a\.csv is a table of another format; convert it"):
        run(tmp_path / "run", config, workers=1, engine="local", until="clean", reporter=Quiet())


def test_a_remote_file_is_judged_by_its_name() -> None:
    with pytest.raises(UserError, match=r"http://a\.example/crawl\.wacz: is a WACZ, which is a zip: unzip it"):
        find_inputs(["http://a.example/crawl.wacz"])
    with pytest.raises(UserError, match=r"crawl\.warc\.wat\.gz: is WAT, metadata without pages"):
        find_inputs(["http://a.example/crawl.warc.wat.gz"])
    assert find_inputs(["http://a.example/download?id=7"]) == (["http://a.example/download?id=7"], [])
