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


def lz4(data: bytes) -> bytes:
    with pa.CompressedOutputStream(held := pa.BufferOutputStream(), "lz4") as out:
        out.write(data)
    return bytes(held.getvalue())


def arrow() -> bytes:
    pyarrow.feather.write_feather(pa.table({"text": ["a"]}), held := io.BytesIO())
    return held.getvalue()


TO_LINES = 'put each document on a line of a .jsonl file, as {"text": ...}'
NOT_LINES = "a JSON array, not JSON Lines; write one object per line:"
WRONG = {
    "a.zip": (zipped(), "a zip file; unpack it and give the files inside"),
    "zip.warc.gz": (zipped(), "a zip file; unpack it"),
    "zip.txt": (zipped(), "a zip file; unpack it"),
    "a.tar": (tarred(), "a tar file; unpack it"),
    "a.tar.gz": (gzip.compress(tarred()), "a tar file; unpack it"),
    "a.tar.bz2": (bz2.compress(tarred()), "a packed folder; unpack it"),
    "tar.csv.gz": (gzip.compress(tarred()), "a tar file; unpack it"),
    "error.warc": (b"\n<html><body>404", "HTML; rename it to end in .html"),
    "page.warc.gz": (gzip.compress(PAGE), "HTML; rename it to end in .html"),
    "page.txt": (PAGE, "HTML; rename it to end in .html"),
    "page.csv": (PAGE, "HTML; rename it to end in .html"),
    "crawl.txt": (WARC, "a web archive; rename it to end in .warc"),
    "crawl.html.gz": (gzip.compress(WARC), "a web archive; rename it to end in .warc.gz"),
    "crawl.jsonl": (WARC, "a web archive; rename it to end in .warc"),
    "a.rst": (b"Title\n=====\n", "text of a kind that is not read; rename it to end in .txt if it is plain text"),
    "a.mhtml": (b"From: <Saved>\n", "a page in a mail's format; save it as HTML"),
    "a.xlsx": (zipped(), "a zip file; unpack it"),
    "a.ods": (b"-", "a spreadsheet; save it as CSV, in UTF-8"),
    "a.json": (b'[{"text": "a"}]', f"{NOT_LINES} jq -c '.[]' a.json > NEW.jsonl"),
    "b.json": (
        b'{\n  "text": "a"\n}\n',
        "JSON, with an object on several lines; write one object per line: jq -c '.' b.json >",
    ),
    "array.jsonl": (b'[\n{"text": "a"}\n]', f"{NOT_LINES} jq -c '.[]' array.jsonl > NEW.jsonl"),
    "array.jsonl.gz": (
        gzip.compress(b'[{"text": "a"}]'),
        f"{NOT_LINES} gzip -dc array.jsonl.gz | jq -c '.[]' > NEW.jsonl",
    ),
    "array.json.zst": (
        zstandard.compress(b'[{"text": "a"}]'),
        f"{NOT_LINES} zstd -dc array.json.zst | jq -c '.[]' > NEW",
    ),
    "array.json.xz": (lzma.compress(b'[{"text": "a"}]'), f"{NOT_LINES} xz -dc array.json.xz |"),
    "array": (b'[{"text": "a"}]', f"{NOT_LINES} jq -c"),
    "lines": (b'{"text": "a"}\n{"text": "b"}\n', "JSON Lines; rename it to end in .jsonl"),
    "lines.gz": (gzip.compress(b'{"text": "a"}\n'), "JSON Lines; rename it to end in .jsonl.gz"),
    "c.jsonl": (gzip.compress(b'{"text": "a"}\n'), "compressed; rename it to end in .gz"),
    "c.txt": (bz2.compress(b"Some words."), "compressed; rename it to end in .bz2"),
    "c": (lzma.compress(b"Some words."), "compressed; rename it to end in what it is, such as .jsonl.xz"),
    "a.warc.wat.gz": (gzip.compress(WARC), "WAT, metadata without pages; give the .warc or .wet file of the same name"),
    "a.wat": (WARC, "WAT, metadata without pages"),
    "a.pdf": (b"%PDF-1.7\n", "PDF; take the text out with another tool"),
    "pdf.md": (b"%PDF-1.7\n", "PDF; take the text out with another tool"),
    "a.docx": (zipped(), "a zip file; unpack it"),
    "a.xml": (b"<?xml version='1.0'?><a/>", "XML; take the text out"),
    "a.cdx": (b" CDX N b a\n", "an index of archives; give the archives that it names"),
    "a.cdxj.gz": (gzip.compress(b"org,a)/ 2026 {}\n"), "an index of archives"),
    "a.arrow": (arrow(), "Arrow; convert it to Parquet"),
    "part-0": (b"PAR1....PAR1", "Parquet; rename it to end in .parquet"),
    "b.parquet.gz": (gzip.compress(b"PAR1....PAR1"), "Parquet, compressed; decompress it first"),
    "a.parq": (b"PAR1....PAR1", "Parquet; rename it to end in .parquet"),
    "a.jsonl.zstd": (
        zstandard.compress(b'{"text": "a"}\n'),
        "compressed; rename it to end in what it is, such as .jsonl.zst",
    ),
    "a.jsonl.gzip": (gzip.compress(b'{"text": "a"}\n'), "JSON Lines; rename it to end in .jsonl.gz"),
    "a.jl": (b'{"text": "a"}\n', "JSON Lines; rename it to end in .jsonl"),
    "a.warc.bz2": (bz2.compress(WARC), "compressed, and not as a kind of file that is read; decompress it first"),
    "a.warc.xz": (lzma.compress(WARC), "compressed, and not as a kind of file that is read"),
    "a.tar.lz4": (lz4(tarred()), "a packed folder; unpack it"),
    "a.jsonl.br": (b"\x0b\x02\x80", "compressed, and not as a kind of file that is read"),
    "a.db": (b"SQLite format 3\0", "a database; convert it to Parquet"),
    "a.png": (b"\x89PNG\r\n\x1a\n", "a picture"),
    "a.toml": (b"[input]\n", "a config file; give it to python -m pipeline run"),
    "a.dat": (
        b"\x00\x01\x02",
        "of no kind that is read; .warc, .arc, .wet (also .gz), .warc.zst, .warc.lz4, .wacz, .parquet, and .jsonl",
    ),
    "empty": (b"", "of no kind that is read"),
}
READ = {
    "a.json": b'{"text": "a"}\n{"text": "b"}\n',
    "one.json": b'{"text": "a"}',
    "long.json": b'{"text": "' + b"a" * 5000 + b'"}\n',
    "a.json.gz": gzip.compress(b'{"text": "a"}\n'),
    "broken.json.gz": b"\x1f\x8b\x08" + b"-" * 40,
    "broken.txt.zst": b"\x28\xb5\x2f\xfd" + b"-" * 40,
    "a.jsonl.bz2": bz2.compress(b'{"text": "a"}\n'),
    "a.jsonl.lz4": lz4(b'{"text": "a"}\n'),
    "a.json.lz4": lz4(b'{"text": "a"}\n'),
    "a.ndjson.bz2": bz2.compress(b'{"text": "a"}\n'),
    "A.JSONL.GZ": gzip.compress(b'{"text": "a"}\n'),
    "a.warc.lz4": lz4(WARC),
    "a.jsonl.xz": lzma.compress(b'{"text": "a"}\n'),
    "braces.txt": b"{\\bf Some} words\n",
    "array.md": b"[{]\n",
    "empty.txt": b"",
    "empty.html": b"",
    "empty.csv": b"",
    "b.htm": b"<p>no doctype",
    "a.HTML.GZ": gzip.compress(PAGE),
    "a.tsv": b"id\ttext\n",
    "noise.warc.gz": b"\x00\x01",
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


@pytest.mark.parametrize("name", READ)
def test_a_file_that_may_be_what_its_name_says_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(READ[name])
    assert find_inputs([str(tmp_path / name)]) == ([str(tmp_path / name)], [])


def test_the_command_ends_before_work(tmp_path: Path, config_file: Path) -> None:
    from pipeline.cli.main import app

    (tmp_path / "a.zip").write_bytes(zipped())
    (tmp_path / "b.tar").write_bytes(tarred())
    arguments = ["run", str(config_file), "--out", str(tmp_path / "run"), "--set", f"input.paths=['{tmp_path}/*.*']"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == (
        f"{tmp_path}/a.zip: is a zip file; unpack it and give the files inside; "
        f"1 more of these files are not read, {tmp_path}/b.tar next"
    )
    assert not (tmp_path / "run" / "ledger").exists()


GROUPS = (
    ("x.warc.gz", "y.ARC", "z.wet"),
    ("a.jsonl", "b.ndjson.gz", "c.json.zst", "d.parquet"),
    ("p.html", "q.htm.gz"),
    ("t.csv", "u.tsv.xz"),
    ("j.json",),
    ("README.md", "n.txt.bz2"),
    ("other.pdf", "x.wat.gz", "none"),
)


@pytest.mark.parametrize("first", range(len(GROUPS)))
def test_a_directory_gives_the_files_of_one_kind(tmp_path: Path, first: int) -> None:
    for name in (name for group in GROUPS[first:] for name in group):
        (tmp_path / name).write_bytes(b"")
    found, ignored = find_inputs([str(tmp_path)])
    read = first < len(GROUPS) - 1
    assert sorted(Path(file).name for file in found) == sorted(GROUPS[first] if read else ())
    assert len(found) + len(ignored) == sum(map(len, GROUPS[first:]))
    assert len(left_out(ignored)) == len(GROUPS) - first - read
    everything, _ = find_inputs(
        [str(tmp_path), *(f"{tmp_path}/{name}" for group in GROUPS[:-1][first:] for name in group)]
    )
    assert len(everything) == sum(map(len, GROUPS[:-1][first:]))


def test_what_a_directory_leaves_out(tmp_path: Path, config_file: Path) -> None:
    names = ("x.warc.gz", "x.wat.gz", "a.jsonl", "b.jsonl.gz", "c.parquet", "notes.txt")
    for name in names:
        (tmp_path / name).write_bytes(b"")
    inputs, ignored = find_inputs([str(tmp_path)])
    assert [Path(file).name for file in inputs] == ["x.warc.gz"]
    why = "a directory is read for one kind of file, since others beside them are mostly about them; to read them too, add"
    assert left_out(ignored) == [
        f'skipped 3 files (1 .jsonl, 1 .jsonl.gz, 1 .parquet), the first is {tmp_path}/a.jsonl: {why} "{tmp_path}/*.jsonl" to '
        "input.paths",
        f'skipped 1 file (1 .txt), the first is {tmp_path}/notes.txt: {why} "{tmp_path}/*.txt" to input.paths',
        f"skipped 1 other file (1 .wat.gz), the first is {tmp_path}/x.wat.gz: .warc, .arc, .wet (also .gz), .warc.zst, .warc.lz4, .wacz, .parquet, and .jsonl, "
        ".json, .csv, .tsv, .html, .txt, .md (also .gz, .zst, .lz4, .bz2, .xz) are read",
    ]
    assert left_out([]) == []
    both, _ = find_inputs([str(tmp_path), f"{tmp_path}/*.jsonl"])
    assert [Path(file).name for file in both] == ["x.warc.gz", "a.jsonl"]
    (tmp_path / "other").mkdir()
    config = load(config_file, [f"input.paths=['{tmp_path / 'other'}']"])

    def refused() -> str:
        with pytest.raises(UserError) as error:
            run(tmp_path / "run", config, workers=1, engine="local", until="clean", reporter=Quiet())
        return str(error.value)

    nothing = f"input.paths: no file of a kind that is read in {tmp_path / 'other'}"
    assert refused().startswith(
        f"{nothing}; .warc, .arc, .wet (also .gz), .warc.zst, .warc.lz4, .wacz, .parquet, and .jsonl"
    )
    (tmp_path / "other" / "a.pdf").write_bytes(b"%PDF-1.7")
    assert refused().startswith(f"{nothing}; {tmp_path / 'other'}/a.pdf is PDF; take the text out")
    (tmp_path / "other" / "a.json").write_bytes(b'[{"text": "a"}]')
    assert refused().startswith(f"{tmp_path / 'other'}/a.json: is a JSON array, not JSON Lines")


def test_a_remote_file_is_judged_by_its_name() -> None:
    with pytest.raises(UserError, match=r"http://a\.example/crawl\.zip: is a packed folder; unpack it"):
        find_inputs(["http://a.example/crawl.zip"])
    with pytest.raises(UserError, match=r"crawl\.warc\.wat\.gz: is WAT, metadata without pages"):
        find_inputs(["http://a.example/crawl.warc.wat.gz"])
    with pytest.raises(UserError, match=r"crawl\.zip: is a packed folder"):
        find_inputs(["http://a.example/crawl.zip?key=1"])
    signed = "http://a.example/a.jsonl.gz?signature=x.pdf"
    assert find_inputs([signed]) == ([signed], [])
    assert find_inputs(["http://a.example/download?id=7"]) == (["http://a.example/download?id=7"], [])


def a_run(folder: Path, *files: str) -> None:
    """What tells a run directory, and these files in it."""
    for name in ("config.json", "journal.jsonl", *files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}\n")


def test_run_directories_in_the_input_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x.jsonl", "sub/y.jsonl", "runs/own/.lock", "runs/own/log.txt", "half/config.json"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text('{"text": "a"}\n')
    a_run(Path("runs/old"), "clean/c.jsonl", "log.txt")
    told = 'runs/old: a run directory, which is not read; to read its documents, add "runs/old/clean/*.parquet" to input.paths'
    for pattern, prefix in (
        (".", ""),
        ("**/*.jsonl", ""),
        (f"{tmp_path}/**/*.jsonl", f"{tmp_path}/"),
    ):
        notes: list[str] = []
        inputs, ignored = find_inputs([pattern], Path("runs/own"), notes.append)
        assert [Path(file).resolve() for file in inputs] == [tmp_path / "sub/y.jsonl", tmp_path / "x.jsonl"], pattern
        assert [Path(file).name for file in ignored] == (["config.json"] if pattern == "." else [])
        assert notes == [told.replace("runs/old", f"{prefix}runs/old")]
    notes = []
    for pattern in ("runs/old/clean/*.jsonl", "runs/*/clean/*.jsonl", "runs/old/clean", "runs/old/clean/**/*.jsonl"):
        assert find_inputs([pattern], Path("runs/own"), notes.append)[0] == ["runs/old/clean/c.jsonl"]
    assert notes == []


def test_a_run_inside_of_its_dataset_is_refused(tmp_path: Path, config_file: Path) -> None:
    config = load(config_file, ["input.paths=[]", f"input.dataset={tmp_path / 'data'}"])
    for root in (tmp_path / "data", tmp_path / "data" / "runs" / "x"):
        with pytest.raises(UserError, match=r"is inside of the dataset's folder .*/data, whose files it would change"):
            run(root, config, workers=1, engine="local", until="extract", reporter=Quiet())
    assert not (tmp_path / "data").exists()
