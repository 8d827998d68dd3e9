"""verify: every file is read, whatever its size and times say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import journal
from pipeline.run.run import open_run
from pipeline.run.verify import verify
from pipeline.stages.clean import CLEAN

Go = Callable[..., tuple[Any, list[str]]]
Cli = Callable[..., tuple[int, str, str]]


def test_files_as_written(tmp_path: Path, go: Go, cli: Cli) -> None:
    done, _ = go(tmp_path / "run")
    found = verify(done.root)
    assert not found.damaged
    written = [file for step in done.steps for part in done.parts for file in done.made(step, part)]
    assert found.files == len({*written})
    assert found.bytes == sum(file.stat().st_size for file in {*written})
    code, out, err = cli("verify", str(done.root))
    assert (code, err) == (0, "")
    assert out.startswith(f"{found.files} files, ")
    assert out.rstrip().endswith("all as written")


@pytest.mark.parametrize("harm", ["flipped", "truncated", "deleted"])
def test_damage_is_named(tmp_path: Path, go: Go, cli: Cli, harm: str) -> None:
    done, _ = go(tmp_path / "run")
    file = done.file(CLEAN, done.parts[0])
    data = bytearray(file.read_bytes())
    if harm == "flipped":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif harm == "truncated":
        file.write_bytes(data[:-1])
    else:
        file.unlink()
    assert verify(done.root).damaged == (str(file.relative_to(done.root)),)
    code, out, err = cli("verify", str(done.root))
    assert (code, out) == (2, "")
    assert err == f"error: {file}: not as written; delete what is damaged and run again\n"
    file.unlink(missing_ok=True)
    go(tmp_path / "run")
    assert not verify(done.root).damaged


def test_a_bit_that_a_disk_has_lost_is_found(tmp_path: Path, go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    done, _ = go(tmp_path / "run")
    file = done.file(CLEAN, done.parts[0])
    as_it_was = {str(path): journal._state(str(path)) for path in done.root.rglob("*")}
    monkeypatch.setattr(journal, "_state", lambda path: as_it_was[str(path)])  # size, times and inode stay
    monkeypatch.setattr("pipeline.core.journal.SETTLED", 0)
    opened = open_run(done.root)
    assert opened.is_done(CLEAN)
    opened.journal.seal()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert open_run(done.root).is_done(CLEAN)
    assert verify(done.root).damaged == (str(file.relative_to(done.root)),)


def test_products_of_whole_steps_are_read_once(tmp_path: Path, go: Go) -> None:
    done, _ = go(tmp_path / "run", until="shards")
    lines = (done.root / "journal.jsonl").read_text().splitlines()
    assert verify(done.root).files == len({name for line in lines for name in json.loads(line)["files"]})
