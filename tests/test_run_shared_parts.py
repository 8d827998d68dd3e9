"""Small files that share a part: the same rows and the same bytes as with a part each, and the right file for each row."""

import gzip
import json
import os
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config_file import load
from pipeline.core.engines import Retry, numbered, place_of, rows_in_piece
from pipeline.core.ledger import Part, Piece
from pipeline.core.part import Origins
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.report.sample import sample
from pipeline.report.stats import stats
from pipeline.report.tokens import find_token
from pipeline.report.why import raw_record, why, why_row, why_token
from pipeline.run import inputs
from pipeline.run.inputs import FILES, SHARED, SMALL, part_numbers
from pipeline.run.open_shards import open_shards
from pipeline.run.run import Run, open_run
from pipeline.run.runner import place_in_words, run
from pipeline.stages.extract import EXTRACT

STEPS = ("extract", "language", "quality", "quality.decide", "duplicates.documents", "duplicates", "clean")


def sentences(seed: int, count: int) -> list[str]:
    """Plain English sentences, the same for a seed."""
    draw = random.Random(seed)
    nouns = (
        "river",
        "garden",
        "winter",
        "letter",
        "market",
        "window",
        "village",
        "teacher",
        "bridge",
        "kitchen",
        "paper",
    )
    patterns = [draw.sample(nouns, 5) for _ in range(count)]
    return [
        f"The {a} of the {b} has a {c} and people go to the {d} with that {e} in mind." for a, b, c, d, e in patterns
    ]


def page(seed: int) -> str:
    """A page in HTML."""
    body = "".join(f"<p>{' '.join(sentences(seed * 1000 + n, 4))}</p>\n" for n in range(4))
    return f"<html lang=en><head><title>Page {seed}</title></head><body><article>{body}</article></body></html>"


def document(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"d{number}", "url": f"http://d.example/{number}", "text": " ".join(sentences(number, 8))} | more


def lines(documents: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in documents)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, make_archive: Any) -> list[str]:
    """Files of every kind, empty and damaged ones too, and one over file://."""
    folder = tmp_path_factory.mktemp("mixed")
    pages = [(f"http://a.example/{n}", page(n), "200") for n in range(5)]
    make_archive(folder / "a.warc.gz", [*pages, ("http://a.example/lost", "gone", "404")])
    text = " ".join(sentences(50, 8)).encode()
    head = "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://w.example/\r\nContent-Type: text/plain\r\n"
    whole = f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text + b"\r\n\r\n"
    (folder / "b.wet").write_bytes(whole + whole[:-40])  # the second one is truncated
    (folder / "c.jsonl").write_bytes(lines([document(1), document(2)]) + b"no JSON\n" + lines([document(3, text=7)]))
    (folder / "d.jsonl").write_bytes(b"")
    (folder / "e.jsonl.gz").write_bytes(gzip.compress(lines(document(n) for n in range(10, 14)), mtime=0))
    rows = [document(20), document(2, id="copy"), document(21)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "f.parquet", row_group_size=2)
    (folder / "g.jsonl").write_bytes(lines([document(30), document(30, id="d30b"), document(31)]))
    make_archive(folder / "h.warc.gz", [("http://h.example/", page(3), "200"), ("http://h.example/2", page(60), "200")])
    names = [str(folder / name) for name in ("a.warc.gz", "b.wet", "c.jsonl", "d.jsonl", "e.jsonl.gz", "f.parquet")]
    return [*names, f"file://{folder}/g.jsonl", str(folder / "h.warc.gz")]


def go(root: Path, config_file: Path, paths: list[str], *sets: str, until: str = "shards", workers: int = 1) -> Run:
    common = [f"input.paths={json.dumps(paths)}", "input.part_bytes=256MB", *sets]
    return run(root, load(config_file, common), workers=workers, engine="local", until=until, reporter=Quiet())


def rows(done: Run, step: str) -> list[dict[str, Any]]:
    return [row for part in done.parts for row in pq.read_table(done.file(step, part)).to_pylist()]


