"""log.txt: what a run said, errors and bugs included, and nothing where a run was refused."""

import errno
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config_file import load
from pipeline.core.engines import InlineEngine
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.run.log import NAME, write_log
from pipeline.run.run import Run
from pipeline.run.runner import run

Go = Callable[..., tuple[Run, list[str]]]
Cli = Callable[..., tuple[int, str, str]]


def entries(root: Path) -> list[tuple[str, str]]:
    """Kind and text of each message; the lines of a message are joined as they were."""
    found: list[tuple[str, str]] = []
    for line in (root / NAME).read_bytes().decode("ascii").splitlines():
        if match := re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}  (\w+) *  ?(.*)", line):
            found.append((match[1], match[2].strip()))
        else:
            assert line.startswith("    "), line
            found[-1] = (found[-1][0], f"{found[-1][1]}\n{line[4:]}")
    return found


def test_the_log_has_the_command_versions_steps_and_notes(tmp_path: Path, go: Go) -> None:
    done, steps = go(tmp_path / "run", until="language")
    first = entries(done.root)
    assert [kind for kind, _ in first[:2]] == ["command", "with"]
    assert re.match(r"Python 3\.\d+\.\d+, corpus-pipeline \S+, .*resiliparse \S+, .*", first[1][1])
    assert [text for kind, text in first if kind == "begin"] == [f"{step}: 2 of 2 parts" for step in steps]
    ends = [text for kind, text in first if kind == "end"]
    assert len(ends) == len(steps) == 3
    assert re.fullmatch(r"extract: 30 rows in \d+\.\d s", ends[0])

    again, steps = go(done.root, until="language")
    assert steps == []
    later = entries(again.root)
    assert later[: len(first)] == first  # it is only appended to
    assert [kind for kind, _ in later[len(first) :]] == ["command", "with", "note"]
    assert later[-1] == ("note", "up to date, not done again: extract, language, language.decide")


def test_all_that_a_run_says_is_in_the_log(cli: Cli, tmp_path: Path, config_file: Path) -> None:
    root = tmp_path / "run"
    (tmp_path / "in").mkdir()
    shutil.copy(config_file.parent / "input" / "one.warc.gz", tmp_path / "in")
    (tmp_path / "in" / "café.pdf").write_bytes(b"%PDF-1.7")  # a note before the run has a directory
    given = ["--set", f"input.paths={tmp_path}/in", "--out", str(root), "--workers", "1", "--until"]
    for until in ("extract", "clean"):
        code, out, _ = cli("run", str(config_file), *given, until)
        assert code == 0
        said = {line.strip() for line in out.splitlines() if line.strip() and not line.startswith("✓")}
        from pipeline.core.plain_text import ascii_text

        log = (root / NAME).read_text(encoding="ascii")
        assert "caf\\u00e9.pdf" in log
        assert [line for line in said if ascii_text(line) not in log] == []
    assert "✓ extract text" in cli("run", str(config_file), *given, "extract", "--out", f"{root}2")[1]
    code, _, err = cli("run", str(config_file), *given, "clean", "--set", "quality.words.min=9000")
    assert (code, entries(root)[-1]) == (2, ("error", err.removeprefix("error: ").strip()))


def test_a_bug_is_in_the_log_with_its_traceback(
    tmp_path: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("a bug of ours\nin two lines")

    monkeypatch.setattr(InlineEngine, "run", fail)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "run", load(config_file), workers=1, engine="local", until="extract", reporter=Quiet())
    kind, text = entries(tmp_path / "run")[-1]
    assert kind == "bug"
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("ZeroDivisionError: a bug of ours\nin two lines")


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), ("error", "x: no space left on the device; ")),
        (KeyboardInterrupt(), ("stopped", "by Ctrl-C")),
        (UserError("café"), ("error", "caf\\u00e9")),
    ],
)
def test_what_ends_a_run_early_is_in_the_log(
    tmp_path: Path,
    config_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    logged: tuple[str, str],
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(InlineEngine, "run", fail)
    with pytest.raises(type(error)):
        run(tmp_path / "run", load(config_file), workers=1, engine="local", until="extract", reporter=Quiet())
    kind, text = entries(tmp_path / "run")[-1]
    assert (kind, text[: len(logged[1])]) == logged


def test_a_refused_run_leaves_a_line_only_in_the_log_of_an_earlier_run(
    tmp_path: Path, config_file: Path, go: Go
) -> None:
    other = load(config_file, [f'input.paths=["{config_file.parent}/input/one.warc.gz"]'])
    done, _ = go(tmp_path / "run", until="extract")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "mine.txt").write_text("mine")
    for folder in (done.root, tmp_path / "foreign"):
        with pytest.raises(UserError):
            run(folder, other, workers=1, engine="local", until="extract", reporter=Quiet())
    assert [path.name for path in (tmp_path / "foreign").iterdir()] == ["mine.txt"]
    assert entries(done.root)[-1][0] == "error"
    assert "holds a run over other input" in entries(done.root)[-1][1]


def test_a_log_that_cannot_be_written_harms_nothing(tmp_path: Path, go: Go) -> None:
    (tmp_path / "run").mkdir()
    write_log(tmp_path / "nowhere", "note", "lost")
    done, _ = go(tmp_path / "run", until="extract")
    (done.root / NAME).unlink()
    (done.root / NAME).mkdir()
    go(done.root, until="language")
    assert (done.root / NAME).is_dir()
