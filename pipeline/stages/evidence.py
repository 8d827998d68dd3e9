"""What a global step has worked out on the way, kept on disk: half-done clusters, and what candidates are compared by.

It lies in a folder under the step's key, so that a killed run goes on where it was, and goes when the step is done.
"""

import shutil
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import UserError
from pipeline.ledger import atomic, row_groups
from pipeline.stages.job import View, text_groups
from pipeline.stages.measure import band_names

Roots = npt.NDArray[np.signedinteger[Any]]
Words = npt.NDArray[np.uint64]


class Work:
    """The folder of a step's half-done work."""

    def __init__(self, view: View) -> None:
        self.above = view.root / "ledger" / f"{view.step}.work"
        self.folder = self.above / view.key
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

    @property
    def edited(self) -> bool:
        """Whether its texts are edited."""

    def file(self, step: str) -> Path:
        """The part's file of a step."""


class Store:
    """For each document to compare its band keys and sorted shingles (or its signature), on disk.

    Each text is read once, a row group at a time; a comparison reads one document's numbers from the place they lie at.
    In memory are 20 bytes a document.
    """

    def __init__(self, view: View, places: tuple[Place, ...], contenders: npt.NDArray[np.int64]) -> None:
        self.documents = np.sort(contenders)
        self._bands = view.config.duplicates.bands
        self._files: list[Path] = []
        folder = Work(view).folder
        ends, numbers, start = [], [], 0
        for number, place in enumerate(places):
            data, index = folder / f"{number:05d}.evidence", folder / f"{number:05d}.npy"
            if not index.is_file():
                with atomic(data) as temporary, open(temporary, "wb") as file:
                    lengths = _write_part(file, view, place, self.documents, start)
                save(index, np.array(lengths, np.int64))
            lengths = np.load(index)
            start = int(lengths[0])
            ends.append(np.cumsum(lengths[1:]))
            numbers.append(np.full(len(lengths) - 1, number, np.int32))
            self._files.append(data)
        self._ends = np.concatenate([np.zeros(0, np.int64), *ends])
        self._numbers = np.concatenate([np.zeros(0, np.int32), *numbers])

    def __call__(self, document: int) -> tuple[Words, Words]:
        """Band keys, and shingles or signature."""
        place = int(np.searchsorted(self.documents, document))
        file = int(self._numbers[place])
        begin = int(self._ends[place - 1]) if place and self._numbers[place - 1] == file else 0
        length = (int(self._ends[place]) - begin) * 8
        with open(self._files[file], "rb", buffering=0) as stream:  # a crawl has more parts than a process has files
            stream.seek(begin * 8)
            data = stream.read(length)
        if len(data) != length:
            raise UserError(f"{self._files[file]}: damaged (cut short); delete its folder and run again")
        words = np.frombuffer(data, np.uint64)
        return words[: self._bands], words[self._bands :]


def _write_part(file: BinaryIO, view: View, place: Place, documents: npt.NDArray[np.int64], start: int) -> list[int]:
    """Write what a part's documents are compared by; the index of the next part's first document, and the lengths."""
    from pipeline.filters.minhash import band_keys
    from pipeline.filters.shingles import shingle_hashes

    options = view.config.duplicates
    names = band_names(options.bands)
    by_text = options.verify == "exact"
    lengths = []
    signed = row_groups(place.file("duplicates.signatures"), names)
    texts = text_groups(place.file, place.edited) if by_text else repeat(None)
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
    return [start, *lengths]
