"""What is cut out of the documents that are kept, and the duplicates stage's last word.

Lines, sentences, n-grams and passages that repeat across them, and texts of evaluations.

Each family reads the texts as they have come so far and writes, row-aligned, the ranges it would cut. They know nothing of
one another; `decide` joins their cuts and drops a document that is left with too little. Clean text is made without them.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.engines import Care, Tick
from pipeline.core.ledger import DROPPED, Part, reasons_to_dropped, row_groups, writer
from pipeline.errors import UserError
from pipeline.stages.decide import failing_rules
from pipeline.stages.duplicates import LIBRARIES, SMALLEST_TABLE, kept_documents
from pipeline.stages.job import Job, View, part_key, text_groups

if TYPE_CHECKING:
    from pipeline.filters.kernels.spans import Ranges

CUTS = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64())]))
FOUND = pa.schema([("cuts", CUTS)])
SCHEMA = pa.schema(
    [
        ("cluster", pa.string()),
        ("cluster_size", pa.int32()),
        ("similarity", pa.float32()),
        ("cuts", CUTS),
        ("dropped", DROPPED),
    ]
)
GROUPS = 1 << 20  # more than a part has row groups


def kept_texts(view: View, parts: Iterable[Part] | None = None) -> Iterator[tuple[int, pa.Array]]:
    """(number, texts) of each row group; null where the choice among documents has dropped the row."""
    for part in view.parts if parts is None else parts:
        alive = kept_documents(view.file("duplicates.documents", part))
        start = 0
        groups = text_groups(partial(view.file, part=part), view.config.edits)
        for number, texts in enumerate(groups):
            here = pa.array(alive[start : start + len(texts)])
            yield part.index * GROUPS + number, pc.if_else(here, texts, pa.scalar(None, texts.type))
            start += len(texts)


def table_memory(view: View) -> int:
    """What the budget leaves for tables."""
    least = LIBRARIES + SMALLEST_TABLE
    if view.config.duplicates.memory_bytes < least:
        raise UserError(f"duplicates.memory: {least / 1e6:,.0f}MB or more are needed")
    return view.config.duplicates.memory_bytes - LIBRARIES


def write_cuts(view: View, tick: Tick, found: Iterable[tuple[int, "Ranges"]]) -> int:
    """Write what (number, ranges) of the row groups in order say."""
    ranges = iter(found)
    rows = 0
    for part in view.parts:
        alive = kept_documents(view.file("duplicates.documents", part))
        with writer(view.file(view.step, part), FOUND, part_key(view.key, part)) as out:
            start = 0
            for group in row_groups(view.file("duplicates.documents", part), ["cluster"]):
                _, cuts = next(ranges)
                column = cuts.column(alive[start : start + len(group)])
                out.write_table(pa.Table.from_arrays([column], schema=FOUND))
                start += len(group)
        rows += start
        tick(rows, rows)
    return rows


def lines(view: View, tick: Tick) -> int:
    """Lines that many documents have."""
    from pipeline.filters.dedup.repeats import Marks, mark_repeats
    from pipeline.filters.dedup.substrings import text_bytes
    from pipeline.filters.lines import cut_lines, find_lines

    options = view.config.duplicates.lines
    assert options is not None
    find = partial(find_lines, normalize=options.normalize, lower=options.lower)

    def hashes(first: int, last: int) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
        for number, texts in _documents(view, first, last):
            yield number, find(texts).hashes

    documents = sum(int(kept_documents(view.file("duplicates.documents", part)).sum()) for part in view.parts)
    bucket = options.bucket or max(1, documents)
    memory = table_memory(view)
    with TemporaryFile(dir=view.root / "ledger") as file:
        marks = Marks(file)
        for first in range(0, documents, bucket):
            last = first + bucket
            size = sum(text_bytes(texts) for _, texts in _documents(view, first, last))
            mark_repeats(
                partial(hashes, first, last),
                marks,
                at_most=size,
                memory=memory,
                most=options.most,
                keep=options.keep,
            )

        def found() -> Iterator[tuple[int, "Ranges"]]:
            for number, texts in kept_texts(view):
                here = find(texts)
                sizes = pc.fill_null(pc.binary_length(texts), 0).to_numpy().astype(np.int64)
                yield number, cut_lines(here, marks.of(number, here.hashes.size), sizes)

        return write_cuts(view, tick, found())


def _documents(view: View, first: int, last: int) -> Iterator[tuple[int, pa.Array]]:
    """The texts of the kept documents from the first to before the last; the others of their row groups are null."""
    before = 0
    for part in view.parts:
        count = int(kept_documents(view.file("duplicates.documents", part)).sum())
        if before < last and before + count > first:
            place = before
            for number, texts in kept_texts(view, [part]):
                order = place + np.cumsum(texts.is_valid().to_numpy(zero_copy_only=False)) - 1
                inside = pa.array((order >= first) & (order < last))
                yield number, pc.if_else(inside, texts, pa.scalar(None, texts.type))
                place = int(order[-1]) + 1 if len(order) else place
        before += count


def sentences(view: View, tick: Tick) -> int:
    """Spans of sentences that stand in the corpus more than once."""
    from pipeline.filters.dedup.repeats import Marks, mark_repeats
    from pipeline.filters.dedup.sentences import cut_spans, find_sentences, span_hashes
    from pipeline.filters.dedup.substrings import text_bytes

    options = view.config.duplicates.sentences
    assert options is not None
    with TemporaryFile(dir=view.root / "ledger") as file:
        marks = Marks(file)
        mark_repeats(
            lambda: ((number, span_hashes(find_sentences(texts), options.span)) for number, texts in kept_texts(view)),
            marks,
            at_most=sum(text_bytes(texts) for _, texts in kept_texts(view)) // 2,  # a letter and a terminal at least
            memory=table_memory(view),
            most=options.most,
            keep=options.keep,
        )

        def found() -> Iterator[tuple[int, "Ranges"]]:
            for number, texts in kept_texts(view):
                here = find_sentences(texts)
                yield number, cut_spans(here, marks.of(number, here.hashes.size), options.span)

        return write_cuts(view, tick, found())


def ngrams(view: View, tick: Tick) -> int:
    """Paragraphs and documents whose n-grams have been seen."""
    from pipeline.filters.dedup.bloom import NgramFilter, count_ngrams, filter_bits

    options = view.config.duplicates.ngrams
    assert options is not None
    shortest = options.shortest or options.size
    count = sum(
        count_ngrams(texts, ngram=options.size, shortest=shortest, remove=options.remove)
        for _, texts in kept_texts(view)
    )
    size = filter_bits(count, options.false_positives) // 8
    if size > table_memory(view):
        least = (size + LIBRARIES) / 1e6
        raise UserError(
            f"duplicates.memory: a filter of {count:,} n-grams at {options.false_positives:g} needs {least:,.0f}MB"
        )
    seen = NgramFilter(
        count,
        ngram=options.size,
        shortest=shortest,
        threshold=options.threshold,
        false_positives=options.false_positives,
        remove=options.remove,
    )
    return write_cuts(view, tick, ((number, seen(texts)) for number, texts in kept_texts(view)))


def substrings(view: View, tick: Tick) -> int:
    """Passages that stand in the corpus more than once."""
    from pipeline.filters.dedup.substrings import repeats_of

    options = view.config.duplicates.substrings
    assert options is not None
    found = repeats_of(lambda: kept_texts(view), options.tokens, options.keep, table_memory(view), view.root / "ledger")
    return write_cuts(view, tick, found)


def contamination(view: View, tick: Tick) -> int:
    """Evaluation texts, out of the documents that hold them: read again, the few that do."""
    from pipeline.filters.decontaminate.cuts import collision_cuts
    from pipeline.filters.kernels.spans import Ranges
    from pipeline.stages.evaluations import open_index

    options = view.config.decontaminate
    index, _ = open_index(options)

    def held() -> Iterator[tuple[int, list[str | None]]]:
        """The texts of each row group; None for those that hold nothing."""
        for part in view.parts:
            measured = row_groups(view.file("quality.contamination", part), ["contamination_ngrams"])
            for (number, texts), table in zip(kept_texts(view, [part]), measured, strict=True):
                holds = pc.greater(table["contamination_ngrams"].combine_chunks(), 0)
                yield number, pc.if_else(holds, texts, pa.scalar(None, texts.type)).to_pylist()

    documents = np.zeros(index.grams, np.int64)
    for _, texts in held():
        for text in filter(None, texts):
            documents[np.unique(index.places(text)[1])] += 1
    rare = documents <= options.max_documents

    def cuts(text: str | None) -> list[tuple[int, int]]:
        if text is None:
            return []
        words, grams = index.places(text)
        return collision_cuts(
            text,
            words[rare[grams]],
            ngram=options.ngram,
            window=options.window,
            shortest=options.min_characters,
            most=options.max_pieces,
        )

    def found() -> Iterator[tuple[int, Ranges]]:
        for number, texts in held():
            each = [cuts(text) for text in texts]
            edges = np.array([edge for ranges in each for edge in ranges], np.int64).reshape(-1, 2)
            counts = np.cumsum([0, *map(len, each)], dtype=np.int64)
            yield number, Ranges(counts, edges[:, 0].copy(), edges[:, 1].copy())

    return write_cuts(view, tick, found())


def decide(job: Job, tick: Tick, care: Care) -> int:
    """The outcome of the stage: which copies go, what is cut out of those that stay, and which are left with too little."""
    from pipeline.filters.batch import Batch
    from pipeline.filters.kernels.spans import apply, ranges_of, union

    wanted = job.config.cuts
    least, sentences = job.config.duplicates.min_words, job.config.duplicates.min_sentences
    sources = [
        row_groups(job.file("duplicates.documents"), ["cluster", "cluster_size", "similarity", "reason"]),
        row_groups(job.file("duplicates.signatures"), ["content_hash"]),
        *(row_groups(job.file(f"duplicates.{name}"), ["cuts"]) for name in wanted),
    ]
    texts = text_groups(job.file, job.config.edits) if wanted else iter(())
    row = 0
    with writer(job.out, SCHEMA, job.key) as out:
        for documents, hashes, *found in zip(*sources, strict=True):
            size = len(documents)
            alive = pc.is_valid(documents["cluster"]).combine_chunks()
            reason = pc.if_else(pc.is_null(hashes["content_hash"]), "crashed", documents["reason"])
            masks = {
                name: np.asarray(pc.fill_null(pc.equal(reason, name), False).to_numpy(), np.bool_)
                for name in ("exact", "minhash", "crashed")
            }
            cuts = pa.nulls(size, CUTS)
            if wanted:
                each = [ranges_of(table["cuts"]) for table in found]
                joined = union(each)
                stays = np.asarray(alive) & ~np.logical_or.reduce(list(masks.values()))
                cuts = joined.column(stays)
                left = Batch.from_arrow(apply(next(texts), joined)).words
                short = (left.words < least) | (left.sentences < (sentences or 0))
                for name, ranges in zip(wanted, each, strict=True):
                    masks[name] = stays & short & (np.diff(ranges.offsets) > 0)
            columns = [documents[name].combine_chunks() for name in ("cluster", "cluster_size", "similarity")]
            dropped = reasons_to_dropped(alive, failing_rules(masks, size))
            out.write_table(pa.Table.from_arrays([*columns, cuts, dropped], schema=SCHEMA))
            row += size
            tick(row, row)
    return row
