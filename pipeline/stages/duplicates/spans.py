"""What is cut out of the kept documents: lines, sentences, n-grams and passages that repeat across them.

Each step reads the text so far and writes, row-aligned, the ranges to cut, independently of the others. `outcome` joins the
cuts and drops a document of which too little is left. The clean text is written without the cut ranges.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.engines import Progress
from pipeline.core.fingerprint import unhashed
from pipeline.core.ledger import Part, row_groups, writer
from pipeline.core.part import EarlierRun, RunFiles
from pipeline.core.step import Column, Step, columns
from pipeline.errors import UserError
from pipeline.filters.dedup.options import LineOptions, NgramOptions, SentenceOptions, SubstringOptions
from pipeline.stages.duplicates.candidates import LIBRARIES, SMALLEST_TABLE, kept_documents
from pipeline.stages.duplicates.verify import DOCUMENTS

if TYPE_CHECKING:
    from pipeline.filters.kernels.spans import Ranges

CUTS = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64())]))
SCHEMA = pa.schema([("cuts", CUTS)])
CUTS_MEANING = "byte ranges [start, end) to take out of the text so far"
GROUPS = 1 << 20  # more row groups than any part has


def cut_columns() -> tuple[Column, ...]:
    """The columns of a step that writes cuts."""
    return columns(SCHEMA, {"cuts": CUTS_MEANING})


def kept_texts(files: RunFiles, parts: Iterable[Part] | None = None) -> Iterator[tuple[int, pa.Array]]:
    """(number, texts) of each row group; a text is null where duplicates.documents dropped the row."""
    for part in files.parts if parts is None else parts:
        alive = kept_documents(files.file(DOCUMENTS, part))
        start = 0
        for number, texts in enumerate(files.texts(part)):
            kept = pa.array(alive[start : start + len(texts)])
            yield part.index * GROUPS + number, pc.if_else(kept, texts, pa.scalar(None, texts.type))
            start += len(texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Which repeats to cut, and the memory of the step."""

    repeats: Any
    """The table of the config that the step is named after."""
    memory: int = unhashed()


def table_memory(options: Options) -> int:
    """Bytes that the budget leaves for tables; UserError if it is too small."""
    needed = LIBRARIES + SMALLEST_TABLE
    if options.memory < needed:
        raise UserError(f"duplicates.memory: at least {needed / 1e6:,.0f}MB are needed")
    return options.memory - LIBRARIES


def write_cuts(files: RunFiles, progress: Progress, ranges_by_group: Iterable[tuple[int, "Ranges"]]) -> int:
    """Write the cuts, given as (number, ranges) of all row groups in order; returns the rows."""
    groups = iter(ranges_by_group)
    rows = 0
    for part in files.parts:
        alive = kept_documents(files.file(DOCUMENTS, part))
        with writer(files.out(part), SCHEMA, files.part_key(part)) as out:
            start = 0
            for group in row_groups(files.file(DOCUMENTS, part), ["cluster"]):
                _, cuts = next(groups)
                column = cuts.column(alive[start : start + len(group)])
                out.write_table(pa.Table.from_arrays([column], schema=SCHEMA))
                start += len(group)
        rows += start
        progress(rows, rows)
    return rows


def lines(files: RunFiles, step_options: Options, progress: Progress) -> int:
    """Cut lines that repeat across documents."""
    from pipeline.filters.dedup.repeats import Marks, mark_repeats
    from pipeline.filters.dedup.substrings import text_bytes
    from pipeline.filters.lines import cut_lines, find_lines

    options: LineOptions = step_options.repeats
    find = partial(find_lines, normalize=options.normalize, lower=options.lower)

    def hashes(first: int, last: int) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
        for number, texts in _documents(files, first, last):
            yield number, find(texts).hashes

    documents = sum(int(kept_documents(files.file(DOCUMENTS, part)).sum()) for part in files.parts)
    bucket = options.bucket or max(1, documents)
    memory = table_memory(step_options)
    with TemporaryFile(dir=files.root / "ledger") as file:
        marks = Marks(file)
        for first in range(0, documents, bucket):
            last = first + bucket
            size = sum(text_bytes(texts) for _, texts in _documents(files, first, last))
            mark_repeats(
                partial(hashes, first, last),
                marks,
                at_most=size,
                memory=memory,
                max_count=options.max_count,
                keep=options.keep,
            )

        def cuts() -> Iterator[tuple[int, "Ranges"]]:
            for number, texts in kept_texts(files):
                group_lines = find(texts)
                sizes = pc.fill_null(pc.binary_length(texts), 0).to_numpy().astype(np.int64)
                yield number, cut_lines(group_lines, marks.of(number, group_lines.hashes.size), sizes)

        return write_cuts(files, progress, cuts())


