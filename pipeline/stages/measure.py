"""Measuring: functions of the text, for the rows that a gate let pass; every signal, whether a rule uses it or not."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Duplicates
from pipeline.core.engines import Care, Tick
from pipeline.core.ledger import kept, row_groups, writer
from pipeline.stages.job import Job, gate, text_groups


def measure(
    job: Job,
    gate: str,
    schema: pa.Schema,
    compute: Callable[..., list[pa.Array]],
    tick: Tick,
    care: Care,
    edited: bool = False,
    labels: bool = False,
) -> int:
    """Write the columns that `compute` gives for the text of each row kept at step `gate`; null for the others.

    The text is the extracted one, or with `edited` what the edits have left of it; with `labels` the languages come too.
    """
    row = 0
    sources = [text_groups(job.file, edited), row_groups(job.file(gate), ["dropped"])]
    if labels:
        sources.append(row_groups(job.file("language"), ["language"]))
    with writer(job.out, schema, job.key) as out:
        for text, gates, *languages in zip(*sources, strict=True):
            text = pc.if_else(kept(gates["dropped"]), text, pa.scalar(None, text.type))
            given = [text, *(table["language"].combine_chunks() for table in languages)]
            columns = _carefully(given, row, compute, tick, care) if care.single else None
            if columns is None:
                tick(row, row)
                columns = compute(*given)
            out.write_table(pa.Table.from_arrays(columns, schema=schema))
            row += len(text)
    return row


def _carefully(
    given: list[pa.Array], first: int, compute: Callable[..., list[pa.Array]], tick: Tick, care: Care
) -> list[pa.Array] | None:
    """`compute` row by row; a row to skip is treated as null, which `decide` reads as crashed."""
    rows = []
    for index in range(len(given[0])):
        one = [array.slice(index, 1) for array in given]
        if first + index in care.skip:
            one[0] = pa.nulls(1, one[0].type)
        else:
            tick(first + index, first + index)
        rows.append(compute(*one))
    return [pa.concat_arrays(columns) for columns in zip(*rows, strict=True)] if rows else None


def language(job: Job, tick: Tick, care: Care) -> int:
    """Label and score of every extracted text."""
    from pipeline.filters.language import LanguageIdentifier

    options = job.config.language
    identifier = LanguageIdentifier(Path(options.model) if options.model else None, options.characters)
    schema = pa.schema([("language", pa.string()), ("language_score", pa.float32())])
    return measure(job, gate(job.config), schema, lambda text: list(identifier.predict_columns(text)), tick, care)


def quality(job: Job, tick: Tick, care: Care) -> int:
    """The common signals and the families that the config names, whole: a rule added later re-measures nothing, unless it
    is the first on its family."""
    from pipeline.filters.signals import measure as signals
    from pipeline.filters.signals import need_languages, stored_signals

    plugins = job.config.plugged.signals
    names = stored_signals(job.config.families, plugins)
    schema = pa.schema([(name, pa.float64()) for name in names])

    def compute(text: pa.Array, languages: pa.Array | None = None) -> list[pa.Array]:
        return list(signals(text, names, languages, plugins).values())

    return measure(job, "language.decide", schema, compute, tick, care, labels=need_languages(names, plugins))


def edit(job: Job, tick: Tick, care: Care) -> int:
    """The edited text (null where nothing changes), what each rule removed, and every signal of what is left."""
    from pipeline.filters.edits import MEASURES, LineRules, edit_lines
    from pipeline.filters.plugins import apply_edits
    from pipeline.filters.signals import measure as signals
    from pipeline.filters.signals import need_languages, stored_signals

    rules, plugged = LineRules(**job.config.edit.line_rules()), job.config.plugged
    plugins, functions = plugged.signals, plugged.functions(job.config.edit.functions)
    names = stored_signals(job.config.families, plugins)
    schema = edit_schema((*rules.reasons, *functions), names)

    def compute(text: pa.Array, languages: pa.Array | None = None) -> list[pa.Array]:
        found = edit_lines(text, rules)
        null = text.is_null().to_numpy(zero_copy_only=False)
        removed = [counts[name] for name in rules.reasons for counts in (found.lines, found.words)]
        texts, measures = found.texts, found.measures
        if functions:
            applied = apply_edits(pc.coalesce(texts, text), functions)
            removed += [counts[name] for name in functions for counts in (applied.lines, applied.words)]
            texts = pc.if_else(pc.equal(applied.texts, text), pa.scalar(None, text.type), applied.texts)
            measures = {
                name: 1 - (1 - measures[name]) * kept
                for name, kept in zip(MEASURES, (applied.kept_lines, applied.kept_words), strict=True)
            }
        measured = signals(pc.coalesce(texts, text), names, languages, plugins)
        return [
            texts,
            *(pa.array(values, mask=null) for values in (*removed, *measures.values())),
            *measured.values(),
        ]

    return measure(job, "language.decide", schema, compute, tick, care, labels=need_languages(names, plugins))


def edit_schema(reasons: Sequence[str], signals: Sequence[str]) -> pa.Schema:
    """Columns of ledger/quality.edit."""
    from pipeline.filters.edits import MEASURES

    removed = [f"removed_{what}.{name}" for name in reasons for what in ("lines", "words")]
    numbers = [(name, pa.float64()) for name in (*MEASURES, *signals)]
    return pa.schema([("text", pa.string()), *((name, pa.int32()) for name in removed), *numbers])


def scores(job: Job, tick: Tick, care: Care) -> int:
    """What the model files of [scores] say of the text so far."""
    from pipeline.filters.models.scorers import open_scorers

    scorers = open_scorers(job.config.scores).values()

    def compute(text: pa.Array, languages: pa.Array) -> list[pa.Array]:
        null = text.is_null().to_numpy(zero_copy_only=False)
        return [pa.array(scorer(text, languages), mask=null) for scorer in scorers]

    schema = pa.schema([(name, pa.float64()) for name in job.config.scores])
    return measure(job, "language.decide", schema, compute, tick, care, edited=job.config.edits, labels=True)


CONTAMINATION = pa.schema(
    [
        ("contamination", pa.float64()),
        ("contamination_ngrams", pa.int32()),
        ("contaminated_by", pa.list_(pa.struct([("item", pa.string()), ("share", pa.float32())]))),
    ]
)
"""Columns of ledger/quality.contamination."""


def contamination(job: Job, tick: Tick, care: Care) -> int:
    """Which evaluation items the text so far holds n-grams of."""
    from pipeline.stages.evaluations import open_index

    index, names = open_index(job.config.decontaminate)

    def compute(text: pa.Array) -> list[pa.Array]:
        null = text.is_null().to_numpy(zero_copy_only=False)
        found = index.search(text)
        items = [
            None if empty else [{"item": names[place], "share": share} for place, share in held]
            for empty, held in zip(null, found.items, strict=True)
        ]
        return [
            pa.array(found.share, mask=null),
            pa.array(found.ngrams, mask=null),
            pa.array(items, CONTAMINATION.field("contaminated_by").type),
        ]

    return measure(job, "language.decide", CONTAMINATION, compute, tick, care, edited=job.config.edits)


def signatures(job: Job, tick: Tick, care: Care) -> int:
    """Content hash and MinHash band keys, for every row the language stage kept: a changed quality rule re-measures nothing."""
    from pipeline.filters.dedup.exact import content_hashes
    from pipeline.filters.minhash import MinHasher, band_columns, band_keys, value_columns

    options = job.config.duplicates
    hasher = MinHasher(options.bands * options.rows, options.ngram, options.seed, unit=options.unit)
    schema = signature_schema(options)

    def compute(text: pa.Array) -> list[pa.Array]:
        values = hasher.signatures(text)
        if options.verify == "signature":
            columns = value_columns(values, options.bands, options.rows)
        else:
            columns = band_columns(band_keys(values, options.bands, options.rows))
        return [content_hashes(text), pc.cast(pc.binary_length(text), pa.int64()), *columns.values()]

    return measure(job, "language.decide", schema, compute, tick, care, edited=job.config.edits)


def signature_schema(options: Duplicates) -> pa.Schema:
    """A column a band: its key, or, where signatures verify candidates, the values themselves, 8 bytes a row."""
    kind = pa.binary(8 * options.rows) if options.verify == "signature" else pa.uint64()
    names = band_names(options.bands)
    return pa.schema([("content_hash", pa.binary(16)), ("text_bytes", pa.int64()), *((name, kind) for name in names)])


def band_names(bands: int) -> list[str]:
    """Names of the band columns."""
    return [f"band_{band:02d}" for band in range(bands)]
