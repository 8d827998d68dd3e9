"""What each step does with a part (or with all of them). When and whether it runs is the runner's business.

A per-part function is called as `function(job, tick, care)` in a worker and writes one file; a whole-run function is called
as `function(view, tick)` in the parent. Heavy libraries are imported where they are used, so that `--help` and `stats` are
quick and cleaning never needs torch.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.engines import Care, Tick
from pipeline.ledger import (
    DROPPED,
    Part,
    alive_rows,
    atomic_folder,
    kept,
    read,
    reasons_to_dropped,
    row_groups,
    rows_in,
    writer,
)

FOLDERS = {"clean": "clean", "tokenizer": "tokenizer", "shards": "shards", "train": "train"}
"""Where a user looks for the products; every other step lives in ledger/."""
KEPT_SCALARS = ("id", "url", "date", "title")


def step_folder(root: Path, step: str) -> Path:
    """The folder of a step's files in the run directory."""
    return root / FOLDERS[step] if step in FOLDERS else root / "ledger" / step


def part_file(root: Path, step: str, part: Part) -> Path:
    """The file of a step for a part."""
    return step_folder(root, step) / f"{part.name}.parquet"


@dataclass(frozen=True, slots=True)
class Job:
    """A step's work on one part: everything a worker needs to know."""

    root: Path
    step: str
    part: Part
    key: str
    config: Config

    def file(self, step: str) -> Path:
        """The part's file of another step."""
        return part_file(self.root, step, self.part)

    @property
    def out(self) -> Path:
        """The file to write."""
        return self.file(self.step)


@dataclass(frozen=True, slots=True)
class View:
    """A step's work on the whole run."""

    root: Path
    step: str
    parts: tuple[Part, ...]
    key: str
    config: Config
    on_train: Callable[[Any], None] | None = None

    def file(self, step: str, part: Part) -> Path:
        """A part's file of a step."""
        return part_file(self.root, step, part)

    @property
    def folder(self) -> Path:
        """The folder to write."""
        return step_folder(self.root, self.step)


# extract ------------------------------------------------------------------------------------------------------------


def extract(job: Job, tick: Tick, care: Care) -> int:
    """Read the archive; one row a record, with its text or the reasons why it has none."""
    from pipeline.extract.archive import Record, read_records
    from pipeline.extract.page import SCHEMA, ExtractOptions, rows, to_batches

    wanted = job.config.extract
    options = ExtractOptions(**wanted.model_dump())
    position = 0

    def located() -> Iterator[Record]:
        nonlocal position
        for record in read_records(job.part.path, max_record_bytes=wanted.max_record_bytes):
            position = record.offset
            yield record

    with writer(job.out, SCHEMA, job.key) as out:
        found = rows(located(), options, archive=job.part.path, at=lambda row: tick(row, position), skip=care.skip)
        for batch in to_batches(found):
            out.write_batch(batch)
    return rows_in(job.out)


# measure: a function of the text, for the rows that a gate let pass ---------------------------------------------------


def measure(
    job: Job,
    gate: str,
    schema: pa.Schema,
    compute: Callable[[pa.Array], list[pa.Array]],
    tick: Tick,
    care: Care,
) -> int:
    """Write the columns that `compute` gives for the text of each row kept at step `gate`; null for the others."""
    row = 0
    pairs = zip(row_groups(job.file("extract"), ["text"]), row_groups(job.file(gate), ["dropped"]), strict=True)
    with writer(job.out, schema, job.key) as out:
        for texts, gates in pairs:
            text = texts["text"].combine_chunks()
            text = pc.if_else(kept(gates["dropped"]), text, pa.scalar(None, text.type))
            columns = _carefully(text, row, compute, tick, care) if care.single else None
            if columns is None:
                tick(row, row)
                columns = compute(text)
            out.write_table(pa.Table.from_arrays(columns, schema=schema))
            row += len(text)
    return row


def _carefully(
    text: pa.Array, first: int, compute: Callable[[pa.Array], list[pa.Array]], tick: Tick, care: Care
) -> list[pa.Array] | None:
    """`compute` row by row; a row to skip is treated as null, which `decide` reads as crashed."""
    rows = []
    for index in range(len(text)):
        one = text.slice(index, 1)
        if first + index in care.skip:
            one = pa.nulls(1, text.type)
        else:
            tick(first + index, first + index)
        rows.append(compute(one))
    return [pa.concat_arrays(columns) for columns in zip(*rows, strict=True)] if rows else None


def language(job: Job, tick: Tick, care: Care) -> int:
    """Label and score of every extracted text."""
    from pipeline.filters.language import LanguageIdentifier

    options = job.config.language
    identifier = LanguageIdentifier(Path(options.model) if options.model else None, options.characters)
    schema = pa.schema([("language", pa.string()), ("language_score", pa.float32())])
    return measure(job, "extract", schema, lambda text: list(identifier.predict_columns(text)), tick, care)


