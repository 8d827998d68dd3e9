"""One part's documents as tokens on disk, in shuffled order, with an index to them."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.files import atomic, digest, undamaged

MEMORY = 1 << 28
ROW_BYTES = 500
"""Memory per row of the index while it is read, sorted, divided and written. Measured with ids of 47 characters: 475."""
_BLOCK_TOKENS = 1 << 20
_DOCUMENTS = 1 << 16  # documents read together
_BUFFERS = 1024  # buffers that one call may fill: IOV_MAX of Linux
_GROUP_ROWS = 1 << 14
DIGEST = "tokens.digest"
"""Metadata of an index: the BLAKE2b of its file of tokens."""

PART_SCHEMA = pa.schema(
    [
        ("key", pa.uint64()),
        ("split_key", pa.uint64()),
        ("id", pa.large_string()),
        ("file", pa.int32()),
        ("row", pa.int64()),
        ("start", pa.int64()),
        ("length", pa.int64()),
        ("bytes", pa.int64()),
        ("language", pa.string()),
    ]
)
COLUMNS = {
    "key": "hash of seed and id: the order of the shuffle",
    "split_key": "hash of seed and cluster: decides the split",
    "id": "the document's id",
    "file": "number of the input file",
    "row": "number of the record in that file",
    "start": "where its tokens start in the part's `.tokens` file",
    "length": "number of its tokens, including end-of-text",
    "bytes": "UTF-8 bytes of its text",
    "language": "its language; null if unknown",
}
"""The meaning of the columns of an encoded part's index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What all encoded parts of one set of shards have in common."""

    vocab_size: int
    end_of_text: int
    seed: int
    tokenizer: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the tokens: uint16 if it holds every id, else uint32."""
        return np.dtype(np.uint16 if self.vocab_size <= 1 << 16 else np.uint32)


class PartWriter:
    """Writes documents' tokens as they come, and shuffles them at the end; a failure leaves no file at `out`."""

    def __init__(self, out: Path, header: Header, metadata: dict[str, str] | None = None) -> None:
        self.tokens = 0
        self._out, self._header, self._metadata = out, header, metadata or {}
        self._spool_path = out.with_name(f".{out.name}.spool.{os.getpid()}.tmp")
        self._spool = self._spool_path.open("wb")
        self._batches: list[pa.RecordBatch] = []

    def add(self, documents: pa.RecordBatch, tokens: np.ndarray, offsets: np.ndarray) -> None:
        """Add documents without their end-of-text: document i has `tokens[offsets[i]:offsets[i + 1]]`.

        `documents` has the columns id, cluster, file, row, bytes and language. ValueError for an invalid token id.
        """
        header = self._header
        outside = (tokens < 0) | (tokens >= header.vocab_size)
        if outside.any():
            index = int(outside.argmax())
            name = documents["id"][int(np.searchsorted(offsets, index, side="right")) - 1]
            raise ValueError(f"document {name}: token {tokens[index]} is not in 0 … {header.vocab_size - 1}")
        ended = np.insert(tokens.astype(header.dtype), offsets[1:], header.end_of_text)
        self._spool.write(ended.data)
        lengths = np.diff(offsets) + 1
        columns = {
            "key": _hashes(b"order", header.seed, documents["id"]),
            "split_key": _hashes(b"split", header.seed, documents["cluster"]),
            "start": self.tokens + np.cumsum(lengths) - lengths,
            "length": lengths,
        }
        arrays = [pa.array(columns[name]) if name in columns else documents[name] for name in PART_SCHEMA.names]
        arrays = [array.cast(kind) for array, kind in zip(arrays, PART_SCHEMA.types, strict=True)]
        self._batches.append(pa.record_batch(arrays, schema=PART_SCHEMA))
        self.tokens += len(ended)

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._spool.close()
        try:
            if kind is None:
                self._finish()
        finally:
            self._spool_path.unlink(missing_ok=True)

    def _finish(self) -> None:
        index = pa.Table.from_batches(self._batches, PART_SCHEMA)
        index = index.take(pc.sort_indices(index, [(name, "ascending") for name in ("key", "id", "file", "row")]))
        locations = pa.table(
            {"part": np.zeros(len(index), np.int32), "start": index["start"], "length": index["length"]}
        )
        with atomic(tokens_path(self._out)) as temporary, temporary.open("wb") as file:
            content = hashlib.blake2b(digest_size=16)
            for block in gather([locations], [self._spool_path], self._header.dtype, _BLOCK_TOKENS):
                file.write(block.data)
                content.update(block.data)
        ends = np.cumsum(index["length"].to_numpy())
        starts = pa.array(ends - index["length"].to_numpy(), pa.int64())
        index = index.set_column(index.schema.get_field_index("start"), "start", starts)
        header = json.dumps(asdict(self._header), sort_keys=True)
        metadata = self._metadata | {"shards": header, DIGEST: content.hexdigest()}
        index = index.replace_schema_metadata(metadata)
        with atomic(self._out) as temporary:
            if len(index):
                size = _GROUP_ROWS
                pq.write_table(index, temporary, compression="zstd", row_group_size=size, write_page_checksum=True)
            else:  # without a row group: `datasets` cannot read an empty one, which write_table would make
                pq.ParquetWriter(temporary, index.schema, compression="zstd").close()


