"""Writes shards: the documents of encoded parts, in a given order, as token files and a table, after those that exist."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.tokenize.encoded import Header, Parts, gather, tokens_path

_BLOCK_TOKENS = 1 << 22
_BLOCK_ROWS = 1 << 16

DOCUMENT_SCHEMA = pa.schema(
    [
        ("split", pa.string()),
        ("start", pa.int64()),
        ("length", pa.int64()),
        ("id", pa.string()),
        ("file", pa.int32()),
        ("row", pa.int64()),
        ("bytes", pa.int64()),
        ("language", pa.string()),
    ]
)
DOCUMENT_COLUMNS = {
    "split": "`train` or `validation`",
    "start": "position of its first token in the split",
    "length": "number of its tokens, including end-of-text",
    "id": "the document's id",
    "file": "number of the input file",
    "row": "number of the record in that file",
    "bytes": "UTF-8 bytes of its text; 0 if unknown",
    "language": "its language; null if unknown",
}
"""The meaning of the columns of documents.parquet."""

Documents = Callable[[], Iterator[pa.Table]]
"""Returns the rows of an index in order, table by table; it is called several times."""


def build(
    directory: Path, manifest: Mapping[str, Any], documents: Mapping[str, Documents], parts: Parts
) -> dict[str, Any]:
    """Write the shards and the table of new documents, by split; returns the manifest with them, without writing it.

    Files in the manifest are not changed. Other files, left by an interrupted write, are overwritten.
    """
    tables: list[dict[str, Any]] = list(manifest["documents"])
    name = "documents.parquet" if not tables else f"documents-{len(tables):05d}.parquet"
    splits: dict[str, Any] = {}
    files = [tokens_path(path) for path in parts.files]
    count = 0
    with pq.ParquetWriter(directory / name, DOCUMENT_SCHEMA, compression="zstd") as table:
        for split, rows in documents.items():
            totals = dict.fromkeys(("documents", "tokens", "bytes"), 0)
            for rows_table in rows():
                totals["documents"] += len(rows_table)
                totals["tokens"] += pc.sum(rows_table["length"]).as_py() or 0
                totals["bytes"] += pc.sum(rows_table["bytes"]).as_py() or 0
            old = manifest["splits"][split]
            blocks = gather(rows(), files, parts.header.dtype, _BLOCK_TOKENS)
            size = manifest["shard_tokens"]
            new = _write_shards(directory, split, len(old["shards"]), blocks, totals["tokens"], size, parts.header)
            _write_documents(table, split, rows(), old["tokens"])
            splits[split] = {key: old[key] + value for key, value in totals.items()}
            splits[split]["shards"] = [*old["shards"], *new]
            count += totals["documents"]
    with (directory / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    tables.append({"file": name, "documents": count, "sha256": digest})
    return {**manifest, "documents": tables, "splits": splits}


def _write_shards(
    directory: Path,
    split: str,
    first: int,
    blocks: Iterator[np.ndarray],
    remaining: int,
    shard_tokens: int,
    header: Header,
) -> list[dict[str, Any]]:
    block = np.empty(0, header.dtype)
    shards: list[dict[str, Any]] = []
    while remaining:
        name, size = f"{split}-{first + len(shards):05d}.npy", min(remaining, shard_tokens)
        digest = hashlib.sha256()
        with (directory / name).open("w+b") as file:
            shape = {"descr": header.dtype.newbyteorder("<").str, "fortran_order": False, "shape": (size,)}
            np.lib.format.write_array_header_1_0(file, shape)
            file.seek(0)
            digest.update(file.read())
            shard_remaining = size
            while shard_remaining:
                if not len(block):
                    block = next(blocks)
                piece, block = block[:shard_remaining], block[shard_remaining:]
                file.write(piece.data)
                digest.update(piece.data)
                shard_remaining -= len(piece)
        shards.append({"file": name, "tokens": size, "sha256": digest.hexdigest()})
        remaining -= size
    return shards


def _write_documents(table: pq.ParquetWriter, split: str, tables: Iterator[pa.Table], position: int) -> None:
    for rows in _evenly(tables, _BLOCK_ROWS):
        ends = position + np.cumsum(rows["length"].to_numpy())
        starts = pa.array(ends - rows["length"].to_numpy(), pa.int64())
        rows = rows.set_column(rows.schema.get_field_index("start"), "start", starts)
        rows = rows.append_column("split", pa.repeat(pa.scalar(split), len(rows))).select(DOCUMENT_SCHEMA.names)
        table.write_table(rows.cast(DOCUMENT_SCHEMA))
        position = int(ends[-1])


def _evenly(tables: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of `size` rows, the last with fewer, so that the output does not depend on how they arrive."""
    pending: list[pa.Table] = []
    count = 0
    for table in tables:
        while count + len(table) >= size:
            yield pa.concat_tables([*pending, table.slice(0, size - count)]).combine_chunks()
            table = table.slice(size - count)
            pending, count = [], 0
        if len(table):
            pending.append(table)
            count += len(table)
    if pending:
        yield pa.concat_tables(pending).combine_chunks()
