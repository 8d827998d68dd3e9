"""What a run reads, what of a page becomes its text, and how it is written: frozen values, each with its defaults, once.

This module is light: it loads neither Numba nor Arrow.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

Format = Literal["text", "markdown"]
FORMATS: tuple[Format, ...] = ("text", "markdown")

RecordType = Literal[
    "warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation"
]  # WARC/1.1, section 6

MAX_DEPTH = 500
"""Browsers' own limit on nested elements (512 in Blink and WebKit), rounded. Parsers slow down with its square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """The choices that a page's text depends on."""

    extractor: str = "native"
    """native, trafilatura or resiliparse; tests/benchmarks/extractors.py compares them."""
    main_content: bool = True
    """False keeps navigation and boilerplate too, by resiliparse where trafilatura is named."""
    format: Format = "text"
    """Markdown marks headings, quotes, code, tables and emphasis; not with resiliparse."""
    comments: bool = False
    """True keeps readers' comments below the main content."""
    captions: bool | None = None
    """True keeps captions beside kept text, False leaves all out, and without it they are judged like all text; native's."""
    links: bool = False
    """True gives links their addresses, in Markdown, absolute where the page has a URL or says so itself."""
    tables: bool = True
    """False leaves the rows of tables out; not with resiliparse."""
    max_depth: Annotated[int, Ge(10)] = MAX_DEPTH
    """A page whose elements nest deeper is dropped as too_deep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractOptions(TextOptions):
    """HTML to text, and which records are read."""

    max_record_bytes: Annotated[int, Ge(1_000)] = 10_000_000
    """A record, or its decoded body, over this is dropped as too_large. 10 MB is eight times the largest of 2,521 real
    pages, and twice what Common Crawl keeps of a page (5 MiB since 2025, 1 MiB before)."""
    record_types: tuple[RecordType, ...] = ("response", "resource", "conversion")
    """Those of an archive that are read; "conversion" is the text of a WET file."""
    prescreen: Annotated[float, Gt(0), Lt(1)] | None = None
    """Drop a page before extraction where its plain text has a lower probability of every language in language.keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonCrawl:
    """Files of Common Crawl, read from where it publishes them."""

    crawl: str
    """Such as CC-MAIN-2025-26; commoncrawl.org lists them."""
    files: Annotated[int, Ge(1)] = 1
    """The first N files: a crawl has up to 100,000 of about 1 GB, each a random sample of it."""
    kind: Literal["warc", "wet"] = "warc"
    """Archives of pages, or the text that Common Crawl has taken out of them."""
    base: str = "https://data.commoncrawl.org"
    """Where its files are published."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """Files of records."""

    paths: tuple[str, ...] = ()
    """Files, directories, globs or URLs (http, s3, ...): .warc, .arc, .wet (.gz), .jsonl (.gz, .zst), .parquet."""
    common_crawl: CommonCrawl | None = None
    """Instead: files of a crawl."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column of a table, or key of a line, is what."""

    text: str = "text"
    """The column that is a document's text, in .jsonl, .parquet and datasets; it is taken as it is."""
    html: str | None = None
    """The column that is its HTML, from which the text is extracted then."""
    id: str | None = "id"
    """This and the columns that follow are used where they are there."""
    url: str | None = "url"
    """The column of a page's address."""
    date: str | None = "date"
    """The column of the time it was fetched."""
    title: str | None = "title"
    """The column of its title."""

    @property
    def names(self) -> list[str]:
        """Those that a document is made from, the needed one first."""
        optional = (self.id, self.url, self.date, self.title)
        return [self.html or self.text, *(name for name in optional if name is not None)]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A split of a dataset that the library `datasets` loads."""

    dataset: str | None = None
    """Instead: what `datasets` can load by that name or path, read as a stream."""
    subset: str | None = None
    """The configuration of the dataset, where it has several."""
    split: str = "train"
    """Which of its splits."""
    revision: str | None = None
    """A branch, tag or commit of it; without one the newest."""

    @property
    def name(self) -> str:
        """A name on the hub, a directory of data files, or one that `save_to_disk` wrote."""
        return self.dataset or ""


@dataclass(frozen=True, kw_only=True)
class InputOptions(Columns, Dataset, Files):
    """What is read: files, or a dataset."""

    part_bytes: Annotated[int, Ge(1)] = 256_000_000
    """A larger file is cut into parts of about this size, "256MB", at the starts of records; the result is the same."""

    def __post_init__(self) -> None:
        if [bool(given) for given in (self.paths, self.dataset, self.common_crawl)].count(True) != 1:
            raise ValueError("give one of paths (files, directories, globs, URLs), dataset and common_crawl")

    @property
    def described(self) -> str:
        """The input in words."""
        return ", ".join(self.paths) or self.dataset or (self.common_crawl.crawl if self.common_crawl else "nothing")
