"""What a step sees of a run: the files of one part, or of all parts. Workers get it with each task."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.fingerprint import fingerprint
from pipeline.core.ledger import Part, alive_rows, row_groups, rows_in


class Named(Protocol):
    """A step, as far as its files need it."""

    @property
    def name(self) -> str:
        """Of its folder."""


def part_key(key: str, part: Part) -> str:
    """The key of a part's file of a whole step: no part's file can be taken for another part's."""
    return fingerprint(key, part.index, part.digest)


def folder_of(folders: Mapping[str, Path], step: str, other: Named | str) -> Path:
    """The folder of step `other` for step `step`; LookupError if the key of `step` does not depend on it."""
    name = other if isinstance(other, str) else other.name
    if name not in folders:
        raise LookupError(f"the step {step} reads {name}, which its `reads` does not name, or the run does not need")
    return folders[name]


def texts_of(files: list[Path]) -> Iterator[pa.Array]:
    """The text so far of a part, a row group at a time: per row, the first non-null `text` of these files."""
    groups = [row_groups(file, ["text"]) for file in files]
    for tables in zip(*groups, strict=True):
        columns = [table["text"].combine_chunks() for table in tables]
        yield pc.coalesce(*columns) if len(columns) > 1 else columns[0]


@dataclass(frozen=True, slots=True)
class PartFiles:
    """What a step gets to work on one part, in a worker."""

    root: Path
    step: str
    part: Part
    key: str
    folders: dict[str, Path]
    """Step -> its folder, for all that the step's key depends on: itself and everything it reads, directly or indirectly."""
    gates: tuple[str, ...] = ()
    """The step whose `dropped` says which rows come in: one name, or none."""
    layers: tuple[str, ...] = ("extract",)
    """The steps that hold the text so far, the latest first."""
    cuts: tuple[str, ...] = ()
    """The steps whose cuts are taken out of the text, of those that the run needs."""
    first_row: int = 0
    """Row number, in the input file, of the part's first row; 0 while extracting, when it is not known yet."""

    def file(self, step: Named | str) -> Path:
        """The file that a step writes for the part; LookupError for one that the key does not depend on."""
        return folder_of(self.folders, self.step, step) / f"{self.part.name}.parquet"

    def has(self, step: Named) -> bool:
        """Whether the run needs a step that this one may read."""
        return step.name in self.folders

    @property
    def out(self) -> Path:
        """The file to write."""
        return self.file(self.step)

    @property
    def gate(self) -> Path:
        """The file whose `dropped` says which rows come in."""
        return self.file(self.gates[0])

    def texts(self) -> Iterator[pa.Array]:
        """The text so far, a row group at a time."""
        return texts_of([self.file(layer) for layer in self.layers])


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A run to deduplicate against."""

    root: Path
    parts: tuple[Part, ...]
    layers: tuple[str, ...]
    key: str
    """Hash of the documents that it kept."""

    def hashed(self) -> str:
        """What keys hash."""
        return self.key


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What a step gets to work on the whole run, in the parent process."""

    root: Path
    step: str
    parts: tuple[Part, ...]
    key: str
    folders: dict[str, Path]
    gates: tuple[str, ...] = ()
    layers: tuple[str, ...] = ("extract",)
    earlier: tuple[EarlierRun, ...] = ()
    workers: int = 1
    """How many cores the step may use; what it writes does not depend on it."""
    on_train: Callable[[Any], None] | None = None
    note: Callable[[str], None] | None = None

    def file(self, step: Named | str, part: Part) -> Path:
        """The file that a step writes for a part; LookupError for one that the key does not depend on."""
        return folder_of(self.folders, self.step, step) / f"{part.name}.parquet"

    def has(self, step: Named) -> bool:
        """Whether the run needs a step that this one may read."""
        return step.name in self.folders

    def out(self, part: Part) -> Path:
        """The file to write for a part."""
        return self.file(self.step, part)

    def part_key(self, part: Part) -> str:
        """The key to write into a part's file."""
        return part_key(self.key, part)

    @property
    def folder(self) -> Path:
        """The folder to write."""
        return self.folders[self.step]

    def alive(self, part: Part) -> npt.NDArray[np.bool_]:
        """Which rows of a part come to this step (bool, one per row)."""
        return alive_rows(self.file(self.gates[0], part))

    def texts(self, part: Part) -> Iterator[pa.Array]:
        """The text so far of a part, a row group at a time."""
        return texts_of([self.file(layer, part) for layer in self.layers])

    def rows(self, step: Named | str) -> int:
        """Rows in all files of a step."""
        return sum(rows_in(self.file(step, part)) for part in self.parts)
