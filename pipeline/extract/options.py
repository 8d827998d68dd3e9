"""Options of a run's input, and of the text that is extracted from a page: frozen values with their defaults.

This module is light: it imports neither Numba nor Arrow.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

Format = Literal["text", "markdown"]
FORMATS: tuple[Format, ...] = ("text", "markdown")

TextSource = Literal["page", "noscript", "json-ld", "preloaded"]
TEXT_SOURCES: tuple[TextSource, ...] = ("page", "noscript", "json-ld", "preloaded")

TextUnit = Literal["file", "paragraph", "line"]

RecordType = Literal[
    "warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation"
]  # WARC/1.1, section 6

NOT_PAGES = ("record_type", "revisit")
"""The reasons of records that hold no page: requests, archive headers, and unchanged pages that an earlier record has."""

KEPT = "input_"
"""Prefix of the names of kept columns in the ledger and in clean/."""
ALL = "*"

MAX_DEPTH = 500
"""Browsers' limit on nested elements (512 in Blink and WebKit), rounded. Parsing time grows with its square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """Options that a page's text depends on."""

    extractor: str = "native"
    """native, trafilatura or resiliparse; tests/benchmarks/extractors.py compares them."""
    main_content: bool = True
    """False keeps navigation and boilerplate too; with trafilatura, resiliparse then does the extraction."""
    format: Format = "text"
    """Markdown marks headings, quotes, code with its language, tables, emphasis and formulas ($x$); not with resiliparse."""
    comments: bool = False
    """True keeps readers' comments after the main content."""
    captions: bool | None = None
    """True keeps captions next to kept text, False drops all; by default they are judged like other text. native only."""
    links: bool = False
    """True writes the addresses of links in Markdown, absolute if the page's URL or base is known."""
    tables: bool = True
    """False drops the rows of tables; not with resiliparse."""
    whole: bool = True
    """Keeps or drops all of one list, definition list, table or code block, up to 500 words, and all of the text of one forum
    post or comment, and keeps code between kept text; False judges each line by itself. native only."""
    title: bool = False
    """True puts the page's title first, in Markdown after "# ": the h1 nearest to it, else the <title> without the site's name.
    native only."""
    text_from: tuple[TextSource, ...] = TEXT_SOURCES
    """Where text may come from: what the page shows; <noscript>; and, if the page shows little and lacks them, schema.org's
    texts in JSON-LD and the state that frameworks preload. Without "page", only from the others. native only."""
    max_depth: Annotated[int, Ge(10)] = MAX_DEPTH
    """A page whose elements nest deeper is dropped as too_deep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractOptions(TextOptions):
    """Options of HTML to text, and of which records are read."""

    max_record_bytes: Annotated[int, Ge(1_000)] = 10_000_000
    """A record or decoded body larger than this is dropped as too_large. 10 MB is eight times the largest of 2,521 real
    pages, and twice what Common Crawl keeps of a page (5 MiB since 2025, 1 MiB before)."""
    record_types: tuple[RecordType, ...] = ("response", "resource", "conversion")
    """The types of records that are read; "conversion" is the text of a WET file."""
    prescreen: Annotated[float, Gt(0), Lt(1)] | None = None
    """Drop a page before extraction if its plain text has a lower probability for every language in language.keep. Saves time
    with trafilatura and resiliparse; native is as fast as this look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonCrawl:
    """Files of Common Crawl, read from its server."""

    crawl: str
    """Such as CC-MAIN-2025-26; commoncrawl.org lists them."""
    files: Annotated[int, Ge(1)] = 1
    """The first N files: a crawl has up to 100,000 of about 1 GB, each a random sample of it."""
    kind: Literal["warc", "wet"] = "warc"
    """Archives of pages, or the text that Common Crawl extracted from them."""
    base: str = "https://data.commoncrawl.org"
    """The server that publishes its files."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """Files of records."""

    paths: tuple[str, ...] = ()
    """Files, directories, globs or URLs (http, s3, ...): .warc, .arc, .wet (.gz), .warc.zst, .warc.lz4, .wacz, .parquet, and
    .jsonl, .json, .csv, .tsv, .html, .txt, .md (.gz, .zst, .lz4, .bz2, .xz). A directory gives the files of one kind, and
    says what it leaves out."""
    common_crawl: CommonCrawl | None = None
    """Instead of paths: files of a crawl."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The meaning of the columns of a table, or of the keys of a JSON line; and what in a plain text is a document."""

    text: str = "text"
    """The column of a document's text, in JSON Lines, Parquet, CSV and datasets; it is used unchanged. Here and below,
    "metadata.url" is the key url in the table metadata."""
    html: str | None = None
    """The column of its HTML; if given, the text is extracted from it."""
    id: str | None = "id"
    """The column of its id. This column and those below may be missing."""
    url: str | None = "url"
    """The column of a page's address."""
    date: str | None = "date"
    """The column of the time it was fetched."""
    title: str | None = "title"
    """The column of its title."""
    keep_columns: tuple[str, ...] = ()
    """Further columns to carry into clean/: "metadata.stars" becomes the column input_metadata_stars, and "*" a column `input`
    with all other columns as one JSON object. Strings stay as they are, other values become JSON; a row without the column has
    no value. [quality] takes rules on them: input_metadata_stars = { min = 10 }."""
    text_unit: TextUnit = "file"
    """What is a document in .txt and .md files: a file, a paragraph (blank lines are between them) or a line. Units smaller
    than a file must be UTF-8; a file may have any encoding."""

    @property
    def names(self) -> list[str]:
        """The columns to read, the required one first."""
        optional = (self.id, self.url, self.date, self.title)
        return [self.html or self.text, *(name for name in optional if name is not None)]

    @property
    def kept(self) -> dict[str, str]:
        """Column of the ledger and of clean/ -> the column or key of the input that it holds; ALL is the rest of a row."""
        return {kept_name(name): name for name in self.keep_columns}

    def __post_init__(self) -> None:
        for index, name in enumerate(self.keep_columns):
            for other in self.keep_columns[:index]:
                if kept_name(other) == kept_name(name):
                    twice = (
                        f"{name!r} is named twice"
                        if name == other
                        else f"{other!r} and {name!r} have one name in clean/"
                    )
                    raise ValueError(f"keep_columns: {twice}")
            if not name:
                raise ValueError("keep_columns: the name of a column is needed, not ''")


