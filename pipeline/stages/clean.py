"""clean: the kept rows, with their final text, provenance and every number measured on the way."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.config import Config
from pipeline.core.engines import Progress, Retry
from pipeline.core.ledger import kept, row_groups, writer
from pipeline.core.part import EarlierRun, PartFiles, RunFiles
from pipeline.core.step import Column, Step, columns
from pipeline.filters.options import MaskOptions
from pipeline.stages.decontaminate import COLUMNS as CONTAMINATION_COLUMNS
from pipeline.stages.decontaminate import CONTAMINATION, FIND
from pipeline.stages.duplicates.outcome import DUPLICATES
from pipeline.stages.duplicates.verify import CLUSTERS
from pipeline.stages.edit import EDIT
from pipeline.stages.extract import EXTRACT
from pipeline.stages.language import COLUMNS as LANGUAGES
from pipeline.stages.language import LANGUAGE
from pipeline.stages.quality import QUALITY
from pipeline.stages.scores import SCORES

CARRIED = ("id", "url", "date", "title", "published")
"""Columns that clean/ copies from the extract step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is masked in the clean text, and the names of the numbers that clean/ includes."""

    mask: MaskOptions | None
    signals: tuple[str, ...]
    scores: tuple[str, ...]
    kept: tuple[str, ...]
    """Columns of the input that are kept."""


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
    from pipeline.filters.signals import stored_signals

    return Options(
        mask=config.mask if config.mask.kinds else None,
        signals=stored_signals(config.families, config.plugged.signals),
        scores=tuple(config.scores),
        kept=tuple(config.input.kept),
    )


def clean(files: PartFiles, options: Options, progress: Progress, retry: Retry) -> int:
    """Write the kept rows: the final text, provenance, and every number measured on the way."""
    from pipeline.filters.edits import MEASURES
    from pipeline.filters.kernels.spans import apply, ranges_of

    names = list(options.signals)
    of_edit = [*MEASURES, *names] if files.has(EDIT) else []
    kinds = tuple(dict.fromkeys(options.mask.kinds)) if options.mask else ()
    scores = list(options.scores)
    numbers = [*names, *(f"edited_{name}" for name in of_edit), *scores]
    schema = clean_schema(numbers, kinds, options.kept, contamination=files.has(FIND))
    sources = {
        EXTRACT: [*CARRIED, "offset", "length", *options.kept],
        LANGUAGE: ["language", "language_score"],
        QUALITY: names,
        DUPLICATES: ["cluster", "cluster_size", "cuts"],
    }
    if files.has(EDIT):
        sources[EDIT] = of_edit
    if scores:
        sources[SCORES] = scores
    if files.has(FIND):
        sources[FIND] = CONTAMINATION.names
    groups = [row_groups(files.file(step), columns) for step, columns in sources.items()]
    gates = row_groups(files.gate, ["dropped"])
    origins = files.origins()
    row = written = 0
    with writer(files.out, schema, files.key) as out:
        for text, gate, *tables in zip(files.texts(), gates, *groups, strict=True):
            progress(row, row)
            columns = {"text": text}
            if files.cuts:
                cuts = tables[list(sources).index(DUPLICATES)]["cuts"]
                columns["text"] = apply(text, ranges_of(cuts)).cast(pa.string())
            for step, table in zip(sources, tables, strict=True):
                prefix = step.prefix.replace(".", "_")
                columns |= {f"{prefix}{name}": table[name] for name in table.column_names}
            count = len(text)
            places = np.arange(row, row + count)
            columns["row"] = pa.array(origins.row_in_file(places))
            columns["file"] = origins.paths(places)
            stays = kept(gate["dropped"])
            columns = {name: values.filter(stays) for name, values in columns.items()}
            if options.mask:
                columns |= mask_columns(columns["text"], options.mask)
            table = pa.table([columns[field.name] for field in schema], schema=schema)
            if len(table):
                out.write_table(table)
            row += count
            written += len(table)
    return written


def mask_columns(text: pa.Array, options: MaskOptions) -> dict[str, pa.Array]:
    """The text with personal data masked, and how many items of each kind were masked."""
    from pipeline.filters.pii import mask_texts

    masked, counts = mask_texts(text, options.kinds, options.placeholders, public_ips_only=options.public_ips_only)
    return {"text": masked, **{f"masked_{kind}": pa.array(values) for kind, values in counts.items()}}


def clean_schema(
    signals: list[str], kinds: tuple[str, ...], kept: tuple[str, ...] = (), *, contamination: bool
) -> pa.Schema:
    """Columns of clean/*.parquet."""
    return pa.schema(
        [
            ("id", pa.string()),
            ("url", pa.string()),
            ("date", pa.string()),
            ("title", pa.string()),
            ("published", pa.string()),
            ("text", pa.string()),
            ("language", pa.string()),
            ("language_score", pa.float32()),
            ("cluster", pa.string()),
            ("cluster_size", pa.int32()),
            ("file", pa.string()),
            ("offset", pa.int64()),
            ("length", pa.int64()),
            ("row", pa.int64()),
            *((name, pa.string()) for name in kept),
            *((f"masked_{kind}", pa.int32()) for kind in kinds),
            *((name, pa.float64()) for name in signals),
            *(CONTAMINATION if contamination else ()),
        ]
    )


def _columns() -> tuple[Column, ...]:
    from pipeline.extract.page import COLUMNS as EXTRACTED

    meanings = {
        **{name: meaning for name, meaning in CLUSTERS.items() if name != "similarity"},
        **{name: LANGUAGES[name] for name in ("language", "language_score")},
        **{name: EXTRACTED[name] for name in (*CARRIED, "offset", "length", "input_COLUMN", "input")},
        "text": "the final text: edited, cut and masked where the config says so",
        "file": "the archive or file that the document comes from",
        "row": "number of its record in that file, from 0",
        "masked_KIND": "how many e-mail addresses, phone numbers or IP addresses were masked (`mask.kinds`)",
        "SIGNAL": "a signal of the text as it was extracted",
        "edited_SIGNAL": "a signal of the edited text, and `edited_removed_line_ratio`, `edited_removed_word_ratio`",
        "SCORE": "what the model of [scores.SCORE] gives",
        **CONTAMINATION_COLUMNS,
    }
    schema = clean_schema(
        ["SIGNAL", "edited_SIGNAL", "SCORE"], ("KIND",), ("input_COLUMN", "input"), contamination=True
    )
    return columns(schema, meanings)


def _documents(files: RunFiles) -> int:
    return files.rows(CLEAN)


def _kernels(options: Options) -> None:
    if options.mask:
        mask_columns(pa.array(["Warm up."]), options.mask)


CLEAN = Step(
    name="clean",
    title="write clean text",
    version=4,
    run=clean,
    options=_options,
    reads=(EXTRACT, LANGUAGE, QUALITY, DUPLICATES, EDIT, SCORES, FIND),
    text=True,
    kernels=_kernels,
    product=True,
    documents=_documents,
    columns=_columns,
)