def quality(job: Job, tick: Tick, care: Care) -> int:
    """Every signal there is, whether a rule uses it or not: a rule added later re-measures nothing."""
    from pipeline.filters.signals import all_signals
    from pipeline.filters.signals import measure as signals

    names = list(all_signals())
    schema = pa.schema([(name, pa.float64()) for name in names])
    return measure(job, "language.decide", schema, lambda text: list(signals(text, names).values()), tick, care)


def signatures(job: Job, tick: Tick, care: Care) -> int:
    """Content hash and MinHash band keys, for every row the language stage kept: a changed quality rule re-measures nothing."""
    from pipeline.filters.exact import content_hashes
    from pipeline.filters.minhash import MinHasher, band_keys

    options = job.config.duplicates
    hasher = MinHasher(options.bands * options.rows, options.ngram, options.seed)
    names = band_names(options.bands)
    schema = pa.schema(
        [("content_hash", pa.binary(16)), ("text_bytes", pa.int64()), *((name, pa.uint64()) for name in names)]
    )

    def compute(text: pa.Array) -> list[pa.Array]:
        keys = band_keys(hasher.signatures(text), options.bands, options.rows)
        absent = np.asarray(hasher.absent(text))
        bands = [pa.array(np.ascontiguousarray(keys[:, band]), mask=absent) for band in range(options.bands)]
        return [content_hashes(text), pc.cast(pc.binary_length(text), pa.int64()), *bands]

    return measure(job, "language.decide", schema, compute, tick, care)


def band_names(bands: int) -> list[str]:
    """Names of the band columns."""
    return [f"band_{band:02d}" for band in range(bands)]


# decide: from the measured columns, in seconds --------------------------------------------------------------------------


def write_decision(job: Job, gate: str, columns: list[str], failing: Callable[[pa.Table], pa.Array]) -> int:
    """Write `dropped`: the failing rules of each row kept at `gate`, ["crashed"] where the measuring killed its worker."""
    alive = kept(read(job.file(gate), ["dropped"])["dropped"])
    table = read(job.file(job.step.removesuffix(".decide")), columns)
    crashed = pc.is_null(table[columns[0]]).combine_chunks()
    reasons = pc.if_else(crashed, pa.scalar(["crashed"], DROPPED), failing(table))
    schema = pa.schema([("dropped", DROPPED)])
    groups = [group.num_rows for group in row_groups(job.file(gate), ["dropped"])]
    dropped = reasons_to_dropped(alive, reasons)
    with writer(job.out, schema, job.key) as out:
        start = 0
        for length in groups:
            out.write_table(pa.Table.from_arrays([dropped.slice(start, length)], schema=schema))
            start += length
    return len(dropped)


def failing_rules(masks: dict[str, np.ndarray[Any, np.dtype[np.bool_]]], rows: int) -> pa.Array:
    """A list of the names whose mask is true, for each row."""
    matrix = np.stack(list(masks.values()), axis=1) if masks else np.zeros((rows, 0), np.bool_)
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(matrix.sum(axis=1), out=offsets[1:])
    names = pa.array(list(masks), pa.string()).take(pa.array(np.nonzero(matrix)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets), names, type=DROPPED)


def decide_language(job: Job, tick: Tick, care: Care) -> int:
    """`keep` and `min_score`."""
    options = job.config.language

    def failing(table: pa.Table) -> pa.Array:
        masks = {}
        if options.keep is not None:
            wanted = pc.is_in(table["language"], pa.array(options.keep, pa.string()))
            masks["keep"] = ~np.asarray(wanted.to_numpy(), np.bool_)
        scores = table["language_score"].to_numpy()
        masks["min_score"] = scores < np.float32(options.min_score)
        return failing_rules(masks, len(table))

    return write_decision(job, "extract", ["language", "language_score"], failing)


def decide_quality(job: Job, tick: Tick, care: Care) -> int:
    """Every rule of the config on its signal."""
    from pipeline.filters.rules import decide

    rules = job.config.rules
    names = list(dict.fromkeys(["words", *(rule.signal for rule in rules)]))

    def failing(table: pa.Table) -> pa.Array:
        languages = read(job.file("language"), ["language"])["language"].combine_chunks()
        return decide(rules, {name: table[name].combine_chunks() for name in names}, languages)

    return write_decision(job, "language.decide", names, failing)


# duplicates -------------------------------------------------------------------------------------------------------------


def duplicates(view: View, tick: Tick) -> int:
    """Clusters over the whole run; the kept document's id and the cluster's size for each row that came in."""
    from pipeline.filters.clusters import find_duplicates

    options = view.config.duplicates
    alive = np.concatenate([np.zeros(0, np.bool_), *(alive_rows(view.file("quality.decide", p)) for p in view.parts)])

    def column(name: str) -> Iterator[pa.ChunkedArray]:
        step = "extract" if name in KEPT_SCALARS else "duplicates.signatures"
        for part in view.parts:
            yield read(view.file(step, part), [name])[name]

    found = find_duplicates(
        column,
        alive,
        bands=band_names(options.bands),
        keep=options.keep,
        memory=options.memory_bytes,
        report=lambda done: tick(done, done),
    )
    schema = pa.schema([("cluster", pa.string()), ("cluster_size", pa.int32()), ("dropped", DROPPED)])
    start = 0
    for part in view.parts:
        groups = [len(group) for group in row_groups(view.file("quality.decide", part), ["dropped"])]
        with writer(view.file("duplicates", part), schema, view.key) as out:
            for length in groups:
                rows = slice(start, start + length)
                out.write_table(pa.Table.from_arrays(found.columns(rows), schema=schema))
                start += length
    return len(alive)


