"""What a step sees of a run: the files of one part, or of all parts. Workers get it with each task."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.fingerprint import fingerprint
from pipeline.core.ledger import Part, Piece, alive_rows, metadata_of, row_groups, rows_in

PIECE_ROWS = b"pipeline.rows"
"""Metadata of the extract step's file of a part with several pieces: how many rows each of them has, as JSON."""


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


def piece_rows(part: Part, extracted: Path) -> Sequence[int]:
    """The rows of each piece of a part, from its file of the extract step; UserError where that is damaged."""
    if len(part.pieces) == 1:
        return [rows_in(extracted)]
    counts: list[int] = json.loads(metadata_of(extracted)[PIECE_ROWS])
    return counts


@dataclass(frozen=True, slots=True, eq=False)
class Origins:
    """The file, and the row in that file, of each row of a part."""

    pieces: tuple[Piece, ...]
    starts: npt.NDArray[np.int64]
    """The row of the part at which each piece starts, (pieces,); a piece without rows starts where the next one does."""
    first_row: int
    """Row number, in its file, of the part's first row."""

    @classmethod
    def of(cls, part: Part, extracted: Path, first_row: int) -> "Origins":
        """The origins of a part's rows, from its file of the extract step; UserError where that is damaged."""
        counts = piece_rows(part, extracted) if len(part.pieces) > 1 else ()
        return cls(part.pieces, np.cumsum([0, *counts[:-1]], dtype=np.int64), first_row)

    def piece(self, rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The index of the piece of each of these rows of the part."""
        return np.searchsorted(self.starts, rows, side="right").astype(np.int64) - 1

    def row_in_file(self, rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The number, in its file, of each of these rows of the part."""
        return np.asarray(rows, np.int64) - self.starts[self.piece(rows)] + self.first_row

    def row_in_part(self, piece: int, row: int) -> int:
        """The row of the part that is row `row` of the file of a piece."""
        return int(self.starts[piece]) + row - self.first_row

    def place(self, row: int) -> tuple[Piece, int]:
        """The piece of one row of the part, and its number in that file."""
        return self.pieces[int(self.piece(row))], int(self.row_in_file(row))

    def paths(self, rows: npt.ArrayLike) -> pa.Array:
        """The path of the file of each of these rows of the part."""
        return pa.array([piece.path for piece in self.pieces], pa.string()).take(pa.array(self.piece(rows)))


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
    """Row number, in its input file, of the part's first row; 0 while extracting, when it is not known yet."""

    def file(self, step: Named | str) -> Path:
        """The file that a step writes for the part; LookupError for one that the key does not depend on."""
        return folder_of(self.folders, self.step, step) / f"{self.part.name}.parquet"

    def has(self, step: Named) -> bool:
        """Whether the run needs a step that this one may read."""
        return step.name in self.folders

    def origins(self) -> Origins:
        """Where each row of the part comes from; the part must be extracted."""
        return Origins.of(self.part, self.file("extract"), self.first_row)

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
