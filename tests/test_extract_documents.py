"""Tables of documents as input: the same ledger rows, from every kind of file."""

import bz2
import gzip
import json
import lzma
import random
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.config_file import load
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.extract.inputs import parquet_tables, sources
from pipeline.extract.inputs.archive import Record
from pipeline.extract.inputs.datasets_input import open_dataset
from pipeline.extract.inputs.documents import check_columns
from pipeline.extract.inputs.json_lines import check_lines, cut_lines
from pipeline.extract.inputs.parquet_tables import cut_table
from pipeline.extract.inputs.sources import find_inputs, kind, raw_bytes, read
from pipeline.extract.options import Columns, Dataset, ExtractOptions
from pipeline.extract.page import Row, rows
from pipeline.report.why import why
from pipeline.run.run import Run
from pipeline.run.runner import run

LIMIT = 10_000
ROWS: list[dict[str, Any]] = [
    {
        "id": f"doc-{n}",
        "url": f"http://a.example/{n}",
        "date": "2026-01-01",
        "title": f"T{n}",
        "text": f"Grüße {n}\r\n世",
    }
    for n in range(40)
]
LINES = [json.dumps(row, ensure_ascii=n % 2 == 0).encode() for n, row in enumerate(ROWS)]


def ledger(path: Path, start: int = 0, end: int | None = None, columns: Columns | None = None) -> list[Row]:
    records = read(str(path), start, end, columns=columns or Columns(), max_record_bytes=LIMIT)
    return list(rows(records, ExtractOptions(extractor="resiliparse", max_record_bytes=LIMIT), archive=path))


def write(path: Path, data: bytes) -> Path:
    packers: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.compress,
        ".zst": zstandard.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
    }
    path.write_bytes(packers.get(path.suffix, bytes)(data))
    return path


def parquet(path: Path, values: list[dict[str, Any]], group: int = 7) -> Path:
    pq.write_table(pa.Table.from_pylist(values), path, row_group_size=group)
    return path


@pytest.mark.parametrize(
    "name", ["x.jsonl", "x.jsonl.gz", "x.json", "x.json.zst", "x.jsonl.bz2", "x.json.xz", "x.parquet"]
)
def test_documents_become_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "x.parquet":
        parquet(path, ROWS)
    else:
        write(path, b"\n".join([*LINES[:3], b"", b"  ", *LINES[3:]]))
    found = ledger(path)
    assert [(r.id, r.url, r.date, r.title) for r in found] == [(r["id"], r["url"], r["date"], r["title"]) for r in ROWS]
    assert [r.text for r in found] == [f"Grüße {n}\n世" for n in range(40)]
    assert {r.record_type for r in found} == {"document"}
    assert not any(r.dropped for r in found)
    if name == "x.parquet":
        assert [(r.offset, r.length) for r in found] == [(n, 0) for n in range(40)]
        with pytest.raises(UserError, match="has no bytes of its own"):
            raw_bytes(str(path), found[3].offset, found[3].length)
    else:
        assert [json.loads(raw_bytes(str(path), r.offset, r.length)) for r in found] == ROWS


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet"])
def test_any_cut_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "x.parquet":
        parquet(path, ROWS)
    else:
        write(path, b"\n".join(LINES) + b"\n")
    whole = ledger(path)
    seen = set()
    for size in range(1, path.stat().st_size + 1, 97):
        cuts = cut_lines(path, size) if name == "x.jsonl" else cut_table(path, size)
        seen.add(len(cuts))
        assert [row for a, b in zip(cuts, [*cuts[1:], None], strict=True) for row in ledger(path, a, b)] == whole
    assert max(seen) == (40 if name == "x.jsonl" else 6)
    assert cut_lines(write(tmp_path / "x.jsonl.gz", b"\n".join(LINES)), 10) == [0]
    if name == "x.jsonl":  # wherever a range begins, a line belongs to the one it starts in
        for at in range(1, 400, 3):
            assert ledger(path, 0, at) + ledger(path, at) == whole


