"""The forms of input, told by the names of files, and which of them a directory gives."""

from collections.abc import Sequence
from typing import Literal

from pipeline.extract.inputs.archive import ARCHIVE_SUFFIXES
from pipeline.extract.inputs.compressed import COMPRESSIONS
from pipeline.extract.inputs.files import name_of

Form = Literal["archive", "lines", "parquet", "csv", "html", "text", "dataset"]

DATASET = "dataset:"
"""Prefix of the path of a part that `datasets` reads; the part's `start` is the number of a shard."""


def _packed(*suffixes: str) -> tuple[str, ...]:
    return tuple(f"{suffix}{packed}" for suffix in suffixes for packed in ("", *COMPRESSIONS))


LINES = (*_packed(".jsonl", ".ndjson"), *(f".json{packed}" for packed in COMPRESSIONS))
PLAIN_JSON = (".json",)
TABLES = (".parquet",)
CSV = _packed(".csv", ".tsv")
PAGES = _packed(".html", ".htm", ".xhtml")
TEXTS = _packed(".txt", ".md")

_SUFFIXES: dict[Form, tuple[str, ...]] = {
    "archive": ARCHIVE_SUFFIXES,
    "lines": LINES + PLAIN_JSON,
    "parquet": TABLES,
    "csv": CSV,
    "html": PAGES,
    "text": TEXTS,
}
WORDS: dict[Form, str] = {
    "archive": "an archive",
    "lines": "JSON Lines",
    "parquet": "a Parquet file",
    "csv": "a table",
    "html": "a page",
    "text": "a text",
}
"""What a file is, for messages."""
DOCUMENT_SUFFIXES = LINES + PLAIN_JSON + TABLES + CSV
"""Suffixes of files of documents with columns or keys."""

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("archives", ARCHIVE_SUFFIXES),
    ("JSON Lines and Parquet", LINES + TABLES),
    ("HTML", PAGES),
    ("CSV and TSV", CSV),
    ("JSON", PLAIN_JSON),
    ("text", TEXTS),
)
"""What a directory gives: the files of the first of these groups of which it has any. The others are likely about them: a
list of the archives, the table of contents of a dataset, the README."""
KNOWN = (
    ".warc, .arc, .wet (also .gz), .warc.zst, .warc.lz4, .wacz, .parquet, and .jsonl, .json, .csv, .tsv, .html, .txt, "
    ".md (also .gz, .zst, .lz4, .bz2, .xz) are read"
)


def form_of(path: str) -> Form:
    """The form to read a file in. An archive may have any name that belongs to no other form."""
    if path.startswith(DATASET):
        return "dataset"
    return form_by_suffix(path) or "archive"


def form_by_suffix(path: str) -> Form | None:
    """The form that the name of a file says; None if it says none."""
    name = name_of(path)
    return next((form for form, suffixes in _SUFFIXES.items() if name.endswith(suffixes)), None)


def chosen(files: Sequence[str]) -> tuple[str, ...]:
    """The suffixes of the group that a directory with these files gives; none if none of them is read."""
    names = [name_of(file) for file in files]
    return next((suffixes for _, suffixes in GROUPS if any(name.endswith(suffixes) for name in names)), ())
