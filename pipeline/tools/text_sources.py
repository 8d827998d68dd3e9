"""Texts to learn from or to compare with: plain text, JSON Lines, Parquet, or a run.

books.txt, books.md       passages of about 300 words, cut at line ends, so that length does not tell sources apart
pages.jsonl, pages.json   one document per line, its text under "text"
pages.csv, pages.parquet  the same, one document per row
runs/mine                 what the run kept; runs/mine:raw: all that it extracted, runs/mine:dropped: what it dropped
"""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.ledger import kept, row_groups
from pipeline.errors import UserError
from pipeline.extract.inputs.compressed import open_decompressed
from pipeline.extract.inputs.forms import DOCUMENT_SUFFIXES, TEXTS
from pipeline.extract.options import Columns

if TYPE_CHECKING:
    from pipeline.filters.language import LanguageIdentifier

PASSAGE = 300
"""Words in a passage of plain text; a page of our web sample has about 400."""
WHICH = ("kept", "raw", "dropped")
_BATCH = 1000
_MAX_BYTES = 10_000_000
"""Of a document, as the default of `extract.max_record_bytes`."""


def read_texts(sources: Sequence[str], *, text: str = "text", language: str | None = None) -> Iterator[pa.Array]:
    """The texts of all sources as Arrow arrays, none null or blank, in order; with `language` only those in it by lid.176.

    UserError for a source that is missing or of an unknown kind, before any is read, and for one without texts.
    """
    files = [(source, *_files(source)) for source in sources]
    if language is None:
        return _read(files, text)
    from pipeline.filters.language import LanguageIdentifier

    identifier = LanguageIdentifier()
    identifier.check([language])
    return _in_language(_read(files, text), language, identifier)


def any_passages(sources: Sequence[str]) -> bool:
    """Whether any source has plain text, whose passages are as long as we cut them."""
    files = [file for source in sources for names, which in [_files(source)] if which is None for file in names]
    return any(file.lower().endswith(TEXTS) for file in files)


def _files(source: str) -> tuple[list[str], str | None]:
    """The files of a source and None; or a run directory and which of its texts ("kept", "raw", "dropped")."""
    name, colon, which = source.rpartition(":")
    if not (colon and which in WHICH and Path(name).is_dir()):
        name, which = source, "kept"
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise UserError(f"{name}: not a run directory; name its files, such as {name}/*.txt")
        return [name], which
    files = [name] if Path(name).is_file() else sorted(glob.glob(name, recursive=True))
    if not files:
        raise UserError(f"{source}: no such file or run directory (of a run: {', '.join(f'RUN:{w}' for w in WHICH)})")
    for file in files:
        if not file.lower().endswith((*TEXTS, *DOCUMENT_SUFFIXES)):
            known = ".txt, .md, .jsonl, .json, .csv, .tsv (also .gz, .zst, .bz2, .xz), .parquet"
            raise UserError(f"{file}: not text; known: {known}, a run directory")
    return files, None


def _read(sources: Iterable[tuple[str, list[str], str | None]], text: str) -> Iterator[pa.Array]:
    for source, files, which in sources:
        count = 0
        for name in files:
            if which is not None:
                arrays = _run(Path(name), which)
            elif name.lower().endswith(TEXTS):
                arrays = _batches(_passages(name))
            else:
                arrays = _batches(_documents(name, text))
            for array in arrays:
                texts = array.filter(pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(array), ""), False))
                count += len(texts)
                if len(texts):
                    yield texts
        if not count:
            raise UserError(f"{source}: has no text" + ("" if which else f'; a document\'s text is its "{text}"'))


def _batches(texts: Iterator[str]) -> Iterator[pa.Array]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            yield pa.array(batch, pa.large_string())
            batch = []
    yield pa.array(batch, pa.large_string())


def _passages(name: str) -> Iterator[str]:
    lines: list[str] = []
    words = 0
    with open_decompressed(name) as file:
        while line := file.readline(_MAX_BYTES):
            decoded = line.decode("utf-8", "replace")
            lines.append(decoded)
            words += len(decoded.split())
            if words >= PASSAGE:
                yield "".join(lines)
                lines, words = [], 0
    yield "".join(lines)


def _documents(name: str, text: str) -> Iterator[str]:
    from pipeline.extract.inputs.sources import read

    for record in read(name, 0, None, columns=Columns(text=text), max_record_bytes=_MAX_BYTES):
        if record.text is not None:
            yield record.text.encode("utf-8", "replace").decode()


def _run(root: Path, which: str) -> Iterator[pa.Array]:
    from pipeline.run.run import open_run

    run = open_run(root)
    needed = {"raw": "extract", "kept": "clean", "dropped": "duplicates"}[which]
    for part in run.parts:
        run.require(needed, part)
        if which == "kept":
            for table in row_groups(run.file("clean", part), ["text"]):
                yield table["text"].combine_chunks()
            continue
        pairs = zip(
            row_groups(run.file("extract", part), ["text"]),
            row_groups(run.file(needed, part), ["dropped"]),
            strict=True,
        )
        for texts, decided in pairs:
            column = texts["text"].combine_chunks()
            yield column if which == "raw" else column.filter(pc.invert(kept(decided["dropped"])))


def _in_language(arrays: Iterator[pa.Array], language: str, identifier: "LanguageIdentifier") -> Iterator[pa.Array]:
    for array in arrays:
        labels, _ = identifier.predict_columns(array)
        texts = array.filter(pc.equal(labels, language))
        if len(texts):
            yield texts


def describe(sources: Sequence[str]) -> list[str]:
    """The names of the sources without their folders, which differ between machines."""
    return [os.path.basename(source.rstrip("/")) for source in sources]