def test_columns_have_the_names_that_the_user_says(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "x.parquet",
        [
            {
                "body": "<p>The harbour was quiet in the morning, and boats lay along the wall.</p>",
                "link": "u",
                "raw": "Hi",
                "n": 7,
            }
        ],
    )
    [row] = ledger(path, columns=Columns(text="raw", url="link", id="n"))
    assert (row.text, row.url, row.id, row.title) == ("Hi", "u", "7", None)
    [row] = ledger(path, columns=Columns(html="body", url="link"))
    assert row.text == "The harbour was quiet in the morning, and boats lay along the wall."
    assert row.content_type == "text/html; charset=utf-8"
    with pytest.raises(UserError, match=r"x\.parquet: no column 'text'; set input\.text to one of body, link, raw, n"):
        ledger(path)
    with pytest.raises(UserError, match=r"no column 'page'; set input\.html"):
        ledger(path, columns=Columns(html="page"))


KEPT = Columns(keep_columns=("stars", "meta.licence", "tags", "*"))
ODD: list[tuple[dict[str, Any], tuple[str | None, ...]]] = [
    ({"stars": 7, "meta": {"licence": "MIT"}, "tags": ["a", "ü"]}, ("7", "MIT", '["a", "ü"]', "{}")),
    ({"stars": 7.5, "meta": {"licence": "", "n": 1}}, ("7.5", "", None, '{"meta": {"n": 1}}')),
    ({"stars": "7", "tags": {"a": None}, "more": True}, ("7", None, '{"a": null}', '{"more": true}')),
    ({"stars": False, "meta": "text"}, ("false", None, None, '{"meta": "text"}')),
    ({"stars": None, "meta": {}, "tags": "\ud800"}, (None, None, "", '{"meta": {}}')),
    ({"stars": float("nan")}, (None, None, None, "{}")),
]


def test_kept_columns_are_text_whatever_their_type(tmp_path: Path) -> None:
    lines = [json.dumps({"text": "x", "id": "1", **values}) for values, _ in ODD]
    path = write(tmp_path / "x.jsonl", "\n".join(lines).encode())
    assert [row.kept for row in ledger(path, columns=KEPT)] == [kept for _, kept in ODD]
    whole = ledger(path, columns=KEPT)
    for at in range(1, path.stat().st_size, 7):
        assert ledger(path, 0, at, KEPT) + ledger(path, at, columns=KEPT) == whole
    [row] = ledger(write(tmp_path / "y.jsonl", b"not JSON"), columns=KEPT)
    assert (row.kept, row.dropped) == ((), ["bad_record"])


def test_kept_columns_of_tables(tmp_path: Path) -> None:
    values = {
        "stars": pa.array([10**12], pa.int64()),
        "meta": pa.array([{"licence": "MIT", "day": date(2026, 1, 2)}]),
        "tags": pa.array([[1.5, float("inf")]]),
        "price": pa.array([Decimal("1.50")]),
        "raw": pa.array([b"\xff"]),
        "far": pa.array([2**62], pa.timestamp("us")),
    }
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["x"], **values}), path)
    [row] = ledger(path, columns=KEPT)
    rest = {"meta": {"day": "2026-01-02"}, "price": "1.50", "raw": None, "far": None}
    assert row.kept[:3] == ("1000000000000", "MIT", "[1.5, null]")
    assert json.loads(row.kept[3] or "") == rest
    [row] = ledger(path, columns=Columns(keep_columns=("meta.day", "absent")))
    assert row.kept == ("2026-01-02", None)
    csv = write(tmp_path / "x.csv", b"text,stars,b\nx,007,\n")
    assert [row.kept for row in ledger(csv, columns=KEPT)] == [("007", None, None, '{"b": null}')]


def prose(seed: int) -> str:
    """A hundred words that pass the rules of the small config and resemble no other seed's."""
    words = ("the", "of", "and", "river", "stone", "garden", "window", "bread", "morning", "quiet", "light", "house")
    return " ".join(random.Random(seed).choices(words, k=100)) + "."


