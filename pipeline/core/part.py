"""What a step sees of a run: the files of one part, or of all parts. Sent to workers, and the same for every step."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.ledger import Part, alive_rows, row_groups, rows_in
from pipeline.core.step import Step, fingerprint


def part_key(key: str, part: Part) -> str:
    """The key of a part's file of a step over the whole run: one part's file cannot pass for another one's."""
    return fingerprint(key, part.index, part.digest)


def folder_of(folders: Mapping[str, Path], step: str, other: Step | str) -> Path:
    """Where a step finds the files of another one; LookupError for one that its key does not depend on."""
    name = other if isinstance(other, str) else other.name
    if name not in folders:
        raise LookupError(f"the step {step} reads {name}, which its `reads` does not name, or the run does not need")
    return folders[name]


def texts_of(files: list[Path]) -> Iterator[pa.Array]:
    """The text so far of a part, a row group at a time: the first of these files' `text` that is not null."""
    groups = [row_groups(file, ["text"]) for file in files]
    for tables in zip(*groups, strict=True):
        columns = [table["text"].combine_chunks() for table in tables]
        yield pc.coalesce(*columns) if len(columns) > 1 else columns[0]


@dataclass(frozen=True, slots=True)
class PartFiles:
    """A step's work on one part, in a worker."""

    root: Path
    step: str
    part: Part
    key: str
    folders: dict[str, Path]
    """Step -> its folder, of what the step's key depends on: the step itself and all that it reads, directly or not."""
    gates: tuple[str, ...] = ()
    """The step whose `dropped` says which rows come here, if there is one."""
    layers: tuple[str, ...] = ("extract",)
    """The steps that hold the text so far, the latest first."""
    cuts: tuple[str, ...] = ()
    """The steps that the run needs whose cuts are taken out of the text."""
    first_row: int = 0
    """The place of the part's first row in its file; 0 while extracting, when it is not known yet."""

    def file(self, step: Step | str) -> Path:
        """The part's file of a step."""
        return folder_of(self.folders, self.step, step) / f"{self.part.name}.parquet"

    def has(self, step: Step) -> bool:
        """Whether the run needs a step that this one may read."""
        return step.name in self.folders

    @property
    def out(self) -> Path:
        """The file to write."""
        return self.file(self.step)

    @property
    def gate(self) -> Path:
        """The file whose `dropped` says which rows come here."""
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
    """Of the documents it kept."""

    def hashed(self) -> str:
        """What keys see."""
        return self.key


@dataclass(frozen=True, slots=True)
class RunFiles:
    """A step's work on the whole run, in the parent process."""

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

    def file(self, step: Step | str, part: Part) -> Path:
        """A part's file of a step."""
        return folder_of(self.folders, self.step, step) / f"{part.name}.parquet"

    def has(self, step: Step) -> bool:
        """Whether the run needs a step that this one may read."""
        return step.name in self.folders

    def out(self, part: Part) -> Path:
        """The part's file to write."""
        return self.file(self.step, part)

    def part_key(self, part: Part) -> str:
        """The key to write a part's file under."""
        return part_key(self.key, part)

    @property
    def folder(self) -> Path:
        """The folder to write."""
        return self.folders[self.step]

    def alive(self, part: Part) -> npt.NDArray[np.bool_]:
        """Which rows of a part come to this step."""
        return alive_rows(self.file(self.gates[0], part))

    def texts(self, part: Part) -> Iterator[pa.Array]:
        """The text so far of a part, a row group at a time."""
        return texts_of([self.file(layer, part) for layer in self.layers])

    def rows(self, step: Step | str) -> int:
        """Rows of a step's files."""
        return sum(rows_in(self.file(step, part)) for part in self.parts)