def _documents(files: RunFiles, first: int, last: int) -> Iterator[tuple[int, pa.Array]]:
    """(number, texts) of the row groups that hold kept documents [first, last), counted over the run; other texts are null."""
    before = 0
    for part in files.parts:
        count = int(kept_documents(files.file(DOCUMENTS, part)).sum())
        if before < last and before + count > first:
            next_document = before
            for number, texts in kept_texts(files, [part]):
                order = next_document + np.cumsum(texts.is_valid().to_numpy(zero_copy_only=False)) - 1
                inside = pa.array((order >= first) & (order < last))
                yield number, pc.if_else(inside, texts, pa.scalar(None, texts.type))
                next_document = int(order[-1]) + 1 if len(order) else next_document
        before += count


def sentences(files: RunFiles, step_options: Options, progress: Progress) -> int:
    """Cut spans of sentences that occur in the corpus more than once."""
    from pipeline.filters.dedup.repeats import Marks, mark_repeats
    from pipeline.filters.dedup.sentences import cut_spans, find_sentences, span_hashes
    from pipeline.filters.dedup.substrings import text_bytes

    options: SentenceOptions = step_options.repeats
    with TemporaryFile(dir=files.root / "ledger") as file:
        marks = Marks(file)
        mark_repeats(
            lambda: ((number, span_hashes(find_sentences(texts), options.span)) for number, texts in kept_texts(files)),
            marks,
            at_most=sum(text_bytes(texts) for _, texts in kept_texts(files))
            // 2,  # a sentence has at least a letter and an end mark
            memory=table_memory(step_options),
            max_count=options.max_count,
            keep=options.keep,
        )

        def cuts() -> Iterator[tuple[int, "Ranges"]]:
            for number, texts in kept_texts(files):
                group_sentences = find_sentences(texts)
                yield number, cut_spans(group_sentences, marks.of(number, group_sentences.hashes.size), options.span)

        return write_cuts(files, progress, cuts())


def ngrams(files: RunFiles, step_options: Options, progress: Progress) -> int:
    """Cut paragraphs and documents whose n-grams have been seen before."""
    from pipeline.filters.dedup.bloom import NgramFilter, count_ngrams, filter_bits

    options: NgramOptions = step_options.repeats
    min_tokens = options.min_tokens or options.size
    count = sum(
        count_ngrams(texts, ngram=options.size, min_tokens=min_tokens, remove=options.remove)
        for _, texts in kept_texts(files)
    )
    size = filter_bits(count, options.false_positives) // 8
    if size > table_memory(step_options):
        needed = (size + LIBRARIES) / 1e6
        raise UserError(
            f"duplicates.memory: a filter of {count:,} n-grams at {options.false_positives:g} needs {needed:,.0f}MB"
        )
    seen = NgramFilter(
        count,
        ngram=options.size,
        min_tokens=min_tokens,
        threshold=options.threshold,
        false_positives=options.false_positives,
        remove=options.remove,
    )
    return write_cuts(files, progress, ((number, seen(texts)) for number, texts in kept_texts(files)))


def substrings(files: RunFiles, step_options: Options, progress: Progress) -> int:
    """Cut passages that occur in the corpus more than once."""
    from pipeline.filters.dedup.substrings import repeats_of

    options: SubstringOptions = step_options.repeats
    cuts = repeats_of(
        lambda: kept_texts(files), options.min_tokens, options.keep, table_memory(step_options), files.root / "ledger"
    )
    return write_cuts(files, progress, cuts)


def _repeats(name: str, title: str, run: Callable[..., int], libraries: tuple[str, ...]) -> Step:
    """The step that cuts one kind of repeats, if the config asks for it."""

    def options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
        return Options(repeats=getattr(config.duplicates, name), memory=config.duplicates.memory)

    return Step(
        name=f"duplicates.{name}",
        title=title,
        version=1,
        run=run,
        options=options,
        reads=(DOCUMENTS,),
        whole=True,
        gated=False,
        text=True,
        needed=lambda config: getattr(config.duplicates, name) is not None,
        libraries=libraries,
        cuts=True,
        shows=False,
        columns=cut_columns,
    )


SPANS = (
    _repeats("lines", "find lines that repeat", lines, ("unicode", "regex")),
    _repeats("sentences", "find sentences that repeat", sentences, ("regex",)),
    _repeats("ngrams", "find n-grams seen before", ngrams, ("regex",)),
    _repeats("substrings", "find passages that repeat", substrings, ("regex",)),
)
"""The steps that cut repeats. Each has the name of its table in [duplicates], which switches it on."""