def test_kept_columns_reach_clean_and_rules(tmp_path: Path, config_file: Path) -> None:
    values = [
        {"text": prose(n), "id": str(n), "stars": n if n else None, "meta": {"licence": f"L{n}"}, "b": n}
        for n in range(12)
    ]
    path = parquet(tmp_path / "x.parquet", values, group=3)
    other = tmp_path / "y.jsonl"
    other.write_text(json.dumps({"text": prose(99), "id": "99", "stars": "many"}) + "\n")
    sets = [f"input.paths={[str(path), str(other)]}", 'input.keep_columns=["stars", "meta.licence"]']
    sets += ["input.part_bytes=300", "quality.input_stars.min=4"]
    config = load(config_file, sets)
    for workers in (1, 2):
        root = tmp_path / f"run-{workers}"
        done = run(root, config, workers=workers, engine="local", until="clean", reporter=Quiet())
        tables = [pq.read_table(done.file("clean", part)) for part in done.parts]
        assert len({str(table.schema.remove_metadata()) for table in tables}) == 1
        rows = pa.concat_tables([table.replace_schema_metadata() for table in tables])
        kept = {row["id"]: (row["input_stars"], row["input_meta_licence"]) for row in rows.to_pylist()}
        assert kept == {"0": (None, "L0"), "99": ("many", None)} | {str(n): (str(n), f"L{n}") for n in range(4, 12)}
    [found] = why(done, "3")
    assert found.record.kept == {"input_stars": "3", "input_meta_licence": "L3"}
    [failed] = next(stage.dropped for stage in found.stages if stage.dropped)
    assert (failed.rule, failed.value, failed.bound) == ("quality.input_stars.min", "3", "min = 4")
    with pytest.raises(UserError, match=r"quality\.input_b: unknown signal; .* add it to input\.keep_columns \('b'\)"):
        load(config_file, [*sets, "quality.input_b.min=4"])
    quiet = Quiet()
    config = load(config_file, [*sets[:3], "quality.input_meta_licence.min=4", "quality.input_stars.min=4"])
    run(tmp_path / "text", config, workers=1, engine="local", until="quality", reporter=quiet)
    said = "quality.input_meta_licence: no row has a number there, so the rule drops nothing"
    assert [note for note in quiet.notes if "no row has a number" in note] == [said]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.b", "c", "a_b"], "input.keep_columns: 'a.b' and 'a_b' have one name in clean/"),
        (["a", "a"], "input.keep_columns: 'a' is named twice"),
        ([""], "input.keep_columns: the name of a column is needed, not ''"),
    ],
)
def test_names_of_kept_columns_that_cannot_be(config_file: Path, names: list[str], words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        load(config_file, [f"input.keep_columns={json.dumps(names)}"])


def test_columns_that_are_lost_are_named() -> None:
    names = ["id", "text", "stars", "meta", "meta.url", "meta.n", "tags", "tags.a"]
    [line] = check_columns("x", names, Columns(url="meta.url"))
    keep = 'input.keep_columns = ["stars"] carries that one into clean/, ["*"] all of them'
    assert line == f"columns that are not kept: stars, meta.n, tags (of x); {keep}"
    assert check_columns("x", names, Columns(keep_columns=("stars",))) == []
    assert check_columns("x", names[:2], Columns()) == []
    [line] = check_columns("x", names, Columns(keep_columns=("star", "*", "meta.n")))
    assert line == "input.keep_columns 'star': no such column (did you mean stars?) in x"


def test_bad_lines_are_counted_rows(tmp_path: Path) -> None:
    lines = [
        b'{"text": "good"}',
        b'{"text": "cut',
        b'["a", "list"]',
        b'{"text": 7}',
        b'{"text": null}',
        b'{"title": "no text"}',
        b'{"text": " "}',
        json.dumps({"text": "x" * LIMIT}).encode(),
        json.dumps({"text": "x" * (LIMIT + 1)}).encode(),
        b'{"text": "' + b"x" * 200_000 + b'"}',
        b"\xff\xfe",
        b'{"text": "\\ud800lone"}',
        b"[" * 5000,
    ]
    for name in ("x.jsonl", "x.jsonl.gz", "x.jsonl.zst"):
        found = ledger(write(tmp_path / name, b"\n".join(lines)))
        assert [r.dropped for r in found] == [
            [], ["bad_record"], ["bad_record"], ["bad_record"], ["empty_text"], ["empty_text"], ["empty_text"], [],
            ["too_large"], ["too_large"], ["bad_record"], [], ["bad_record"],
        ]  # fmt: skip
        assert found[3].detail == "text is a number, not text"
        assert [row.detail for row in found[4:7]] == ["text has no value", "there is no text", None]
        assert found[11].text == "lone"
        assert len({r.id for r in found}) == len(found)  # without ids of their own


@pytest.mark.parametrize(("name", "reason"), [("x.jsonl.gz", "truncated"), ("x.jsonl.zst", "truncated")])
def test_a_compressed_file_that_ends_early_is_a_row_behind_what_is_there(
    tmp_path: Path, name: str, reason: str
) -> None:
    path = write(tmp_path / name, b"\n".join(LINES * 50))
    path.write_bytes(path.read_bytes()[:-20])
    found = ledger(path)
    assert [r.dropped for r in found if r.dropped] == [[reason]]
    assert found[-1].dropped == [reason]
    path.write_bytes(b"not compressed at all")
    assert [r.dropped for r in ledger(path)] == [["bad_coding"]]


@pytest.mark.parametrize(
    ("after", "reason"),
    [(b"\n", None), (b"\r\n" * 3, None), (b"\0" * 512, None), (b"no gzip member" * 3, "bad_coding")],
)
def test_bytes_behind_the_last_gzip_member(tmp_path: Path, after: bytes, reason: str | None) -> None:
    path = write(tmp_path / "x.jsonl.gz", b"\n".join(LINES))
    path.write_bytes(path.read_bytes() + after)
    found = ledger(path)
    assert [row.dropped for row in found if row.dropped] == ([[reason]] if reason else [])
    assert [row.id for row in found if not row.dropped] == [row["id"] for row in ROWS[: 39 if reason else 40]]


def test_damaged_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", ROWS)
    data = bytearray(path.read_bytes())
    with pq.ParquetFile(path) as file:
        texts = file.metadata.row_group(1).column(4)
    at = texts.dictionary_page_offset or texts.data_page_offset
    data[at : at + 60] = b"\xff" * 60
    path.write_bytes(data)
    found = ledger(path)
    assert [len(r.dropped) for r in found] == [0] * 7 + [1] + [0] * 26
    assert (found[7].dropped, found[7].offset) == (["bad_record"], 7)
    assert found[8].id == "doc-14"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(UserError, match=r"x\.parquet: cannot be read as Parquet"):
        kind(str(path))


def test_what_cannot_be_read_without_dying_is_one_row(tmp_path: Path) -> None:
    """Parquet: the rest of a row group from the start of a batch on, else the row. Other files: the rest of the part."""
    values = [{"text": f"document {n}"} for n in range(16)]
    table = parquet(tmp_path / "a.parquet", values)
    lines = write(tmp_path / "a.jsonl", b"".join(json.dumps(value).encode() + b"\n" for value in values))

    def summary(path: Path, *unread: int) -> list[str]:
        records = read(str(path), 0, None, columns=Columns(), max_record_bytes=10_000, unread=frozenset(unread))
        return [
            (row.text or "").removeprefix("document ") or f"{row.dropped} {row.offset} {row.detail}"
            for row in rows(records, ExtractOptions(), archive="a", skip=frozenset({1}))
        ]

    first, others = ["0", "['crashed'] %d None"], [str(n) for n in range(7, 16)]
    row_3 = "['crashed'] 3 reading the row kills the worker"
    assert summary(table, 3) == [first[0], first[1] % 1, "2", row_3, "4", "5", "6", *others]
    row_0, row_7 = (
        f"['crashed'] {7 * n} row group {n}: reading it from row {7 * n} on kills the worker" for n in (0, 1)
    )
    assert summary(table, 0) == [row_0, "['crashed'] 7 None", *others[1:]]  # row 7 is record 1 now
    assert summary(table, 7) == [first[0], first[1] % 1, *"23456", row_7, "14", "15"]
    rest = "['crashed'] %d reading the rest of the part kills the worker"
    size = len(json.dumps(values[0])) + 1
    assert summary(lines, 3, 5) == [first[0], first[1] % size, "2", rest % (3 * size)]
    assert summary(lines, 0) == [rest % 0]


def test_a_directory_of_archives_keeps_its_lists_out(tmp_path: Path) -> None:
    for name in ("a/x.warc.gz", "a/index.jsonl", "b/x.jsonl", "b/y.parquet", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found, ignored = find_inputs([str(tmp_path / "a"), str(tmp_path / "b")])
    assert [Path(p).name for p in found] == ["x.warc.gz", "x.jsonl", "y.parquet"]
    assert [Path(p).name for p in ignored] == ["index.jsonl", "notes.txt"]
    assert [Path(p).name for p in find_inputs([str(tmp_path / "a" / "index.jsonl")])[0]] == ["index.jsonl"]


def test_wet_is_text_as_it_stands() -> None:
    record = Record(
        "conversion", url="http://a.example/", content_type="text/plain", body="Zwölf <b>Boxkämpfer</b>\n".encode()
    )
    [row] = rows([record], ExtractOptions(), archive="x.wet")
    assert (row.text, row.dropped) == ("Zwölf <b>Boxkämpfer</b>", [])
    [row] = rows([record], ExtractOptions(record_types=("response",)), archive="x.wet")
    assert row.dropped == ["record_type"]


def go(root: Path, config_file: Path, *sets: str) -> tuple[Run, list[dict[str, Any]]]:
    done = run(root, load(config_file, list(sets)), workers=1, engine="local", until="extract", reporter=Quiet())
    return done, [row for part in done.parts for row in pq.read_table(done.file("extract", part)).to_pylist()]


def test_a_dataset_is_read_shard_by_shard(tmp_path: Path, config_file: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="an extra")
    folder = tmp_path / "data"
    folder.mkdir()
    for n in range(2):
        parquet(folder / f"train-{n}.parquet", ROWS[n * 20 : n * 20 + 20])
    assert open_dataset(Dataset(dataset=str(folder))).num_shards == 2
    sets = ["input.paths=[]", f"input.dataset={folder}"]
    done, found = go(tmp_path / "run", config_file, *sets)
    assert [(piece.path, piece.start) for part in done.parts for piece in part.pieces] == [
        (f"dataset:{folder}", 0),
        (f"dataset:{folder}", 1),
    ]
    assert [(row["id"], row["url"], row["text"]) for row in found] == [
        (row["id"], row["url"], row["text"].replace("\r", "")) for row in ROWS
    ]
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    _, saved = go(tmp_path / "run2", config_file, "input.paths=[]", f"input.dataset={tmp_path / 'saved'}")
    assert [row["text"] for row in saved] == [row["text"] for row in found]
    with pytest.raises(UserError, match="holds a run over other input"):
        go(tmp_path / "run", config_file, "input.paths=[]", f"input.dataset={tmp_path / 'saved'}")
    with pytest.raises(UserError, match=r"input\.dataset: .*nowhere: cannot be loaded"):
        go(tmp_path / "run3", config_file, "input.paths=[]", f"input.dataset={tmp_path / 'nowhere'}")
    with pytest.raises(UserError, match="no column 'words'; set input.text to one of id, url"):
        go(tmp_path / "run4", config_file, *sets, "input.text=words")


def seconds(*values: int | None, unit: str = "s", zone: str | None = None) -> pa.Array:
    return pa.array(values, pa.int64()).view(pa.timestamp(unit, zone))


OUT_OF_RANGE = "date: a value cannot be read: "
YEAR_1, YEAR_10000 = -62_135_596_800, 253_402_300_800  # seconds since 1970


@pytest.mark.parametrize(
    ("column", "dates", "detail"),
    [
        (seconds(YEAR_10000 - 1, YEAR_10000), ["9999-12-31T23:59:59", None], f"{OUT_OF_RANGE}date value out of range"),
        (seconds(YEAR_1, YEAR_1 - 1), ["0001-01-01T00:00:00", None], OUT_OF_RANGE),
        (seconds(0, 2**60, unit="us"), ["1970-01-01T00:00:00", None], OUT_OF_RANGE),
        (seconds(None, 1, zone="No/Zone"), [None, None], f"{OUT_OF_RANGE}'No/Zone'"),
        (seconds(1, 1001, unit="ns"), ["1970-01-01T00:00:00", "1970-01-01T00:00:00.000001"], None),
        (seconds(None, 1, unit="ns", zone="UTC"), [None, "1970-01-01T00:00:00+00:00"], None),
        (pa.array([2_932_896, 2_932_897], pa.int32()).view(pa.date32()), ["9999-12-31", None], OUT_OF_RANGE),
        (pa.array([0, YEAR_10000 * 1000], pa.int64()).view(pa.date64()), ["1970-01-01", None], OUT_OF_RANGE),
        (pa.array([1, 2**62], pa.duration("s")), ["0:00:01", None], OUT_OF_RANGE),
        (pa.array([1, 1001], pa.duration("ns")), ["0:00:00", "0:00:00.000001"], None),
        (pa.array([1, 1001], pa.time64("ns")), ["00:00:00", "00:00:00.000001"], None),
        (pa.nulls(2), [None, None], None),
        (pa.array([b"2026", b"\xff"]), ["2026", None], "date: not UTF-8: invalid start byte"),
        (pa.array([1.5, float("nan")]), ["1.5", None], None),
        (pa.array([True, None]), ["True", None], None),
        (pa.array([[7], []]), [None, None], "date: a list, not text"),
    ],
)
@pytest.mark.parametrize("pandas", [True, False])
def test_odd_values_leave_their_row(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    column: pa.Array,
    dates: list[str],
    detail: str | None,
    pandas: bool,
) -> None:
    if not pandas:
        monkeypatch.setattr(
            "pyarrow.lib._pandas_api", SimpleNamespace(have_pandas=False, is_array_like=lambda _: False)
        )
    pq.write_table(pa.table({"text": ["a", "b"], "date": column}), tmp_path / "x.parquet")
    found = ledger(tmp_path / "x.parquet")
    assert [(row.text, row.dropped) for row in found] == [("a", []), ("b", [])]
    assert [row.date for row in found] == dates
    assert (found[1].detail or "").startswith(detail or "")
    assert (found[1].detail is None) == (detail is None)


def test_odd_texts_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    for column, texts, detail in (
        (pa.array([b"a", b"\xff"]), ["a", None], "text: not UTF-8: invalid start byte"),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"], None),
        (seconds(0, YEAR_10000), [None, None], OUT_OF_RANGE.replace("date", "text")),
    ):
        pq.write_table(pa.table({"text": column}), path)
        found = ledger(path)
        assert [row.text for row in found] == texts
        assert [row.dropped for row in found] == [[] if text else ["bad_record"] for text in texts]
        assert (found[1].detail or "").startswith(detail or "")
    inner = pa.StructArray.from_arrays([pa.array(["a", "b"]), seconds(0, YEAR_10000)], ["text", "date"])
    pq.write_table(pa.table({"inner": inner}), path)
    found = ledger(path, columns=Columns(text="inner.text", date="inner.date"))
    assert [(row.text, row.date) for row in found] == [("a", "1970-01-01T00:00:00"), ("b", None)]


def test_tables_without_text(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": pa.nulls(2)}), path)
    assert [row.dropped for row in ledger(path)] == [["empty_text"]] * 2
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    assert ledger(path) == []
    pq.write_table(pa.table({}), path)
    with pytest.raises(UserError, match="no column 'text'; the file has no columns"):
        ledger(path)


DOLMA = {"id": "d1", "text": "Hi", "metadata": {"url": "http://a.example/", "page": {"title": "T"}}, "added": "2026"}
TOO = {"content": "Hi", "meta.url": "flat", "meta": {"url": "nested", "doc": {"body": "Body"}}}


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.parquet"])
def test_nested_columns(tmp_path: Path, name: str) -> None:
    def read_one(row: dict[str, Any], columns: Columns) -> tuple[Any, ...]:
        path = tmp_path / name
        if name.endswith(".parquet"):
            parquet(path, [row])
        else:
            write(path, json.dumps(row).encode() + b"\n")
        [found] = ledger(path, columns=columns)
        return found.text, found.url, found.title, found.date

    columns = Columns(url="metadata.url", title="metadata.page.title", date="added")
    assert read_one(DOLMA, columns) == ("Hi", "http://a.example/", "T", "2026")
    assert read_one(TOO, Columns(text="meta.doc.body", url="meta.url")) == ("Body", "flat", None, None)
    assert read_one(TOO, Columns(text="meta.doc.body", url="meta.none", title="content.x"))[1:3] == (None, None)


def test_a_part_of_a_dataset_may_have_no_rows(tmp_path: Path, config_file: Path) -> None:
    pytest.importorskip("datasets", reason="an extra")
    (tmp_path / "data").mkdir()
    table = pa.Table.from_pylist(ROWS[:5])
    with pq.ParquetWriter(tmp_path / "data" / "a.parquet", table.schema) as file:
        for rows_of_group in (0, 3, 0, 2):  # the first group has no rows
            file.write_table(table.slice(0, rows_of_group))
    pq.write_table(table.slice(0, 0), tmp_path / "data" / "b.parquet")
    done, found = go(tmp_path / "run", config_file, "input.paths=[]", f"input.dataset={tmp_path / 'data'}")
    assert len(done.parts) == 2
    assert [row["id"] for row in found] == [f"doc-{n}" for n in (0, 1, 2, 0, 1)]


def test_a_dataset_that_fails_ends_in_one_line(tmp_path: Path, config_file: Path) -> None:
    pytest.importorskip("datasets", reason="an extra")
    (tmp_path / "data").mkdir()
    path = parquet(tmp_path / "data" / "a.parquet", ROWS)
    data = bytearray(path.read_bytes())
    data[4:100] = b"\xff" * 96
    path.write_bytes(data)
    with pytest.raises(
        UserError, match=r"input\.dataset: .*data: shard 0: cannot be read from row 0 on \([A-Za-z]+: "
    ) as error:
        go(tmp_path / "run", config_file, "input.paths=[]", f"input.dataset={tmp_path / 'data'}")
    assert "\n" not in str(error.value)


def test_nested_columns_of_a_dataset(tmp_path: Path, config_file: Path) -> None:
    pytest.importorskip("datasets", reason="an extra")
    (tmp_path / "data").mkdir()
    parquet(tmp_path / "data" / "data.parquet", [DOLMA] * 2)
    sets = ["input.paths=[]", f"input.dataset={tmp_path / 'data'}", "input.url=metadata.url"]
    _, rows = go(tmp_path / "run", config_file, *sets)
    assert [row["url"] for row in rows] == ["http://a.example/"] * 2


@pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson.gz", "x.jsonl.zst", "x.parquet"])
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("text=txet", "'txet' (did you mean text?); set input.text to one of id, text, metadata, metadata.url, "),
        ("text=body", "'body'; set input.text to one of id, text, metadata, "),
        ("text=metadata.text", "'metadata.text' (did you mean text?); set input.text to one of"),
        ("html=url", "'url' (did you mean metadata.url?); set input.html to one of"),
    ],
)
def test_a_missing_text_is_an_error_before_work(
    tmp_path: Path, config_file: Path, name: str, setting: str, message: str
) -> None:
    path = tmp_path / name
    if name == "x.parquet":
        parquet(path, [DOLMA] * 3)
    else:
        write(path, b"\n".join([b"", b"not JSON", *[json.dumps(DOLMA).encode()] * 3]))
    with pytest.raises(UserError) as error:
        go(tmp_path / "run", config_file, f"input.paths=['{path}']", f"input.{setting}")
    where = "no column" if name == "x.parquet" else "first 3 lines: no key"
    assert f"{where} {message}" in str(error.value)
    assert str(error.value).startswith(str(path))
    assert not (tmp_path / "run" / "parts.json").exists()


NESTED = [
    {"text": "a", "id": "1", "meta": {"url": "u", "deep": {"a": "b"}, "tags": ["t"]}, "title": ["T"], "links": ["l"]},
    {"text": "b", "id": "2", "meta": {"url": None, "deep": {"a": None}, "tags": []}, "title": [], "links": []},
]


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet"])
@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (Columns(id="meta"), "input.id: 'meta' is an object, not text, in {}; name one of meta.url, meta.deep.a"),
        (Columns(id="meta.deep"), "input.id: 'meta.deep' is an object, not text, in {}; name one of meta.deep.a"),
        (Columns(url="links"), "input.url: 'links' is a list, not text, in {}; name a {} of text"),
        (Columns(text="meta"), "input.text: 'meta' is an object, not text, in {}; name one of meta.url, meta.deep.a"),
        (Columns(html="meta.tags"), "input.html: 'meta.tags' is a list, not text, in {}; name a {} of text"),
    ],
)
def test_columns_that_hold_no_text_are_refused(tmp_path: Path, name: str, columns: Columns, problem: str) -> None:
    path = tmp_path / name
    if name == "x.parquet":
        parquet(path, NESTED)
    else:
        write(path, "\n".join(map(json.dumps, NESTED)).encode())
    where, noun = (f"{path}, first 2 lines", "key") if name == "x.jsonl" else (str(path), "column")
    with pytest.raises(UserError) as raised:
        sources.check_columns(str(path), columns)
    assert str(raised.value) == problem.format(where, noun)


