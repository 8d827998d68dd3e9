"""Large files cut into parts: the same rows and the same bytes, wherever the cuts are."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import Config
from pipeline.config_file import load
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.extract.inputs.archive import cut, read_records
from pipeline.report.why import raw_record, why
from pipeline.run.inputs import list_parts
from pipeline.run.run import Run, open_run
from pipeline.run.runner import run

LIMIT = 100_000


def go(root: Path, config: Config, until: str = "shards", workers: int = 1) -> tuple[Run, dict[str, int]]:
    reporter = Quiet()
    return run(root, config, workers=workers, engine="local", until=until, reporter=reporter), reporter.pending


def rows(done: Run, step: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(done.file(step, part)).replace_schema_metadata() for part in done.parts])


def products(done: Run) -> dict[str, bytes]:
    files = [file for name in ("tokenizer", "shards") for file in sorted((done.root / name).iterdir())]
    return {file.name: file.read_bytes() for file in files if file.name != ".key"}


def warc(url: str, body: bytes, kind: str = "response") -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Type: application/http\r\n"
    return f"{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def test_the_cut_changes_no_row_and_no_byte(tmp_path: Path, config_file: Path) -> None:
    whole, _ = go(tmp_path / "whole", load(config_file))
    cut_up, steps = go(tmp_path / "cut", load(config_file, ["input.part_bytes=1500B"]), workers=2)
    assert len(whole.parts) == 2
    assert len(cut_up.parts) == steps["extract"] > 6
    for step in ("extract", "language", "quality", "quality.decide", "duplicates", "clean"):
        assert rows(cut_up, step).equals(rows(whole, step)), step
    assert products(cut_up) == products(whole)
    # and `why` names the same places
    for url in ("http://a.example/11", "http://b.example/copy"):
        of_whole, of_cut = (why(run, url)[0] for run in (whole, cut_up))
        assert of_whole.record == of_cut.record
        assert of_whole.shards == of_cut.shards
        assert url.encode() in gzip.decompress(raw_record(of_cut))


def test_relative_paths_are_read_from_another_directory(
    tmp_path: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "in").mkdir(parents=True)
    (tmp_path / "there" / "in").mkdir(parents=True)
    (tmp_path / "here" / "in" / "a.txt").write_text("The words of a text.")
    monkeypatch.chdir(tmp_path / "here")
    config = load(config_file, ["input.paths=['in']"])
    done, _ = go(tmp_path / "run", config, until="extract")
    key = done.keys["extract", None]
    monkeypatch.chdir(tmp_path / "there")
    opened = open_run(tmp_path / "run")
    assert opened.directory == tmp_path / "here"
    [id_of_text] = rows(opened, "extract")["id"].to_pylist()
    [document] = why(opened, id_of_text)
    assert document.record.file == "in/a.txt"
    assert raw_record(document, opened.directory) == b"The words of a text."
    with pytest.raises(UserError, match=r"in/a\.txt: cannot be read"):
        raw_record(document)
    (tmp_path / "here").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert raw_record(document, opened.directory) == b"The words of a text."
    again, steps = go(tmp_path / "run", config, until="extract")
    assert (again.keys["extract", None], steps) == (key, {})
    assert again.directory == tmp_path / "moved"
    (tmp_path / "run" / ".directory").unlink()
    assert open_run(tmp_path / "run").directory is None


def test_another_cut_in_the_same_directory_ends_with_the_same_bytes(tmp_path: Path, config_file: Path) -> None:
    first, _ = go(tmp_path / "run", load(config_file, ["input.part_bytes=1500B"]), until="clean")
    kept = rows(first, "clean")
    files = {file.name for file in (tmp_path / "run" / "clean").iterdir()}
    again, steps = go(tmp_path / "run", load(config_file, ["input.part_bytes=4kB"]), until="clean")
    assert 2 < steps["extract"] <= len(again.parts) < len(first.parts)
    assert rows(again, "clean").equals(kept)
    assert {file.name for file in (tmp_path / "run" / "clean").iterdir()} != files


def test_a_file_that_grows_costs_its_last_part(tmp_path: Path, config_file: Path, make_archive: Any) -> None:
    pages = [(f"http://a.example/{n}", f"<p>Page {n} says hello.</p>" * 9, "200") for n in range(40)]
    archive = make_archive(tmp_path / "in" / "x.warc.gz", pages[:30])
    config = load(config_file, [f'input.paths=["{archive}"]', "input.part_bytes=2kB"])
    before, _ = go(tmp_path / "run", config, until="extract")
    make_archive(archive, pages)
    after, steps = go(tmp_path / "run", config, until="extract")
    assert len(after.parts) > len(before.parts) > 2
    assert steps == {"extract": len(after.parts) - len(before.parts) + 1}
    assert len(rows(after, "extract")) == 40


@pytest.mark.parametrize("gz", [True, False])
def test_cuts_are_starts_of_whole_records(tmp_path: Path, gz: bool) -> None:
    # an uncompressed page that shows a record's header is no place to cut; nor is a damaged record
    about = b"<pre>WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 12\r\n\r\n</pre>" * 3
    bodies = [b"a" * 700, about, b"b" * 700, about, b"c" * 700]
    records = [warc(f"http://{n}.example/", body) for n, body in enumerate(bodies)]
    pack: Callable[[bytes], bytes] = (lambda data: gzip.compress(data, mtime=0)) if gz else bytes
    pieces = [pack(record) for record in records]
    path = tmp_path / ("x.warc.gz" if gz else "x.warc")
    path.write_bytes(b"".join(pieces))
    starts = [sum(len(p) for p in pieces[:n]) for n in range(len(pieces))]
    assert cut(path, 1) == starts
    assert cut(path, sum(map(len, pieces[:2])) - 1) == [starts[0], starts[2], starts[4]]
    assert cut(path, sum(map(len, pieces)) - 1) == [0]
    whole = list(read_records(path, max_record_bytes=LIMIT))
    for size in range(1, len(path.read_bytes()), 37):
        cuts = cut(path, size)
        ranges = zip(cuts, [*cuts[1:], None], strict=True)
        assert [r for start, end in ranges for r in read_records(path, start, end, max_record_bytes=LIMIT)] == whole

    broken = pieces[2][:40] + b"\xff" * 8 + pieces[2][48:]
    path.write_bytes(b"".join([*pieces[:2], broken if gz else broken[:-300], *pieces[3:]]))
    assert not {starts[1], starts[2]} & {*cut(path, 1)}  # the damaged one, and the one that leads to it
    whole = list(read_records(path, max_record_bytes=LIMIT))
    for size in range(1, len(path.read_bytes()), 37):
        cuts = cut(path, size)
        ranges = zip(cuts, [*cuts[1:], None], strict=True)
        assert [r for start, end in ranges for r in read_records(path, start, end, max_record_bytes=LIMIT)] == whole


def test_digests_follow_the_bytes_of_a_range_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.warc.gz"
    pieces = [gzip.compress(warc(f"http://{n}.example/", bytes([65 + n]) * 500), mtime=0) for n in range(4)]
    path.write_bytes(b"".join(pieces))
    entries = list_parts([str(path)], 1, [])
    assert [(e["start"], e["size"], e["end"]) for e in entries][:2] == [
        (0, len(pieces[0]), len(pieces[0])),
        (len(pieces[0]), len(pieces[1]), len(pieces[0]) + len(pieces[1])),
    ]
    assert entries[-1]["end"] is None
    assert sum(entry["size"] for entry in entries) == path.stat().st_size
    known = [{**entry, "digest": f"known {n}"} for n, entry in enumerate(entries)]
    assert list_parts([str(path)], 1, known) == known  # an unchanged file is not read again
    assert list_parts([str(path)], 2, known) != known
    pieces[2] = gzip.compress(warc("http://2.example/", b"!" * 500), mtime=0)
    path.write_bytes(b"".join(pieces))
    changed = list_parts([str(path)], 1, known)
    assert [a["digest"] == b["digest"] for a, b in zip(entries, changed, strict=True)] == [True, True, False, True]


@pytest.mark.parametrize("size", ["0B", "many", "-1MB"])
def test_a_bad_size_is_a_user_error(config_file: Path, size: str) -> None:
    with pytest.raises(UserError, match=r"input\.part_bytes"):
        load(config_file, [f"input.part_bytes={size}"])
