"""Documents whose ids repeat: the run says so, and reports find the right document by its row."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config_file import load
from pipeline.core.progress import Quiet
from pipeline.report.diff import _nth_of_nth, diff
from pipeline.report.duplicates import duplicate_pairs, duplicates
from pipeline.run.run import Run
from pipeline.run.runner import run


def prose(seed: int) -> str:
    """Words that resemble no other seed's."""
    draw = random.Random(seed)
    return " ".join(f"word{draw.randrange(1000)}" for _ in range(60 + seed))


A, B, C = map(prose, range(3))


def write(path: Path, documents: Sequence[tuple[str | None, str]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = [{"text": text} | ({"id": name} if name else {}) for name, text in documents]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def go(root: Path, paths: Sequence[Path], *sets: str, until: str = "clean") -> tuple[Run, list[str]]:
    config = root.with_suffix(".toml")
    config.write_text(f"input.paths = {[str(path) for path in paths]}\n")
    reporter = Quiet()
    done = run(root, load(config, sets), workers=1, engine="local", until=until, reporter=reporter)
    return done, [note for note in reporter.notes if "id of an earlier one" in note]


def kept(done: Run) -> list[tuple[str, int]]:
    tables = [pq.read_table(done.file("clean", part), columns=["id", "row"]) for part in done.parts]
    return [(row["id"], row["row"]) for table in tables for row in table.to_pylist()]


def test_pairs_and_clusters_go_by_row(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [("x", A), ("x", B), ("y", A), ("x", B), ("z", B)])
    done, notes = go(tmp_path / "run", [path])
    assert notes[0].startswith("2 documents have the id of an earlier one (x first): ")
    assert kept(done) == [("x", 0), ("x", 1)]  # copies that tie: the smaller id, then the earlier row
    pairs = list(duplicate_pairs(done))
    assert sorted((pair.dropped.id, pair.dropped.text == A) for pair in pairs) == [
        ("x", False),
        ("y", True),
        ("z", False),
    ]
    assert all(pair.kept and pair.kept.id == "x" and pair.kept.text == pair.dropped.text for pair in pairs)
    assert [(cluster.id, cluster.size) for cluster in duplicates(done).clusters] == [("x", 3), ("x", 2)]
    later, _ = go(tmp_path / "later", [write(tmp_path / "y.jsonl", [("v", B), ("u", A), ("x", C)])],
                  f"duplicates.against={[str(done.root)]}")  # fmt: skip
    pairs = list(duplicate_pairs(later))
    assert sorted(pair.dropped.id for pair in pairs) == ["u", "v"]
    assert all(pair.kept and pair.kept.text == pair.dropped.text for pair in pairs)


def test_the_kept_copy_is_the_policys_whatever_the_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [("x", A), ("x", f"{A}  "), ("x", A), ("a", f"{B} "), ("b", B), ("a", B)])
    done, _ = go(tmp_path / "first", [path], 'duplicates.keep=["first"]')
    assert kept(done) == [("x", 0), ("a", 3)]


def test_diff_matches_the_nth_with_the_nth(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [("x", A), ("x", B), ("y", C)])
    one, _ = go(tmp_path / "one", [path])
    two, _ = go(tmp_path / "two", [path], "input.part_bytes=500", f"quality.words.max={len(A.split())}")
    for report, second in ((diff(one, two), False), (diff(two, one), True)):
        assert (report.both, report.neither, report.unmatched, report.unmatched_second) == (1, 0, 0, 0)
        assert (report.first, report.second) == ((0, 2) if second else (2, 0))
        assert report.other_text == 0
        listed = report.examples.second if second else report.examples.first
        assert [example.id for example in listed] == ["x", "y"]


def test_diff_of_parts_that_share_ids(tmp_path: Path) -> None:
    first = write(tmp_path / "x.jsonl", [("0", A), ("1", B)])
    more = write(tmp_path / "w.jsonl", [("0", C)])
    sets = ("input.part_bytes=100000",)
    one, _ = go(tmp_path / "one", [first], *sets)
    two, notes = go(tmp_path / "two", [more, first], *sets, f"quality.words.min={len(B.split())}")
    assert len(notes) == 1
    report = diff(one, two)
    assert (report.both, report.first, report.unmatched, report.unmatched_second) == (1, 1, 0, 1)
    assert [example.id for example in report.examples.first] == ["0"]


@pytest.mark.parametrize(
    ("ids", "others", "expected"),
    [
        ("abc", "cba", [2, 1, 0]),
        ("aaa", "baab", [1, 2, -1]),
        ("xay", "a", [-1, 0, -1]),
        ("", "a", []),
        ("a", "", [-1]),
        ("", "", []),
    ],
)
def test_the_nth_of_an_id_is_the_nth(ids: str, others: str, expected: list[int]) -> None:
    found = _nth_of_nth(pa.array(list(ids), pa.string()), pa.array(list(others), pa.string()))
    assert np.array_equal(found, expected)


def test_files_of_one_name_in_two_folders_repeat_ids(tmp_path: Path) -> None:
    paths = [write(tmp_path / name / "x.jsonl", [(None, prose(seed))])
             for seed, name in enumerate(("en", "de"))]  # fmt: skip
    _, [note] = go(tmp_path / "run", paths, until="extract")
    assert note.startswith("1 document has the id of an earlier one (")
    assert note.endswith("different names")
    assert go(tmp_path / "unique", paths[:1], until="extract")[1] == []