def kept_name(name: str) -> str:
    """What a kept column is called in the ledger and in clean/."""
    return KEPT.rstrip("_") if name == ALL else KEPT + name.replace(".", "_")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A split of a dataset that the library `datasets` loads."""

    dataset: str | None = None
    """Instead of paths: a name or path that `datasets` can load, read as a stream."""
    subset: str | None = None
    """The configuration of the dataset, if it has several."""
    split: str = "train"
    """The split to read."""
    revision: str | None = None
    """A branch, tag or commit; by default the newest."""

    @property
    def name(self) -> str:
        """A name on the hub, a directory of data files, or a directory that `save_to_disk` wrote."""
        return self.dataset or ""


@dataclass(frozen=True, kw_only=True)
class InputOptions(Columns, Dataset, Files):
    """The input: files, or a dataset."""

    part_bytes: Annotated[int, Ge(1)] = 256_000_000
    """A larger file is cut into parts of about this size, "256MB", at the starts of records. Files below a 256th of it share
    parts of at most a 32nd. Results do not depend on it; every step writes a file for each part, so give "32GB" for a whole
    crawl of 100,000 files."""

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [bool(source) for source in (self.paths, self.dataset, self.common_crawl)].count(True)
        if given != 1:
            mend = "; paths = [] takes away those of the base" if given and self.paths else ""
            raise ValueError(
                f"give exactly one of paths (files, directories, globs, URLs), dataset and common_crawl{mend}"
            )

    @property
    def described(self) -> str:
        """The input in words, for messages."""
        return ", ".join(self.paths) or self.dataset or (self.common_crawl.crawl if self.common_crawl else "nothing")
