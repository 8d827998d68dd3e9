"""The journal: what each step has made, so that a product counts as done only while it is whole.

`journal.jsonl` has a line for each finished piece of work: step, part, key, CPU seconds, and the size and checksum of every
file. The checksum is of the whole file up to 1 MiB, else of its last 64 KiB: a Parquet file's footer, with the offset of every
page. A step is done when its line has the current key and all its files are as they were written. What has been deleted,
truncated or edited is made again. A line that was cut off or never written only means that the work is done again.
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
from pipeline.errors import UserError

WHOLE = 1 << 20
"""Bytes up to which a whole file is checked."""
TAIL = 1 << 16
"""Bytes checked at the end of a larger file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished piece of work, and the files it wrote."""

    key: str
    seconds: float
    files: Mapping[str, tuple[int, str]]
    """Path in the run directory -> size, checksum."""


def checksum(path: Path) -> tuple[int, str]:
    """Size and checksum of a file, as the journal records them."""
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
        """The latest line for a step's part, or for the step as a whole (None); None if there is no line."""
        self._read()
        return self._entries.get((step, part))

    def record(self, step: str, part: str | None, key: str, seconds: float, files: Iterable[Path]) -> None:
        """Record that a piece of work is done."""
        made = {str(file.relative_to(self.root)): checksum(file) for file in files}
        line: dict[str, Any] = {"step": step, "part": part, "key": key, "seconds": round(seconds, 3), "files": made}
        append_json(self.path, line)

    def changed(self, entry: Entry) -> str | None:
        """The first file that is no longer as it was written; None if all are unchanged."""
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
        if not self.path.is_file():
            raise UserError(f"{self.path}: not a file; delete it and run again")
        for line in read_json_lines(self.path):
            with suppress(KeyError, TypeError, ValueError, AttributeError):  # skip a line of another form
                written = {name: (size, digest) for name, (size, digest) in line["files"].items()}
                self._entries[line["step"], line["part"]] = Entry(line["key"], line["seconds"], written)
        self._state = (state.st_size, state.st_mtime_ns)
