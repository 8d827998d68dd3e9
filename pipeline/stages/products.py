"""The products: clean text, tokenizer, shards, model."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.config import Config, Mask
from pipeline.config import Tokenizer as TokenizerOptions
from pipeline.core.engines import Care, Tick
from pipeline.core.ledger import KEY, kept, row_groups, rows_in, writer
from pipeline.errors import UserError
from pipeline.files import atomic_folder
from pipeline.stages.job import Job, View, step_folder, text_groups
from pipeline.stages.measure import CONTAMINATION

if TYPE_CHECKING:
    from pipeline.tokenize.bpe import Tokenizer

END_OF_TEXT = "<|endoftext|>"
LIBRARIES = 550_000_000
"""Bytes that Python, Arrow, Numba, row groups and an encoder with full caches take, whatever the corpus: 507 MB were measured
on real text with a twentieth of its words misspelt (tests/benchmarks/tokenizer_memory.py)."""
ENCODER = 300_000_000
"""What an encoder's caches grow to at most, a thread: measured on four million made-up words. They took 150 MB of the 507."""
SMALLEST_TABLE = 50_000_000

CARRIED = ("id", "url", "date", "title", "published")
"""What clean/ takes over from the extract as it is."""


def clean(job: Job, tick: Tick, care: Care) -> int:
    """The kept rows: the final text, provenance, and every number measured on the way."""
    from pipeline.filters.edits import MEASURES
    from pipeline.filters.kernels.spans import apply, ranges_of
    from pipeline.filters.signals import stored_signals

    names = list(stored_signals(job.config.families))
    of_edit = [*MEASURES, *names] if job.config.edits else []
    kinds = tuple(dict.fromkeys(job.config.mask.kinds))
    scores = list(job.config.scores)
    schema = clean_schema([*names, *(f"edited_{name}" for name in of_edit), *scores], kinds)
    if job.config.contamination:
        for field in CONTAMINATION:
            schema = schema.append(field)
    sources = {
        "extract": [*CARRIED, "offset", "length"],
        "language": ["language", "language_score"],
        "quality": names,
        "duplicates": ["cluster", "cluster_size", "cuts", "dropped"],
    }
    if job.config.edits:
        sources["quality.edit"] = of_edit
    if scores:
        sources["quality.scores"] = scores
    if job.config.contamination:
        sources["quality.contamination"] = CONTAMINATION.names
    groups = [row_groups(job.file(step), columns) for step, columns in sources.items()]
    row = written = 0
    with writer(job.out, schema, job.key) as out:
        for text, *tables in zip(text_groups(job.file, job.config.edits), *groups, strict=True):
            tick(row, row)
            columns = {"text": text}
            if job.config.cuts:
                cuts = tables[list(sources).index("duplicates")]["cuts"]
                columns["text"] = apply(text, ranges_of(cuts)).cast(pa.string())
            for step, table in zip(sources, tables, strict=True):
                prefix = "edited_" if step == "quality.edit" else ""
                columns |= {f"{prefix}{name}": table[name] for name in table.column_names}
            count = len(text)
            columns["row"] = pa.array(np.arange(row, row + count) + job.first_row)
            columns["file"] = pa.array([job.part.path]).take(pa.array(np.zeros(count, np.int64)))
            stays = kept(columns["dropped"])
            columns = {name: values.filter(stays) for name, values in columns.items()}
            if kinds:
                columns |= mask_columns(columns["text"], job.config.mask)
            table = pa.table([columns[field.name] for field in schema], schema=schema)
            if len(table):
                out.write_table(table)
            row += count
            written += len(table)
    return written


def mask_columns(text: pa.Array, options: Mask) -> dict[str, pa.Array]:
    """The text with its personal data masked, and how many of each kind were."""
    from pipeline.filters.pii import mask_texts

    masked, counts = mask_texts(text, options.kinds, options.placeholders, public_ips_only=options.public_ips_only)
    return {"text": masked, **{f"masked_{kind}": pa.array(values) for kind, values in counts.items()}}


def clean_schema(signals: list[str], kinds: tuple[str, ...]) -> pa.Schema:
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
            *((f"masked_{kind}", pa.int32()) for kind in kinds),
            *((name, pa.float64()) for name in signals),
        ]
    )