def products(done: Run) -> dict[str, bytes]:
    files = [file for name in ("tokenizer", "shards") for file in sorted((done.root / name).iterdir())]
    return {file.name: file.read_bytes() for file in files if file.name != ".key"}


def one_part(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No file's path ends a part by chance."""
    monkeypatch.setattr(inputs, "part_numbers", lambda entries, part_bytes: [0] * len(entries))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, config_file: Path, mixed: list[str]) -> tuple[Run, Run]:
    """The run with a part for each file, and the one in which all of them share one."""
    folder = tmp_path_factory.mktemp("runs")
    sets = ['duplicates.keep=["file */h.*", "longest"]', 'mask.kinds=["email"]']
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "SMALL", 1 << 60)
        alone = go(folder / "alone", config_file, mixed, *sets)
    with pytest.MonkeyPatch.context() as patch:
        one_part(mixed, patch)
        shared = go(folder / "shared", config_file, mixed, *sets)
    assert (len(alone.parts), len(shared.parts)) == (8, 1)
    return alone, shared


def test_sharing_changes_no_row_and_no_byte(both: tuple[Run, Run]) -> None:
    alone, shared = both
    for step in STEPS:
        assert rows(shared, step) == rows(alone, step), step
    assert products(shared) == products(alone)
    extracted = rows(shared, "extract")
    problems = {rule for row in extracted for rule in row["dropped"]}
    assert problems == {"http_status", "truncated", "bad_record", "empty_text"} & problems
    assert {"http_status", "truncated", "bad_record"} <= problems
    assert stats(shared).stages[0].rules == stats(alone).stages[0].rules
    assert stats(shared).kept == stats(alone).kept > 10
    copies = {row["cluster"] for row in rows(shared, "clean") if row["cluster_size"] > 1}
    assert len(copies) == 3  # in one file, and over two files; h.warc.gz goes first


