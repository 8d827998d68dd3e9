"""One part's documents as tokens on disk, in shuffled order, with an index to them."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.files import atomic

MEMORY = 1 << 28
ROW_BYTES = 500
"""Of memory for a row of the index: as it is read, sorted, divided and written. Measured with ids of 47 characters: 475."""
_BLOCK_ROWS = 1 << 12  # as Python objects they take ten times the room
_GROUP_ROWS = 1 << 14

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
    "row": "place in that file",
    "start": "where its tokens start in the part's `.tokens` file",
    "length": "its tokens, end-of-text included",
    "bytes": "bytes of its text in UTF-8",
    "language": "its language; null where unknown",
}
"""What the columns of a part's index mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What all parts of one set of shards agree on."""

    vocab_size: int
    end_of_text: int
    seed: int
    tokenizer: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the tokens: the smaller type that holds every id."""
        return np.dtype(np.uint16 if self.vocab_size <= 1 << 16 else np.uint32)


class PartWriter:
    """Tokens of documents as they come in, put into shuffled order at the end; a failure leaves no file of that name."""

    def __init__(self, out: Path, header: Header, metadata: dict[str, str] | None = None) -> None:
        self.tokens = 0
        self._out, self._header, self._metadata = out, header, metadata or {}
        self._spool_path = out.with_name(f".{out.name}.spool.{os.getpid()}.tmp")
        self._spool = self._spool_path.open("wb")
        self._rows: list[tuple[Any, ...]] = []
        self._batches: list[pa.RecordBatch] = []

    def add(
        self, name: str, cluster: str, file: int, row: int, size: int, tokens: np.ndarray, language: str | None = None
    ) -> None:
        """One document, without its end-of-text."""
        header = self._header
        if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < header.vocab_size:
            raise ValueError(
                f"document {name}: token {tokens.min()} or {tokens.max()} is not in 0 … {header.vocab_size - 1}"
            )
        self._spool.write(tokens.astype(header.dtype).tobytes())
        self._spool.write(header.dtype.type(header.end_of_text).tobytes())
        keys = _hash(b"order", header.seed, name), _hash(b"split", header.seed, cluster)
        self._rows.append((*keys, name, file, row, self.tokens, len(tokens) + 1, size, language))
        self.tokens += len(tokens) + 1
        if len(self._rows) == _BLOCK_ROWS:
            self._flush()

    def _flush(self) -> None:
        columns = list(zip(*self._rows, strict=True)) or [()] * len(PART_SCHEMA)
        arrays = [pa.array(values, kind.type) for values, kind in zip(columns, PART_SCHEMA, strict=True)]
        self._batches.append(pa.record_batch(arrays, schema=PART_SCHEMA))
        self._rows = []

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
        self._flush()
        index = pa.Table.from_batches(self._batches, PART_SCHEMA)
        index = index.take(pc.sort_indices(index, [(name, "ascending") for name in ("key", "id", "row")]))
        size = self._header.dtype.itemsize
        with (
            atomic(tokens_path(self._out)) as temporary,
            temporary.open("wb") as file,
            self._spool_path.open("rb") as spool,
        ):
            for start, length in zip(index["start"].to_numpy(), index["length"].to_numpy(), strict=True):
                spool.seek(int(start) * size)
                file.write(spool.read(int(length) * size))
        ends = np.cumsum(index["length"].to_numpy())
        starts = pa.array(ends - index["length"].to_numpy(), pa.int64())
        index = index.set_column(index.schema.get_field_index("start"), "start", starts)
        metadata = self._metadata | {"shards": json.dumps(asdict(self._header), sort_keys=True)}
        index = index.replace_schema_metadata(metadata)
        with atomic(self._out) as temporary:
            pq.write_table(index, temporary, compression="zstd", row_group_size=_GROUP_ROWS)


def _hash(purpose: bytes, seed: int, text: str) -> int:
    digest = hashlib.blake2b(f"{seed}\n{text}".encode(), digest_size=8, person=purpose).digest()
    return int.from_bytes(digest, "little")


def tokens_path(index: Path) -> Path:
    """The tokens that an index belongs to."""
    return index.with_suffix(".tokens")


def read_tokens(path: Path, dtype: np.dtype[Any], start: int, length: int) -> np.ndarray:
    """Some tokens of a file of bare tokens; read and not mapped, so that memory stays within what is asked for."""
    return np.fromfile(path, dtype, length, offset=start * dtype.itemsize)


def read_header(path: Path) -> Header:
    """What a part was encoded with; UserError for a file that is no part."""
    try:
        return Header(**json.loads(pq.read_schema(path).metadata[b"shards"]))
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not an encoded part ({error!r})") from error


@dataclass(frozen=True, slots=True)
class Parts:
    """Encoded parts of one tokenizer and seed, as one index in the order of hash(seed, id), ties by id, file and row.

    It is read range of hashes by range, within `memory` bytes, whatever the number of documents and of parts.
    """

    files: tuple[Path, ...]
    header: Header
    documents: int
    memory: int

    def ranges(self) -> Iterator[pa.Table]:
        """The index in tables of about `memory` / ROW_BYTES rows; `part` is which of `files` holds the document's tokens."""
        count = max(1, -(-self.documents * ROW_BYTES // max(ROW_BYTES, self.memory)))
        for number in range(count):
            yield self._range(number, count)

    def _range(self, number: int, count: int) -> pa.Table:
        key = pc.field("key")
        low, high = (
            pa.scalar((bound << 64) // count - (bound == count), pa.uint64()) for bound in (number, number + 1)
        )
        wanted = (key >= low) & (key <= high if number + 1 == count else key < high)
        tables = []
        for number, path in enumerate(self.files):
            table = pq.read_table(path, filters=wanted, partitioning=None)
            place = pa.repeat(pa.scalar(number, pa.int32()), len(table))
            tables.append(table.cast(PART_SCHEMA).append_column("part", place))
        table = pa.concat_tables(tables)
        return table.take(pc.sort_indices(table, [(name, "ascending") for name in ("key", "id", "file", "row")]))


def open_parts(part_files: Sequence[Path], memory: int = MEMORY) -> Parts:
    """UserError for a file that is no part or is cut, and for parts that do not belong together."""
    headers: dict[Header, Path] = {}
    documents = 0
    for path in part_files:
        header = read_header(path)
        try:
            lengths = pq.read_table(path, columns=["length"], partitioning=None)["length"]
            size = tokens_path(path).stat().st_size
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path}: not an encoded part ({error!r})") from error
        if size != (pc.sum(lengths).as_py() or 0) * header.dtype.itemsize:
            raise UserError(f"{tokens_path(path)}: its size is not the index's")
        headers.setdefault(header, path)
        documents += len(lengths)
    if not headers:
        raise UserError("there is no encoded part to merge")
    first, *others = headers
    if others:
        fields = [name for name, value in asdict(first).items() if any(asdict(each)[name] != value for each in others)]
        paths = [str(headers[each]) for each in others]
        raise UserError(f"{', '.join(paths)}: encoded with another {' and '.join(fields)} than {headers[first]}")
    return Parts(tuple(part_files), first, documents, memory)
