"""Intermediate results of whole steps, on disk: unfinished clusters, and the features by which candidates are compared.

They are in a folder named by the step's key, so that a killed run continues from them. The finished step deletes the folder.
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
    """The folder of a step's intermediate results."""

    def __init__(self, files: RunFiles) -> None:
        self.parent = files.root / "ledger" / f"{files.step}.work"
        self.folder = self.parent / files.key
        if self.parent.is_dir():
            for stale in sorted(self.parent.iterdir()):
                if stale != self.folder:
                    shutil.rmtree(stale)

    def roots(self, documents: int) -> tuple[int, Roots | None, Roots]:
        """(columns joined so far, roots of the groups of equal texts, roots of the clusters so far)."""
        saved = sorted(self.folder.glob("roots-*.npy"))
        if not saved:
            return 0, None, np.arange(documents, dtype=np.int32 if documents < 2**31 else np.int64)
        done = int(saved[-1].stem.partition("-")[2]) + 1
        return done, np.load(self.folder / "exact.npy"), np.load(saved[-1])

    def save_roots(self, column: int, exact: Roots, roots: Roots) -> None:
        """Save the state after a column is joined."""
        if column == 0:
            save(self.folder / "exact.npy", exact)
        save(self.folder / f"roots-{column:05d}.npy", roots)
        for older in sorted(self.folder.glob("roots-*.npy"))[:-1]:
            older.unlink()

    def clear(self) -> None:
        """Delete all intermediate results of the step."""
        shutil.rmtree(self.parent, ignore_errors=True)


def save(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array atomically."""
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array)


class Source(Protocol):
    """A part, of this run or of an earlier one."""

    def file(self, step: Step | str) -> Path:
        """The file that a step writes for the part."""

    def texts(self) -> Iterator[pa.Array]:
        """The text so far, a row group at a time."""


class Store:
    """The features of each text to compare, on disk: its band keys, and its sorted shingles or its signature. A text is
    stored once, for the first document that has it.

    Each text is read once, a row group at a time. A comparison reads the features of one document at their offset.
    """

    def __init__(self, files: RunFiles, signed: Options, sources: tuple[Source, ...], compared: Mask) -> None:
        """`compared`: which of all documents are compared; `signed`: how they were signed."""
        self._bands = signed.bands
        self._compared = compared
        self._files: list[tuple[Path, int, int]] = []
        folder = Work(files).folder
        start = 0
        for number, source in enumerate(sources):
            data, end = folder / f"{number:05d}.features", start + rows_in(source.file(EXTRACT))
            if not _index(data).is_file():
                with atomic(data) as temporary, open(temporary, "wb") as file:
                    lengths = _write_part(file, signed, source, np.flatnonzero(compared[start:end]))
                save(_index(data), np.array(lengths, np.int64))
            self._files.append((data, start, end))
            start = end

    def of(self, documents: Documents) -> "Features":
        """The features of some documents, given in ascending order. In memory: `PER_CONTENDER` bytes each."""
        begins, lengths = np.zeros(documents.size, np.int64), np.zeros(documents.size, np.int32)
        numbers = np.zeros(documents.size, np.int32)
        for number, (data, start, end) in enumerate(self._files):
            low, high = np.searchsorted(documents, [start, end])
            if low == high:
                continue
            sizes = np.load(_index(data))
            stored = np.flatnonzero(self._compared[start:end]) + start
            indices = np.searchsorted(stored, documents[low:high])
            begins[low:high] = (np.cumsum(sizes) - sizes)[indices]
            lengths[low:high] = sizes[indices]
            numbers[low:high] = number
        files = [data for data, _, _ in self._files]
        return Features(self._bands, documents, files, numbers, begins, lengths)


PER_CONTENDER = 8 + 8 + 4 + 4
"""Bytes held per document to compare."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Band keys and shingles (or signatures) of some documents, read from disk when asked for. Arrays are (documents,)."""

    bands: int
    documents: Documents
    files: list[Path]
    numbers: npt.NDArray[np.int32]
    begins: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int32]

    def __call__(self, document: int) -> tuple[Words, Words]:
        """A document's band keys, and its sorted shingles or its signature."""
        index = int(np.searchsorted(self.documents, document))
        path, size = self.files[self.numbers[index]], int(self.lengths[index]) * 8
        with open(path, "rb", buffering=0) as stream:  # a crawl has more parts than a process may open
            stream.seek(int(self.begins[index]) * 8)
            data = stream.read(size)
        if len(data) != size:
            raise UserError(f"{path}: damaged (truncated); delete its folder and run again")
        words = np.frombuffer(data, np.uint64)
        return words[: self.bands], words[self.bands :]


def _index(data: Path) -> Path:
    return data.with_suffix(".npy")


def _write_part(file: BinaryIO, options: Options, source: Source, documents: Documents) -> list[int]:
    """Write the features of some of a part's documents; returns the number of words written for each."""
    from pipeline.filters.dedup.shingles import shingle_hashes
    from pipeline.filters.minhash import band_keys

    names = band_names(options.bands)
    by_text = not options.whole
    lengths: list[int] = []
    start = 0
    signed = row_groups(source.file(SIGNATURES), names)
    texts = source.texts() if by_text else repeat(None)
    for group, text in zip(signed, texts, strict=by_text):
        low, high = np.searchsorted(documents, [start, start + len(group)])
        rows = pa.array(documents[low:high] - start)
        start += len(group)
        if low == high:
            continue
        columns = [group[name].combine_chunks().take(rows) for name in names]
        if text is not None:
            keys = np.stack([column.to_numpy() for column in columns], axis=1)
            shingles = shingle_hashes(text.take(rows), options.ngram, options.unit)
            compared = [np.unique(hashes) for hashes in shingles]
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