def test_a_column_of_the_usual_name_that_holds_no_text_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", "\n".join(map(json.dumps, NESTED)).encode())
    [line] = check_lines(path, Columns(keep_columns=("*",)))
    assert re.fullmatch(r"input.title: .title. is a list, not text, in .*; it is left out", line)
    first, second = ledger(path)
    assert (first.title, first.detail, first.dropped) == (None, "title: a list, not text", [])
    assert second.detail == "title: a list, not text"
    mixed = write(tmp_path / "y.jsonl", b'{"text": "a", "id": {"n": 1}}\n{"text": "b", "id": "own"}\n')
    assert check_lines(mixed, Columns(keep_columns=("*",))) == []
    first, second = ledger(mixed)
    assert (len(first.id), first.detail, first.text) == (32, "id: an object, not text", "a")
    assert (second.id, second.detail) == ("own", None)


def test_a_text_of_another_type_names_the_key(tmp_path: Path, config_file: Path) -> None:
    path = write(tmp_path / "x.jsonl", b'{"text": 7}\n{"text": true}\n')
    config = load(config_file, [f"input.paths=['{path}']"])
    words = r"(the first: text is a number, not text). Likely, 'text' is not the right key for input.text"
    with pytest.raises(UserError, match=re.escape(words)):
        run(tmp_path / "run", config, workers=1, engine="local", until="extract", reporter=Quiet())