def test_two_workers_and_chance_ends_write_the_same(
    tmp_path: Path, config_file: Path, mixed: list[str], both: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, _ = both
    sets = ['duplicates.keep=["file */h.*", "longest"]', 'mask.kinds=["email"]']
    monkeypatch.setattr(inputs, "part_numbers", lambda entries, part_bytes: [0, 0, 0, 1, 1, 1, 1, 2])
    done = go(tmp_path / "two", config_file, mixed, *sets, workers=2)
    assert len(done.parts) == 3
    assert {step: rows(done, step) for step in STEPS} == {step: rows(alone, step) for step in STEPS}
    assert products(done) == products(alone)


def test_every_row_names_its_file(both: tuple[Run, Run], mixed: list[str]) -> None:
    alone, shared = both
    places = [(part, row) for part in shared.parts for row in range(len(rows(shared, "extract")))]
    expected = [why_row(alone, part, row) for part in alone.parts for row in range(rows_of(alone, part))]
    assert len(places) == len(expected) == 24
    for place, other in zip(places, expected, strict=True):
        told = why_row(shared, *place)
        assert replace(told, clean=None) == replace(other, clean=None)
        assert (told.clean is None) == (other.clean is None)
        if told.record.file.endswith((".gz", ".wet", ".jsonl")) and told.record.length:
            assert raw_record(told) == raw_record(other)
    assert {other.record.file for other in expected} == {*mixed} - {mixed[3]}  # which has no record
    for rule in (None, "extract.bad_record", "duplicates"):
        sampled = [[why_row(run, *place).record for place in sample(run, rule, 9)] for run in both]
        assert sampled[0] == sampled[1]
    [copy] = why(shared, "copy")
    assert (copy.record.file, copy.record.row) == (mixed[5], 1)


def rows_of(done: Run, part: Part) -> int:
    return int(pq.read_metadata(done.file("extract", part)).num_rows)


def test_every_token_names_its_document(both: tuple[Run, Run], mixed: list[str]) -> None:
    _, shared = both
    opened, _ = open_shards(shared)
    seen = set()
    for position in range(0, opened.splits["train"].tokens, 53):
        place = find_token(shared, "train", position)
        told = why_token(shared, place)
        assert told.record.id == place.document.id
        assert mixed[place.document.file] == told.record.file
        assert told.shards
        assert told.shards.file == place.document.file
        seen.add(told.record.file)
    assert len(seen) > 5
    with pytest.raises(IndexError, match="input file 3 has no such row"):
        shared.locate(3, 0)
    with pytest.raises(IndexError, match="input file 8 has no such row"):
        shared.locate(8, 0)
    assert shared.locate(7, 1)[1] == 23


@pytest.mark.parametrize(("piece", "row"), [(0, 2), (2, 0), (2, 4), (5, 1), (5, 2), (7, 0)])
@pytest.mark.parametrize("field", ["skip", "unread"])
def test_a_row_that_kills_its_worker_costs_no_other_file(
    both: tuple[Run, Run], tmp_path: Path, piece: int, row: int, field: str
) -> None:
    """What the step does with a row that an engine names: the rows of a part each, and of the shared part."""
    alone, shared = both

    def extract(done: Run, part: Part, number: int) -> list[dict[str, Any]]:
        files = done.part_files(EXTRACT, part)
        files = replace(files, folders={"extract": tmp_path})
        retry = Retry(**{field: frozenset({number})}, row_by_row=True)
        EXTRACT.run(files, done.options["extract"], lambda row, units: None, retry)
        return pq.read_table(files.out).to_pylist()  # type: ignore[no-any-return]

    expected: list[dict[str, Any]] = []
    for number, part in enumerate(alone.parts):
        untouched = pq.read_table(alone.file("extract", part)).to_pylist()
        expected += extract(alone, part, row) if number == piece else untouched
    assert extract(shared, shared.parts[0], numbered(piece, row)) == expected
    crashed = [row for row in expected if "crashed" in row["dropped"]]
    assert len(crashed) == (field == "unread" or (piece, row) != (2, 4))  # reading the end: no row to skip


def test_numbers_of_rows_tell_the_end_of_a_file_from_the_next_one() -> None:
    assert numbered(0, 5) == 5
    assert place_of(numbered(3, 7)) == (3, 7)
    numbers = frozenset({numbered(0, 5), numbered(1, 0), numbered(1, 4)})
    assert [rows_in_piece(numbers, piece) for piece in range(3)] == [{5}, {0, 4}, frozenset()]
    assert max(numbers) == numbered(1, 4) > numbered(0, 1 << 39)


def test_messages_name_the_file(both: tuple[Run, Run], mixed: list[str]) -> None:
    _, shared = both
    part = shared.parts[0]
    assert part.title == f"{mixed[0]} and 7 more"
    assert place_in_words(part, None, numbered(2, 3)) == f"record 3 of {mixed[2]}"
    extracted = shared.file("extract", part)
    assert place_in_words(part, extracted, 9) == f"record 1 of {mixed[2]}"
    origins = Origins.of(part, extracted, 0)
    assert [origins.place(n)[1] for n in range(10)] == [0, 1, 2, 3, 4, 5, 0, 1, 0, 1]
    assert origins.row_in_part(2, 1) == 9


def test_a_file_that_changes_or_vanishes_is_noticed(
    tmp_path: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(tmp_path / f"{n}.jsonl") for n in range(4)]
    for n, path in enumerate(paths):
        Path(path).write_bytes(lines([document(n)]))
    one_part(paths, monkeypatch)
    before = go(tmp_path / "run", config_file, paths, until="language")
    Path(paths[2]).write_bytes(lines([document(9)]))
    os.utime(paths[2], ns=(1, 1))
    after = go(tmp_path / "run", config_file, paths, until="language")
    assert [row["id"] for row in rows(after, "extract")] == ["d0", "d1", "d9", "d3"]
    assert before.parts[0].name != after.parts[0].name
    assert len(list((tmp_path / "run" / "ledger" / "extract").iterdir())) == 1
    files = after.part_files(EXTRACT, after.parts[0])
    Path(paths[1]).unlink()
    with pytest.raises(UserError, match=r"1\.jsonl: cannot be read \(No such file"):
        EXTRACT.run(files, after.options["extract"], lambda row, units: None, Retry())
    with pytest.raises(UserError, match=r"1\.jsonl: no such file"):
        go(tmp_path / "run", config_file, paths, until="language")


def test_a_bug_in_one_file_is_told_with_its_name(
    both: tuple[Run, Run], mixed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipeline.extract.page as rows_of_records

    def judge(row: Any, record: Any, options: Any) -> None:
        if row.id == "d2":
            raise KeyError("a bug")

    monkeypatch.setattr(rows_of_records, "_judge", judge)
    _, shared = both
    files = shared.part_files(EXTRACT, shared.parts[0])
    with pytest.raises(KeyError) as error:
        EXTRACT.run(files, shared.options["extract"], lambda row, units: None, Retry())
    assert error.value.__notes__ == [f"while reading {mixed[2]}"]


def test_a_run_from_before_opens(both: tuple[Run, Run], tmp_path: Path) -> None:
    """Parts were not named in parts.json: each entry is a part."""
    alone, _ = both
    written = json.loads((alone.root / "parts.json").read_text())
    old = [{name: value for name, value in entry.items() if name != "part"} for entry in written]
    (tmp_path / "parts.json").write_text(json.dumps(old))
    (tmp_path / "config.json").write_bytes((alone.root / "config.json").read_bytes())
    assert open_run(tmp_path).parts == alone.parts
    assert open_run(tmp_path).keys == alone.keys


def entry(path: str, size: int, start: int = 0, end: int | None = None) -> dict[str, Any]:
    return {"path": path, "size": size, "start": start, "end": end}


def test_only_small_whole_files_share() -> None:
    part_bytes = 1000 * SMALL
    small, large = entry("a", 999), entry("b", 1000)
    assert part_numbers([small, large, large], part_bytes) == [0, 1, 2]
    cut = [entry("c", 10, 0, 10), entry("c", 10, 10)]
    assert part_numbers(cut, part_bytes) == [0, 1]
    assert part_numbers([], part_bytes) == []


def test_a_shared_part_is_bounded() -> None:
    part_bytes = 1000 * SMALL
    most = part_bytes // SHARED
    entries = [entry(f"crawl/{n}", 900) for n in range(2000)]
    numbers = part_numbers(entries, part_bytes)
    sizes = [900 * numbers.count(number) for number in range(numbers[-1] + 1)]
    assert numbers == sorted(numbers)
    assert max(sizes) <= most
    assert most / 4 < sum(sizes) / len(sizes) < most
    empty = part_numbers([entry(f"{n}", 0) for n in range(20_000)], part_bytes)
    assert 20_000 / FILES < empty[-1] + 1 < 8 * 20_000 / FILES
    assert part_numbers([entry("a", 0)] * 3, 1) == [0, 1, 2]  # there is no room at all


def test_a_new_file_changes_the_part_that_it_comes_into() -> None:
    part_bytes = 1000 * SMALL
    entries = [entry(f"crawl/{n}", 900) for n in range(2000)]

    def parts(chosen: list[dict[str, Any]]) -> set[tuple[str, ...]]:
        found: dict[int, list[str]] = {}
        for number, one in zip(part_numbers(chosen, part_bytes), chosen, strict=True):
            found.setdefault(number, []).append(one["path"])
        return {tuple(paths) for paths in found.values()}

    before = parts(entries)
    for position in (0, 700, 2000):
        after = parts([*entries[:position], entry("new", 900), *entries[position:]])
        assert len(after - before) <= 3
        assert len(before) > 200


def test_a_part_has_the_name_of_its_first_file() -> None:
    pieces = (Piece("in/a b.jsonl", 1, "0" * 32), Piece("in/c.jsonl", 2, "1" * 32, file=1))
    one, two = Part(0, pieces[:1]), Part(0, pieces)
    assert (one.digest, one.size, one.title) == ("0" * 32, 1, "in/a b.jsonl")
    assert one.name.startswith("a_b.jsonl-00000000")
    assert (two.size, two.title) == (3, "in/a b.jsonl and 1 more")
    assert two.name.startswith("a_b.jsonl-and-1-more-")
    assert len({one.digest, two.digest, Part(0, pieces[::-1]).digest}) == 3
