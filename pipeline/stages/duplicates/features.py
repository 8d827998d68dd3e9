"""What a global step has worked out on the way, kept on disk: half-done clusters, and what candidates are compared by.

It lies in a folder under the step's key, so that a killed run goes on where it was, and goes when the step is done.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.ledger import row_groups, rows_in
from pipeline.core.part import RunFiles
from pipeline.core.step import Step
from pipeline.errors import UserError
from pipeline.files import atomic
from pipeline.stages.duplicates.signatures import SIGNATURES, Options, band_names
from pipeline.stages.extract import EXTRACT

Roots = npt.NDArray[np.signedinteger[Any]]
Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Documents = npt.NDArray[np.int64]


class Work:
    """The folder of a step's half-done work."""

    def __init__(self, files: RunFiles) -> None:
        self.above = files.root / "ledger" / f"{files.step}.work"
        self.folder = self.above / files.key
        if self.above.is_dir():
            for stale in sorted(self.above.iterdir()):
                if stale != self.folder:
                    shutil.rmtree(stale)

    def roots(self, documents: int) -> tuple[int, Roots | None, Roots]:
        """How many columns are joined, the roots of the exact groups, and those of the clusters so far."""
        saved = sorted(self.folder.glob("roots-*.npy"))
        if not saved:
            return 0, None, np.arange(documents, dtype=np.int32 if documents < 2**31 else np.int64)
        done = int(saved[-1].stem.partition("-")[2]) + 1
        return done, np.load(self.folder / "exact.npy"), np.load(saved[-1])

    def save_roots(self, column: int, exact: Roots, roots: Roots) -> None:
        """Write down that a column is joined."""
        if column == 0:
            save(self.folder / "exact.npy", exact)
        save(self.folder / f"roots-{column:05d}.npy", roots)
        for older in sorted(self.folder.glob("roots-*.npy"))[:-1]:
            older.unlink()

    def clear(self) -> None:
        """The step is done."""
        shutil.rmtree(self.above, ignore_errors=True)


def save(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array atomically."""
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array)


class Place(Protocol):
    """A part, wherever it lies."""

    def file(self, step: Step | str) -> Path:
        """The part's file of a step."""

    def texts(self) -> Iterator[pa.Array]:
        """The text so far, a row group at a time."""


class Store:
    """For each text to compare its band keys and sorted shingles (or its signature), on disk, under its first document.

    Each text is read once, a row group at a time; a comparison reads one document's numbers from the place they lie at.
    """

    def __init__(self, files: RunFiles, signed: Options, places: tuple[Place, ...], wanted: Mask) -> None:
        """`wanted`: which of all documents are compared; `signed`: how they were signed."""
        self._bands = signed.bands
        self._wanted = wanted
        self._files: list[tuple[Path, int, int]] = []
        folder = Work(files).folder
        start = 0
        for number, place in enumerate(places):
            data, end = folder / f"{number:05d}.evidence", start + rows_in(place.file(EXTRACT))
            if not _index(data).is_file():
                with atomic(data) as temporary, open(temporary, "wb") as file:
                    lengths = _write_part(file, signed, place, np.flatnonzero(wanted[start:end]))
                save(_index(data), np.array(lengths, np.int64))
            self._files.append((data, start, end))
            start = end

    def of(self, documents: Documents) -> "Evidence":
        """The evidence of some documents, ascending. In memory: `PER_CONTENDER` bytes each."""
        begins, lengths = np.zeros(documents.size, np.int64), np.zeros(documents.size, np.int32)
        numbers = np.zeros(documents.size, np.int32)
        for number, (data, start, end) in enumerate(self._files):
            low, high = np.searchsorted(documents, [start, end])
            if low == high:
                continue
            sizes = np.load(_index(data))
            written = np.flatnonzero(self._wanted[start:end]) + start
            places = np.searchsorted(written, documents[low:high])
            begins[low:high] = (np.cumsum(sizes) - sizes)[places]
            lengths[low:high] = sizes[places]
            numbers[low:high] = number
        files = [data for data, _, _ in self._files]
        return Evidence(self._bands, documents, files, numbers, begins, lengths)


PER_CONTENDER = 8 + 8 + 4 + 4


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What some documents are compared by."""

    bands: int
    documents: Documents
    files: list[Path]
    numbers: npt.NDArray[np.int32]
    begins: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int32]

    def __call__(self, document: int) -> tuple[Words, Words]:
        """Band keys, and shingles or signature."""
        place = int(np.searchsorted(self.documents, document))
        path, size = self.files[self.numbers[place]], int(self.lengths[place]) * 8
        with open(path, "rb", buffering=0) as stream:  # a crawl has more parts than a process has files
            stream.seek(int(self.begins[place]) * 8)
            data = stream.read(size)
        if len(data) != size:
            raise UserError(f"{path}: damaged (cut short); delete its folder and run again")
        words = np.frombuffer(data, np.uint64)
        return words[: self.bands], words[self.bands :]


def _index(data: Path) -> Path:
    return data.with_suffix(".npy")


def _write_part(file: BinaryIO, options: Options, place: Place, documents: Documents) -> list[int]:
    """Write what some of a part's documents are compared by; the lengths."""
    from pipeline.filters.dedup.shingles import shingle_hashes
    from pipeline.filters.minhash import band_keys

    names = band_names(options.bands)
    by_text = not options.whole
    lengths: list[int] = []
    start = 0
    signed = row_groups(place.file(SIGNATURES), names)
    texts = place.texts() if by_text else repeat(None)
    for group, text in zip(signed, texts, strict=by_text):
        low, high = np.searchsorted(documents, [start, start + len(group)])
        rows = pa.array(documents[low:high] - start)
        start += len(group)
        if low == high:
            continue
        columns = [group[name].combine_chunks().take(rows) for name in names]
        if text is not None:
            keys = np.stack([column.to_numpy() for column in columns], axis=1)
            found = shingle_hashes(text.take(rows), options.ngram, options.unit)
            compared = [np.unique(hashes) for hashes in found]
        else:
            size = len(rows) * options.rows
            values = [np.frombuffer(c.buffers()[1], np.uint64, size).reshape(-1, options.rows) for c in columns]
            signatures = np.concatenate(values, axis=1)
            keys, compared = band_keys(signatures, options.bands, options.rows), list(signatures)
        for key, rest in zip(keys, compared, strict=True):
            file.write(key.tobytes())
            file.write(rest.tobytes())
            lengths.append(key.size + rest.size)
    return lengths