def test_a_missing_column_that_was_named_is_noted(tmp_path: Path, config_file: Path) -> None:
    paths = [write(tmp_path / f"{n}.jsonl", json.dumps({"text": "Hi", "link": "u", "n": n}).encode()) for n in range(2)]
    sets = [f"input.paths={[str(path) for path in paths]}", "input.url=lnik", "input.id=n"]
    quiet = Quiet()
    run(tmp_path / "run", load(config_file, sets), workers=1, engine="local", until="extract", reporter=quiet)
    assert quiet.notes[0] == f"input.url: no key 'lnik' (did you mean link?) in {paths[0]}, first line"
    assert not any(note.startswith("input.") for note in quiet.notes[1:])


def test_lines_that_are_not_judged(tmp_path: Path) -> None:
    columns = Columns(text="body", title="text")
    assert check_lines(write(tmp_path / "a.jsonl", b""), columns) == []
    assert check_lines(write(tmp_path / "b.jsonl", b"no JSON\n[1]\n"), columns) == []
    assert check_lines(write(tmp_path / "c.jsonl", b'{"text": "a"}\n{"body": null}\n'), columns) == []
    (tmp_path / "d.jsonl.gz").write_bytes(b"no gzip")
    assert check_lines(tmp_path / "d.jsonl.gz", columns) == []
    with pytest.raises(UserError, match="first 100 lines: no key 'body'"):
        check_lines(write(tmp_path / "e.jsonl", b'{"text": "a"}\n' * 200), columns)
    with pytest.raises(UserError, match=r"k19 and 10 more$"):
        check_lines(write(tmp_path / "f.jsonl", json.dumps({f"k{n}": 1 for n in range(30)}).encode()), columns)


