"""shards.encode: a part's documents as tokens. shards: the tokens of all parts, in arrays of an exact size."""

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.engines import Progress, Retry
from pipeline.core.ledger import KEY, Part, row_groups, rows_in
from pipeline.core.part import PartFiles, RunFiles
from pipeline.core.step import Column, Step, columns
from pipeline.stages.clean import CLEAN
from pipeline.stages.tokenizer import LIBRARIES, TOKENIZER
from pipeline.tokenize.options import ShardOptions


def encode(files: PartFiles, seed: int, progress: Progress, retry: Retry) -> int:
    """Write a part's documents as tokens, in shuffled order."""
    from pipeline.tokenize.bpe import Tokenizer
    from pipeline.tokenize.shards import encode_part

    origins = files.origins()
    paths = pa.array([piece.path for piece in files.part.pieces], pa.string())
    numbers = pa.array([piece.file for piece in files.part.pieces], pa.int32())

    def batches() -> Iterator[pa.RecordBatch]:
        for table in row_groups(files.file(CLEAN), ["id", "cluster", "text", "file", "row", "language"]):
            for batch in table.to_batches():
                pieces = pc.index_in(batch["file"], paths)
                first = origins.row_in_part(pieces[0].as_py(), batch["row"][0].as_py()) if len(batch) else 0
                progress(first, first)
                yield batch.set_column(batch.schema.get_field_index("file"), "file", numbers.take(pieces))

    files.out.parent.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(files.folders[TOKENIZER.name] / "tokenizer.json")
    encode_part(
        tokenizer,
        batches(),
        out=files.out,
        seed=seed,
        metadata={KEY.decode(): files.key},
    )
    return rows_in(files.file(CLEAN))


def _location(part: Part) -> list[int]:
    return [piece.file for piece in part.pieces]


def _encoded_columns() -> tuple[Column, ...]:
    from pipeline.tokenize.encoded import COLUMNS, PART_SCHEMA

    return columns(PART_SCHEMA, COLUMNS)


ENCODE = Step(
    name="shards.encode",
    title="encode",
    version=4,
    run=encode,
    options=lambda config, earlier: config.shards.seed,
    reads=(CLEAN, TOKENIZER),
    gated=False,
    libraries=("fastokens",),
    shows=False,
    location=_location,
    columns=_encoded_columns,
)


def shards(files: RunFiles, options: ShardOptions, progress: Progress) -> int:
    """Merge the parts' tokens into shards of an exact size."""
    from pipeline.tokenize.shards import merge_parts

    encoded = [files.file(ENCODE, part) for part in files.parts]
    merge_parts(encoded, files.folder, options.tokens, options.validation, memory=options.memory - LIBRARIES)
    return sum(rows_in(file) for file in encoded)


def _documents(files: RunFiles) -> int:
    manifest = json.loads((files.folders[SHARDS.name] / "manifest.json").read_text(encoding="utf-8"))
    return sum(split["documents"] for split in manifest["splits"].values())


def _document_columns() -> tuple[Column, ...]:
    from pipeline.tokenize.shard_writer import DOCUMENT_COLUMNS, DOCUMENT_SCHEMA

    return columns(DOCUMENT_SCHEMA, DOCUMENT_COLUMNS)


SHARDS = Step(
    name="shards",
    title="write shards",
    version=4,
    run=shards,
    options=lambda config, earlier: config.shards,
    reads=(ENCODE,),
    whole=True,
    gated=False,
    product=True,
    documents=_documents,
    columns=_document_columns,
    files={
        "train-NNNNN.npy": "tokens to train on: uint16, or uint32 above 65,536 ids; each document ends with end-of-text",
        "validation-NNNNN.npy": "held-out tokens; a duplicate cluster is never split between training and validation",
        "documents.parquet": "one row per document: the columns below",
        "manifest.json": "every file with its size and SHA-256, the tokenizer's SHA-256, seed, dtype, totals; how to read them",
    },
    passes=0,
)