def _hashes(purpose: bytes, seed: int, texts: pa.Array) -> np.ndarray:
    """An 8-byte BLAKE2b of the seed and each text, as uint64."""
    start = hashlib.blake2b(f"{seed}\n".encode(), digest_size=8, person=purpose)
    digests = []
    for text in texts.to_pylist():
        digest = start.copy()
        digest.update(text.encode())
        digests.append(digest.digest())
    return np.frombuffer(b"".join(digests), "<u8")


def tokens_path(index: Path) -> Path:
    """The file of the tokens that belong to an index."""
    return index.with_suffix(".tokens")


def gather(
    tables: Iterable[pa.Table], files: Sequence[Path], dtype: np.dtype[Any], block_tokens: int
) -> Iterator[np.ndarray]:
    """The documents' tokens in order, in blocks of `block_tokens`; a block is valid until the next one is requested.

    A table has for each document the number of its token file (`part`), its `start` there and its `length`. The files are
    read, not memory-mapped, so that memory stays within the block.
    """
    block = np.empty(block_tokens, dtype)
    used = 0
    for table in tables:
        part, start, length = (table[name].to_numpy() for name in ("part", "start", "length"))
        doc_ends = np.cumsum(length)  # in the documents of this table
        doc_starts = doc_ends - length
        position, total = 0, int(length.sum())
        while position < total:
            first = int(np.searchsorted(doc_ends, position, side="right"))
            stop = min(position + block_tokens - used, int(doc_ends[min(first + _DOCUMENTS, len(doc_ends)) - 1]))
            selected = slice(first, np.searchsorted(doc_starts, stop))
            low, high = np.maximum(doc_starts[selected], position), np.minimum(doc_ends[selected], stop)
            _read(
                files,
                block,
                part[selected],
                start[selected] + low - doc_starts[selected],
                used + low - position,
                high - low,
            )
            used += stop - position
            position = stop
            if used == block_tokens:
                yield block
                used = 0
    if used:
        yield block[:used]


def _read(
    files: Sequence[Path],
    block: np.ndarray,
    part: np.ndarray,
    start: np.ndarray,
    position: np.ndarray,
    length: np.ndarray,
) -> None:
    """Read pieces of files to their positions in a block. Each file is opened once; adjacent pieces are read together."""
    order = np.lexsort((start, part))
    part, start, position, length = part[order], start[order], position[order], length[order]
    is_new_run = (np.diff(part) != 0) | (start[1:] != start[:-1] + length[:-1])
    runs = [0, *(np.flatnonzero(is_new_run) + 1).tolist(), len(part)]
    size = block.itemsize
    block_bytes = block.data.cast("B")
    pieces = [
        block_bytes[a:b] for a, b in zip((position * size).tolist(), ((position + length) * size).tolist(), strict=True)
    ]
    opened, descriptor = -1, -1
    try:
        for first, last in pairwise(runs):
            if part[first] != opened:
                if opened >= 0:
                    os.close(descriptor)
                    opened = -1
                descriptor = os.open(files[part[first]], os.O_RDONLY)
                opened = part[first]
            for low in range(first, last, _BUFFERS):
                high = min(last, low + _BUFFERS)
                count = os.preadv(descriptor, pieces[low:high], int(start[low]) * size)
                if count != int(length[low:high].sum()) * size:
                    raise OSError(f"{files[part[first]]}: truncated while being read")
    finally:
        if opened >= 0:
            os.close(descriptor)


