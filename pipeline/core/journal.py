"""The journal: what each step has made, so that a product counts as done only while it is whole.

`journal.jsonl` has a line for each finished piece of work: step, part, key, CPU seconds, and of every file its size and a
checksum (of the whole file up to 1 MiB, of its last 64 KiB beyond: a Parquet file's footer, with the place of every page).
A step is done when its line has the present key and all its files are as they were. What has been deleted, cut short or
edited is made again. A line that a kill cut short, or that was never written, only means that the work is done again.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.core.ledger import append_json, read_json_lines

WHOLE = 1 << 20
TAIL = 1 << 16


@dataclass(frozen=True, slots=True)
class Entry:
    """What one piece of work has made."""

    key: str
    seconds: float
    files: Mapping[str, tuple[int, str]]
    """Path in the run directory -> size, checksum."""


def checksum(path: Path) -> tuple[int, str]:
    """Size and checksum of a file as the journal has them."""
    state = os.stat(path)
    return state.st_size, _checksum(str(path), state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(1 << 16)
def _checksum(path: str, size: int, modified: int, inode: int) -> str:
    with open(path, "rb") as file:
        file.seek(0 if size <= WHOLE else size - TAIL)
        return hashlib.blake2b(file.read(), digest_size=16).hexdigest()


class Journal:
    """The journal of a run directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "journal.jsonl"
        self._state: tuple[int, int] | None = None
        self._entries: dict[tuple[str, str | None], Entry] = {}

    def entry(self, step: str, part: str | None) -> Entry | None:
        """The last line on a step's part, or (None) on the step as a whole."""
        self._read()
        return self._entries.get((step, part))

    def record(self, step: str, part: str | None, key: str, seconds: float, files: Iterable[Path]) -> None:
        """Write down that a piece of work is done."""
        made = {str(file.relative_to(self.root)): checksum(file) for file in files}
        line: dict[str, Any] = {"step": step, "part": part, "key": key, "seconds": round(seconds, 3), "files": made}
        append_json(self.path, line)

    def changed(self, entry: Entry) -> str | None:
        """The first file that is no longer as it was; None where all are."""
        for name, made in entry.files.items():
            try:
                if checksum(self.root / name) != tuple(made):
                    return name
            except OSError:
                return name
        return None

    def _read(self) -> None:
        try:
            state = os.stat(self.path)
        except FileNotFoundError:
            self._state, self._entries = None, {}
            return
        if self._state == (state.st_size, state.st_mtime_ns):
            return
        self._entries = {}
        for line in read_json_lines(self.path):
            with suppress(KeyError, TypeError, ValueError, AttributeError):  # a line that is none of ours
                made = {name: (size, sum_) for name, (size, sum_) in line["files"].items()}
                self._entries[line["step"], line["part"]] = Entry(line["key"], line["seconds"], made)
        self._state = (state.st_size, state.st_mtime_ns)
