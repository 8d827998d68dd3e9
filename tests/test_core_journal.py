"""The journal: what counts as unchanged, and what is read for it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core import journal
from pipeline.core.fingerprint import fingerprint, fingerprints
from pipeline.core.journal import SETTLED, Journal, _checksum

Clock = Callable[[int], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the time that the journal sees, in nanoseconds since the epoch."""

    def set_clock(now: int) -> None:
        monkeypatch.setattr("pipeline.core.journal.time.time_ns", lambda: now)

    return set_clock


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read, in order."""
    names: list[str] = []

    def read(path: str) -> str:
        names.append(Path(path).name)
        return _checksum(path)

    monkeypatch.setattr(journal, "_checksum", read)
    return names


def recorded(root: Path, content: bytes = b"a file of a step") -> Path:
    """A file that the journal of `root` has."""
    root.mkdir(exist_ok=True)
    (root / "a.parquet").write_bytes(content)
    Journal(root).record("step", "part", "key", 1.0, [root / "a.parquet"])
    return root / "a.parquet"


def changed(root: Path) -> str | None:
    """What a new process finds."""
    opened = Journal(root)
    entry = opened.entry("step", "part")
    assert entry
    return opened.changed(entry)


def check_and_seal(root: Path) -> None:
    """What a run does before its work."""
    opened = Journal(root)
    entry = opened.entry("step", "part")
    assert entry
    assert opened.changed(entry) is None
    opened.seal()


@pytest.mark.parametrize(("age", "sealed"), [(SETTLED, False), (SETTLED + 1, True)])
def test_a_file_that_is_old_enough_is_not_read_again(
    tmp_path: Path, clock: Clock, reads: list[str], age: int, sealed: bool
) -> None:
    file = recorded(tmp_path)
    clock(file.stat().st_ctime_ns + age)
    check_and_seal(tmp_path)
    assert (tmp_path / "seals.jsonl").exists() == sealed
    reads.clear()
    assert changed(tmp_path) is None
    assert reads == ["a.parquet"] * (not sealed)


def test_what_was_read_young_is_read_again_before_it_is_sealed(tmp_path: Path, clock: Clock, reads: list[str]) -> None:
    """Else a change in the same tick of the file system's clock could hide behind the seal."""
    file = tmp_path / "a.parquet"
    file.write_bytes(b"a file of a step")
    opened = Journal(tmp_path)
    clock(file.stat().st_ctime_ns + 1)
    opened.record("step", "part", "key", 1.0, [file])
    opened.seal()
    assert not (tmp_path / "seals.jsonl").exists()
    clock(file.stat().st_ctime_ns + SETTLED + 1)
    opened.seal()
    assert reads == ["a.parquet"] * 2
    assert list(json.loads((tmp_path / "seals.jsonl").read_text())) == ["a.parquet"]
    opened.seal()
    assert len((tmp_path / "seals.jsonl").read_text().splitlines()) == 1


def test_a_file_that_changed_before_it_was_sealed_is_told(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "a.parquet"
    file.write_bytes(b"a file of a step")
    opened = Journal(tmp_path)
    clock(file.stat().st_ctime_ns + 1)
    opened.record("step", "part", "key", 1.0, [file])
    file.write_bytes(b"another content!")
    clock(file.stat().st_ctime_ns + 2 * SETTLED)
    opened.seal()
    assert not (tmp_path / "seals.jsonl").exists()
    assert changed(tmp_path) == "a.parquet"


@pytest.mark.parametrize("harm", ["edited", "truncated", "deleted", "replaced"])
def test_a_sealed_file_that_changes_is_told(tmp_path: Path, clock: Clock, harm: str) -> None:
    file = recorded(tmp_path)
    before = file.stat()
    clock(before.st_ctime_ns + 2 * SETTLED)
    check_and_seal(tmp_path)
    assert (tmp_path / "seals.jsonl").exists()
    if harm == "edited":
        file.write_bytes(b"a file of a stop")
    elif harm == "truncated":
        os.truncate(file, 3)
    elif harm == "deleted":
        file.unlink()
    else:
        (tmp_path / "other").write_bytes(b"a file of a stop")
        (tmp_path / "other").replace(file)
    if file.exists():
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as an editor might that hides its work
    assert changed(tmp_path) == "a.parquet"


def test_a_copy_of_a_run_is_read_and_is_unchanged(tmp_path: Path, clock: Clock, reads: list[str]) -> None:
    file = recorded(tmp_path / "run")
    clock(file.stat().st_ctime_ns + 2 * SETTLED)
    check_and_seal(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    reads.clear()
    assert changed(tmp_path / "copy") is None
    assert reads == ["a.parquet"]


@pytest.mark.parametrize("seals", [b"\xff\n", b"7\n[]\n", b'{"a.parquet": 1}\n', b'{"a.parquet": [1, 2]}\n', b""])
def test_seals_that_are_none_are_passed_over(tmp_path: Path, reads: list[str], seals: bytes) -> None:
    recorded(tmp_path)
    (tmp_path / "seals.jsonl").write_bytes(seals)
    reads.clear()
    assert changed(tmp_path) is None
    assert reads == ["a.parquet"]


def test_a_seal_of_another_content_does_not_count(tmp_path: Path, clock: Clock) -> None:
    """A file may be made again under the same name with other content."""
    file = recorded(tmp_path)
    clock(file.stat().st_ctime_ns + 2 * SETTLED)
    check_and_seal(tmp_path)
    lines = (tmp_path / "journal.jsonl").read_text()
    (tmp_path / "journal.jsonl").write_text(lines.replace(json.loads(lines)["files"]["a.parquet"][1], "0" * 32))
    assert changed(tmp_path) == "a.parquet"


def test_lines_that_others_add_are_read(tmp_path: Path) -> None:
    file = recorded(tmp_path)
    opened = Journal(tmp_path)
    assert list(opened.entries("step")) == ["part"]
    Journal(tmp_path).record("step", "other", "key", 1.0, [file])
    Journal(tmp_path).record("step", "part", "new", 1.0, [file])
    assert {part: entry.key for part, entry in opened.entries("step").items()} == {"part": "new", "other": "key"}
    with open(opened.path, "ab") as log:
        log.write(b'null\n{"step": "step", "part"')  # a line that is being written, or that a kill cut off
    assert list(opened.entries("step")) == ["part", "other"]
    Journal(tmp_path).record("step", "third", "key", 1.0, [file])
    assert list(opened.entries("step")) == ["part", "other", "third"]
    opened.path.unlink()
    assert opened.entries("step") == {}
    Journal(tmp_path).record("step", "fourth", "key", 1.0, [file])
    assert list(opened.entries("step")) == ["fourth"]


def test_many_fingerprints_are_those_of_one_each() -> None:
    common = ("step", 3, {"b": (1, 2.5), "a": None})
    many = fingerprints(common)
    cases: list[tuple[object, ...]] = [(["x", "y"], None), ([], ["päth", 7, "z"]), ("one",)]
    for others in cases:
        assert many(*others) == fingerprint(common, *others)