def read_header(path: Path) -> Header:
    """The header of an encoded part; UserError for any other file."""
    try:
        with undamaged(path):
            schema = pq.read_schema(path)
        return Header(**json.loads(schema.metadata[b"shards"]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not an encoded part ({error!r})") from error


@dataclass(frozen=True, slots=True)
class Parts:
    """Encoded parts of one tokenizer and seed, as one index in the order of hash(seed, id); ties by id, file and row.

    It is read by ranges of hashes, within `memory` bytes, whatever the number of documents and parts.
    """

    files: tuple[Path, ...]
    header: Header
    documents: int
    memory: int

    def ranges(self) -> Iterator[pa.Table]:
        """The index in tables of about `memory` / ROW_BYTES rows; `part` is the index in `files` of the document's tokens."""
        count = max(1, -(-self.documents * ROW_BYTES // max(ROW_BYTES, self.memory)))
        for number in range(count):
            yield self._range(number, count)

    def _range(self, number: int, count: int) -> pa.Table:
        key = pc.field("key")
        low, high = (
            pa.scalar((bound << 64) // count - (bound == count), pa.uint64()) for bound in (number, number + 1)
        )
        in_range = (key >= low) & (key <= high if number + 1 == count else key < high)
        tables = []
        for number, path in enumerate(self.files):
            with undamaged(path):
                table = pq.read_table(path, filters=in_range, partitioning=None, page_checksum_verification=True)
                table = table.cast(PART_SCHEMA)
            part_numbers = pa.repeat(pa.scalar(number, pa.int32()), len(table))
            tables.append(table.append_column("part", part_numbers))
        table = pa.concat_tables(tables)
        return table.take(pc.sort_indices(table, [(name, "ascending") for name in ("key", "id", "file", "row")]))


def open_parts(part_files: Sequence[Path], memory: int = MEMORY) -> Parts:
    """Open encoded parts. UserError for a file that is not one or is damaged, and for parts that do not belong together.

    The tokens are read once to compare their digests: what goes into shards has no other check.
    """
    headers: dict[Header, Path] = {}
    documents = 0
    for path in part_files:
        header = read_header(path)
        try:
            with undamaged(path):
                table = pq.read_table(path, columns=["length"], partitioning=None, page_checksum_verification=True)
            lengths = table["length"]
            size = tokens_path(path).stat().st_size
        except OSError as error:
            raise UserError(f"{path}: not an encoded part ({error!r})") from error
        if size != (pc.sum(lengths).as_py() or 0) * header.dtype.itemsize:
            raise UserError(f"{tokens_path(path)}: its size does not match the index; delete it and run again")
        if digest(tokens_path(path)).encode() != table.schema.metadata.get(DIGEST.encode()):
            raise UserError(
                f"{tokens_path(path)}: damaged (its bytes are not those of its index); delete it and run again"
            )
        headers.setdefault(header, path)
        documents += len(lengths)
    if not headers:
        raise UserError("there are no encoded parts to merge")
    first, *others = headers
    if others:
        fields = [
            name for name, value in asdict(first).items() if any(asdict(other)[name] != value for other in others)
        ]
        paths = [str(headers[other]) for other in others]
        raise UserError(f"{', '.join(paths)}: encoded with a different {' and '.join(fields)} than {headers[first]}")
    return Parts(tuple(part_files), first, documents, memory)
