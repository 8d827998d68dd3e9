"""The journal: what each step has made, so that a product counts as done only while it is whole.

`journal.jsonl` has a line for each finished piece of work: step, part, key, CPU seconds, and the size and checksum of every
file. A step is done when its line has the current key and all its files are as they were written. What has been deleted,
truncated or edited is made again. A line that was cut off or never written only means that the work is done again.

`seals.jsonl` saves reading files again only to compare their checksums. It has the state (size, times, inode) of files whose
checksum was read when they were at least `SETTLED` old: any later change gives a file another change time (ctime), which no
program can set. A file without a seal, or in another state, is read. The seals may be deleted.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.ledger import append_json, read_json_lines
from pipeline.errors import UserError

SETTLED = 2_000_000_000
"""Nanoseconds after which a change must get another change time: the coarsest clocks of file systems tick every 2 s."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished piece of work, and the files it wrote."""

    key: str
    seconds: float
    files: Mapping[str, tuple[int, str]]
    """Path in the run directory -> size, checksum."""


State = tuple[int, int, int, int]
"""Of a file: size, modification time and change time in nanoseconds, inode."""


def _state(path: str) -> State:
    about = os.stat(path)
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def _checksum(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file's checksum, its state then, and when it was read (nanoseconds since the epoch)."""

    state: State
    digest: str
    read: int

    @property
    def is_settled(self) -> bool:
        """Whether a change after the reading has another change time than the file had."""
        return self.read - max(self.state[1:3]) > SETTLED


class _Log:
    """The lines of a file that is only appended to, each read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode, self._read = -1, 0

    def new(self) -> Iterator[dict[str, Any] | None]:
        """The lines added since the last call, after None if the file has been replaced; a line that a kill cut off is
        skipped."""
        try:
            about = os.stat(self.path)
        except FileNotFoundError:
            about = None
        if about and not stat.S_ISREG(about.st_mode):
            raise UserError(f"{self.path}: not a file; delete it and run again")
        if about is None or about.st_ino != self._inode or about.st_size < self._read:
            self._inode, self._read = about.st_ino if about else -1, 0
            yield None
        if about is None or about.st_size == self._read:
            return
        with open(self.path, "rb") as file:
            file.seek(self._read)
            for line in file:
                if line.endswith(b"\n"):  # else it is read again
                    self._read += len(line)
                with suppress(ValueError):
                    if (record := json.loads(line)) is not None:
                        yield record


class Journal:
    """The journal of a run directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "journal.jsonl"
        self._log, self._seal_log = _Log(self.path), root / "seals.jsonl"
        self._entries: dict[str, dict[str | None, Entry]] = {}
        self._seals: dict[str, tuple[State, str]] | None = None
        self._seen: dict[str, _Seen] = {}

    def entries(self, step: str) -> Mapping[str | None, Entry]:
        """The latest line for each of a step's parts, and for the step as a whole (None)."""
        for line in self._log.new():
            if line is None:
                self._entries = {}
                continue
            with suppress(KeyError, TypeError, ValueError, AttributeError):  # skip a line of another form
                written = {name: (size, digest) for name, (size, digest) in line["files"].items()}
                entry = Entry(line["key"], line["seconds"], written)
                self._entries.setdefault(line["step"], {})[line["part"]] = entry
        return self._entries.get(step, {})

    def entry(self, step: str, part: str | None) -> Entry | None:
        """The latest line for a step's part, or for the step as a whole (None); None if there is no line."""
        return self.entries(step).get(part)

    def record(self, step: str, part: str | None, key: str, seconds: float, files: Iterable[Path]) -> None:
        """Record that a piece of work is done."""
        names = [str(file.relative_to(self.root)) for file in files]
        made = {name: (seen.state[0], seen.digest) for name, seen in zip(names, map(self._look, names), strict=True)}
        line: dict[str, Any] = {"step": step, "part": part, "key": key, "seconds": round(seconds, 3), "files": made}
        append_json(self.path, line)

    def changed(self, entry: Entry, names: Iterable[str] | None = None) -> str | None:
        """The first file, of these or of all, that is no longer as it was written; None if all are unchanged."""
        for name in entry.files if names is None else names:
            if not self._is_unchanged(name, *entry.files[name]):
                return name
        return None

    def damaged(self, entry: Entry) -> list[str]:
        """The files that are no longer as they were written. Every one is read, whatever its state: a disk may lose a bit."""
        names = []
        for name, (size, digest) in entry.files.items():
            path = f"{self.root}/{name}"
            with suppress(OSError):
                if os.stat(path).st_size == size and _checksum(path) == digest:
                    continue
            names.append(name)
        return names

    def seal(self) -> None:
        """Add seals for the files that this process has recorded or compared, where they are old enough."""
        seals = self._read_seals()
        youngest = time.time_ns() - SETTLED
        new: dict[str, tuple[State, str]] = {}
        for name, seen in list(self._seen.items()):
            if max(seen.state[1:3]) < youngest:
                del self._seen[name]
                with suppress(OSError):
                    again = seen if seen.is_settled else self._look(name)
                    if again.state == seen.state and again.digest == seen.digest:
                        new[name] = seen.state, seen.digest
        for name in new:
            self._seen.pop(name, None)
        if new:
            append_json(self._seal_log, new)
            seals |= new

    def _is_unchanged(self, name: str, size: int, digest: str) -> bool:
        try:
            state = _state(f"{self.root}/{name}")
            if self._read_seals().get(name) == (state, digest):
                return True
            return state[0] == size and self._look(name, state).digest == digest
        except OSError:
            return False

    def _look(self, name: str, state: State | None = None) -> _Seen:
        """A file's state and checksum; it is read if it has changed since this process read it."""
        path = f"{self.root}/{name}"
        state = state or _state(path)
        seen = self._seen.get(name)
        if seen is None or seen.state != state:
            now = time.time_ns()
            seen = self._seen[name] = _Seen(state, _checksum(path), now)
        return seen

    def _read_seals(self) -> dict[str, tuple[State, str]]:
        if self._seals is None:
            self._seals = {}
            for line in read_json_lines(self._seal_log):
                with suppress(TypeError, ValueError, AttributeError):  # skip a line of another form
                    for name, (state, digest) in line.items():
                        self._seals[name] = tuple(state), digest
        return self._seals