def test_paths_or_a_dataset(config_file: Path) -> None:
    for sets in (["input.paths=[]"], ["input.dataset=x"]):
        with pytest.raises(UserError, match=r"input: give exactly one of paths .* dataset and common_crawl"):
            load(config_file, sets)


def test_row_groups_of_large_values_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class File(pq.ParquetFile):  # type: ignore[misc]
        def iter_batches(self, rows: int, **options: Any) -> Any:
            sizes.append(rows)
            return super().iter_batches(rows, **options)

    monkeypatch.setattr("pipeline.extract.inputs.parquet_tables.pq.ParquetFile", File)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x" * 1000] * 8, "other": ["y" * 9000] * 8}), path)  # one value, in a dictionary
    group = pq.read_metadata(path).row_group(0).column(0).total_uncompressed_size
    for batch_bytes, expected in ((1 << 26, 64), (group * 2, 2), (group * 2 - 1, 1), (1, 1)):
        monkeypatch.setattr(parquet_tables, "_BATCH_BYTES", batch_bytes)
        assert [row.text for row in ledger(path)] == ["x" * 1000] * 8
        assert sizes.pop() == expected
    columns = Columns()
    for group_bytes, limit, problems in (
        (group, 10, ["too_large"] * 8),  # read, row by row
        (group - 1, group // 8 + 1, [None] * 8 if group // 8 + 1 >= 1000 else ["too_large"] * 8),
        (group - 1, group // 8 - 1, ["too_large"]),
    ):
        monkeypatch.setattr(parquet_tables, "_GROUP_BYTES", group_bytes)
        found = list(
            read(str(path), 0, None, columns=columns, dataset=None, max_record_bytes=limit, unread=frozenset())
        )
        assert [record.problem for record in found] == problems
    assert found[0].detail == f"row group 0: 8 rows of {group:,} bytes; max_record_bytes is {group // 8 - 1:,}"
