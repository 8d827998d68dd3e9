"""Writing shards: the documents of encoded parts, in a given order, as token files and a table behind what is there."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.tokenize.parts import Header, read_tokens, tokens_path

_BLOCK_TOKENS = 1 << 22
_BLOCK_ROWS = 1 << 16

DOCUMENT_SCHEMA = pa.schema(
    [
        ("split", pa.string()),
        ("start", pa.int64()),
        ("length", pa.int64()),
        ("id", pa.string()),
        ("part", pa.int32()),
        ("row", pa.int64()),
        ("bytes", pa.int64()),
        ("language", pa.string()),
    ]
)


def build(
    directory: Path,
    manifest: Mapping[str, Any],
    index: pa.Table,
    held_out: np.ndarray,
    part_files: Sequence[Path],
    header: Header,
) -> dict[str, Any]:
    """Write the new files of one generation of documents; the manifest with them, which is not written.

    Nothing that the manifest knows is touched. A file that it does not know, of a writing that was cut off, is overwritten.
    """
    tables: list[dict[str, Any]] = list(manifest["documents"])
    name = "documents.parquet" if not tables else f"documents-{len(tables):05d}.parquet"
    splits: dict[str, Any] = {}
    with pq.ParquetWriter(directory / name, DOCUMENT_SCHEMA, compression="zstd") as table:
        for split, chosen in (("train", ~held_out), ("validation", held_out)):
            documents = index.filter(pa.array(chosen))
            totals = {key: pc.sum(documents[key]).as_py() or 0 for key in ("length", "bytes")}
            old = manifest["splits"][split]
            blocks = _gather(documents, part_files, header)
            new = _write_shards(
                directory, split, len(old["shards"]), blocks, totals["length"], manifest["shard_tokens"], header
            )
            _write_documents(table, split, documents, old["tokens"])
            splits[split] = {
                "tokens": old["tokens"] + totals["length"],
                "documents": old["documents"] + len(documents),
                "bytes": old["bytes"] + totals["bytes"],
                "shards": [*old["shards"], *new],
            }
    with (directory / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    tables.append({"file": name, "documents": len(index), "sha256": digest})
    return {**manifest, "documents": tables, "splits": splits}


def _gather(documents: pa.Table, part_files: Sequence[Path], header: Header) -> Iterator[np.ndarray]:
    """The documents' tokens in order, in blocks of some megabytes."""
    block: list[np.ndarray] = []
    size = 0
    columns = [documents[name].to_numpy() for name in ("file", "start", "length")]
    for number, start, length in zip(*columns, strict=True):
        block.append(read_tokens(tokens_path(part_files[number]), header.dtype, int(start), int(length)))
        size += int(length)
        if size >= _BLOCK_TOKENS:
            yield np.concatenate(block)
            block, size = [], 0
    if block:
        yield np.concatenate(block)


def _write_shards(
    directory: Path,
    split: str,
    first: int,
    blocks: Iterator[np.ndarray],
    left: int,
    shard_tokens: int,
    header: Header,
) -> list[dict[str, Any]]:
    block = np.empty(0, header.dtype)
    shards: list[dict[str, Any]] = []
    while left:
        name, size = f"{split}-{first + len(shards):05d}.npy", min(left, shard_tokens)
        digest = hashlib.sha256()
        with (directory / name).open("w+b") as file:
            shape = {"descr": header.dtype.newbyteorder("<").str, "fortran_order": False, "shape": (size,)}
            np.lib.format.write_array_header_1_0(file, shape)
            file.seek(0)
            digest.update(file.read())
            missing = size
            while missing:
                if not len(block):
                    block = next(blocks)
                piece, block = block[:missing], block[missing:]
                file.write(piece.data)
                digest.update(piece.data)
                missing -= len(piece)
        shards.append({"file": name, "tokens": size, "sha256": digest.hexdigest()})
        left -= size
    return shards


def _write_documents(table: pq.ParquetWriter, split: str, documents: pa.Table, first: int) -> None:
    ends = first + np.cumsum(documents["length"].to_numpy())
    starts = pa.array(ends - documents["length"].to_numpy(), pa.int64())
    documents = documents.set_column(documents.schema.get_field_index("start"), "start", starts)
    for at in range(0, len(documents), _BLOCK_ROWS):
        rows = documents.slice(at, _BLOCK_ROWS)
        rows = rows.append_column("split", pa.repeat(pa.scalar(split), len(rows))).select(DOCUMENT_SCHEMA.names)
        table.write_table(rows.cast(DOCUMENT_SCHEMA))