def tokenizer(view: View, tick: Tick) -> int:
    """Train BPE on the clean text; tokenizer.json, and a report of what it achieves. Or take the one that is given."""
    from pipeline.tokenize import vocabulary_report
    from pipeline.tokenize.bpe import train_bpe

    documents = sum(rows_in(view.file("clean", part)) for part in view.parts)
    if not documents:
        raise UserError(
            f"no document is left to go on with; python -m pipeline stats {view.root} shows what removed them"
        )
    options = view.config.tokenizer
    done = 0

    def batches() -> Iterator[tuple[pa.Array, pa.Array]]:
        nonlocal done
        for part in view.parts:
            for table in row_groups(view.file("clean", part), ["text", "language"]):
                yield table["text"].combine_chunks(), table["language"].combine_chunks()
                done += len(table)
                tick(min(done, documents), done)

    if options.file is None:
        trained = train_bpe(
            (texts for texts, _ in batches()),
            options.vocab_size,
            (END_OF_TEXT,),
            _pattern(options),
            memory=options.memory_bytes - LIBRARIES,
            note=view.note,
            threads=view.workers,
        )
    else:
        trained = given_tokenizer(options)
        done = documents
    os.environ["FASTOKENS_BPE_THREADS"] = "1"  # beside ours; read once, when the first text is encoded
    threads = min(view.workers, 1 + (options.memory_bytes - LIBRARIES) // ENCODER)
    with atomic_folder(view.folder) as folder, ThreadPoolExecutor(threads) as pool:
        trained.save(folder / "tokenizer.json")
        report = vocabulary_report.measure(trained, batches(), pool)
        (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return documents


def check_tokens(config: Config) -> None:
    """Raise UserError, before any work, for a budget that is too small and a given tokenizer that is none."""
    budgets = {"tokenizer.memory": config.tokenizer.memory_bytes, "shards.memory": config.shards.memory_bytes}
    for key, memory in budgets.items():
        if memory < LIBRARIES + SMALLEST_TABLE:
            least, libraries = (LIBRARIES + SMALLEST_TABLE) / 1e6, LIBRARIES / 1e6
            raise UserError(f"{key}: {least:,.0f}MB or more are needed; libraries and encoder take {libraries:,.0f}MB")
    if config.tokenizer.file is not None:
        given_tokenizer(config.tokenizer)


def given_tokenizer(options: TokenizerOptions) -> "Tokenizer":
    """The one that `tokenizer.file` names, with an end of text; UserError for one that cannot be used."""
    from pipeline.tokenize.bpe import Tokenizer

    assert options.file is not None
    try:
        given = Tokenizer.from_file(options.file, pattern=_pattern(options))
        if END_OF_TEXT in given.special_tokens:
            return given
        return Tokenizer(given.vocab, given.merges, [*given.special_tokens, END_OF_TEXT], given.pattern)
    except UserError as error:
        raise UserError(f"tokenizer.file: {error}") from None


def _pattern(options: TokenizerOptions) -> str:
    from pipeline.tokenize.patterns import CL100K_PATTERN, GPT2_PATTERN

    return {"gpt2": GPT2_PATTERN, "cl100k": CL100K_PATTERN}[options.pattern]


def encode(job: Job, tick: Tick, care: Care) -> int:
    """A part's documents as tokens, in the order of the shuffle."""
    from pipeline.tokenize.bpe import Tokenizer
    from pipeline.tokenize.shards import encode_part

    def batches() -> Iterator[pa.RecordBatch]:
        for table in row_groups(job.file("clean"), ["id", "cluster", "text", "row", "language"]):
            for batch in table.to_batches():
                first = batch["row"][0].as_py() - job.first_row if len(batch) else 0
                tick(first, first)
                yield batch

    job.out.parent.mkdir(parents=True, exist_ok=True)
    trained = Tokenizer.from_file(step_folder(job.root, "tokenizer") / "tokenizer.json")
    encode_part(
        trained,
        batches(),
        file=job.part.file,
        out=job.out,
        seed=job.config.shards.seed,
        metadata={KEY.decode(): job.key},
    )
    return rows_in(job.file("clean"))


def shards(view: View, tick: Tick) -> int:
    """Merge the parts' tokens into shards of an exact size."""
    from pipeline.tokenize.shards import merge_parts

    files = [view.file("shards.encode", part) for part in view.parts]
    options = view.config.shards
    merge_parts(files, view.folder, options.tokens, options.validation, memory=options.memory_bytes - LIBRARIES)
    return sum(rows_in(file) for file in files)


def train(view: View, tick: Tick) -> int:
    """Train the model on the shards; the loop keeps its own checkpoints and goes on where it was."""
    # Before torch loads OpenMP: threads that spin while they wait make a busy machine several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from pipeline.train.loop import train as train_model

    result = train_model(
        view.config.train, step_folder(view.root, "shards"), view.folder, progress=view.on_train, note=view.note
    )
    return result.steps