# products ---------------------------------------------------------------------------------------------------------------


def clean(job: Job, tick: Tick, care: Care) -> int:
    """The kept rows: text, provenance, and every number measured on the way."""
    from pipeline.filters.signals import all_signals

    names = list(all_signals())
    schema = clean_schema(names)
    sources = {
        "extract": [*KEPT_SCALARS, "text", "offset", "length"],
        "language": ["language", "language_score"],
        "quality": names,
        "duplicates": ["cluster", "cluster_size", "dropped"],
    }
    row = written = 0
    with writer(job.out, schema, job.key) as out:
        for tables in zip(*(row_groups(job.file(step), columns) for step, columns in sources.items()), strict=True):
            tick(row, row)
            columns = {name: table[name] for table in tables for name in table.column_names}
            count = len(tables[0])
            columns["row"] = pa.array(np.arange(row, row + count))
            columns["file"] = pa.array([job.part.path]).take(pa.array(np.zeros(count, np.int64)))
            mask = kept(columns["dropped"])
            table = pa.table([columns[field.name] for field in schema], schema=schema).filter(mask)
            if len(table):
                out.write_table(table)
            row += count
            written += len(table)
    return written


def clean_schema(signals: list[str]) -> pa.Schema:
    """Columns of clean/*.parquet."""
    return pa.schema(
        [
            ("id", pa.string()),
            ("url", pa.string()),
            ("date", pa.string()),
            ("title", pa.string()),
            ("text", pa.string()),
            ("language", pa.string()),
            ("language_score", pa.float32()),
            ("cluster", pa.string()),
            ("cluster_size", pa.int32()),
            ("file", pa.string()),
            ("offset", pa.int64()),
            ("length", pa.int64()),
            ("row", pa.int64()),
            *((name, pa.float64()) for name in signals),
        ]
    )


def tokenizer(view: View, tick: Tick) -> int:
    """Train BPE on the clean text; tokenizer.json, and a report of what it achieves."""
    from dataclasses import asdict

    from pipeline.tokenize import bpe

    options = view.config.tokenizer
    pattern = {"gpt2": bpe.GPT2_PATTERN, "cl100k": bpe.CL100K_PATTERN}[options.pattern]
    documents = 0

    def texts() -> Iterator[str]:
        nonlocal documents
        for part in view.parts:
            for table in row_groups(view.file("clean", part), ["text"]):
                yield from table["text"].to_pylist()
                documents += len(table)
                tick(documents, documents)

    trained = bpe.train_bpe(texts(), options.vocab_size, (END_OF_TEXT,), pattern)
    with atomic_folder(view.folder) as folder:
        trained.save(folder / "tokenizer.json")
        report = bpe.report(trained, texts())
        (folder / "report.json").write_text(json.dumps(asdict(report), indent=1, sort_keys=True) + "\n")
    return documents


END_OF_TEXT = "<|endoftext|>"


def encode(job: Job, tick: Tick, care: Care) -> int:
    """A part's documents as tokens, in the order of the shuffle."""
    from pipeline.tokenize.bpe import Tokenizer
    from pipeline.tokenize.shards import encode_part

    def batches() -> Iterator[pa.RecordBatch]:
        for table in row_groups(job.file("clean"), ["id", "cluster", "text", "row"]):
            for batch in table.to_batches():
                tick(batch["row"][0].as_py() if len(batch) else 0, 0)
                yield batch

    options = job.config.shards
    trained = Tokenizer.from_file(step_folder(job.root, "tokenizer") / "tokenizer.json")
    encode_part(
        trained, batches(), part=job.part.index, out=job.out, seed=options.seed, validation=options.validation, key=job.key
    )
    return rows_in(job.file("clean"))


def shards(view: View, tick: Tick) -> int:
    """Merge the parts' tokens into shards of an exact size."""
    from pipeline.tokenize.shards import merge_parts

    files = [view.file("shards.encode", part) for part in view.parts]
    merge_parts(files, view.folder, shard_tokens=view.config.shards.tokens)
    return sum(rows_in(file) for file in files)


def train(view: View, tick: Tick) -> int:
    """Train the model on the shards; the loop keeps its own checkpoints and goes on where it was."""
    from pipeline.train.loop import train as train_model

    result = train_model(view.config.train, step_folder(view.root, "shards"), view.folder, progress=view.on_train)
    return result.steps
