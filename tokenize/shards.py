"""Token shards: what training reads, and the way back from a token to the document it came from.

A directory holds `manifest.json`; `train-00000.npy`, … and `validation-00000.npy`, …: one-dimensional NumPy arrays of
uint16 (uint32 above 65,536 ids), each exactly `shard_tokens` long but the last of a split; and `documents.parquet`, one row
a document: split, start (in the tokens of the whole split), length (with its end-of-text), id, part, row, bytes (UTF-8, of
its text), language (null where unknown).

They are made in two steps, so that parts can be encoded side by side. `encode_part` turns the documents of one part into
tokens in shuffled order; `merge_parts` merges any number of those. A document's place depends on the seed and its id, and
its split on the seed and its cluster, so the shards are the same bytes however the documents were spread over parts.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.tokenize.mixing import Mixture
from pipeline.tokenize.parts import Header, PartWriter, read_indexes, read_tokens, tokens_path

if TYPE_CHECKING:  # so that reading shards loads no encoder
    from pipeline.tokenize.bpe import Tokenizer

VERSION = 2
SPLITS = ("train", "validation")
SHARD_TOKENS = 1 << 26  # 128 MiB of uint16

_BLOCK_TOKENS = 1 << 22
_BLOCK_ROWS = 1 << 16

_DOCUMENT_SCHEMA = pa.schema(
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Where tokens come from: `length` tokens from position `start` of their split; `row` of part `part` of the run."""

    id: str
    part: int
    row: int
    start: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """One split as one memory-mapped stream of `tokens` tokens; `bytes` are the UTF-8 bytes of its texts, 0 if unknown."""

    name: str
    tokens: int
    documents: int
    bytes: int
    dtype: np.dtype[Any]
    shards: tuple[np.ndarray, ...] = field(repr=False)

    def read(self, start: int, length: int) -> np.ndarray:
        """A copy of tokens start … start + length, in the shards' dtype; IndexError where the split has none."""
        if start < 0 or length < 0 or start + length > self.tokens:
            raise IndexError(f"tokens {start} to {start + length} of {self.name}, which has {self.tokens}")
        out = np.empty(length, self.dtype)
        size = len(self.shards[0]) if self.shards else 1  # all but the last are this long
        done = 0
        while done < length:
            number, offset = divmod(start + done, size)
            piece = self.shards[number][offset : offset + length - done]
            out[done : done + len(piece)] = piece
            done += len(piece)
        return out


class Shards:
    """An open directory of shards."""

    def __init__(self, directory: Path, manifest: dict[str, Any], splits: dict[str, Split]) -> None:
        self.directory = directory
        self.manifest = manifest
        self.splits = splits
        self._documents: dict[str, pa.Table] = {}
        self._starts: dict[str, np.ndarray] = {}

    @property
    def vocab_size(self) -> int:
        """The largest token id plus one."""
        return int(self.manifest["vocab_size"])

    @property
    def end_of_text(self) -> int:
        """The id that ends every document."""
        return int(self.manifest["end_of_text"])

    def documents(self, split: str) -> pa.Table:
        """The rows of `documents.parquet` of one split, by start."""
        if split not in self._documents:
            path = self.directory / "documents.parquet"
            try:
                table = pq.read_table(path, filters=[("split", "=", split)])
            except (OSError, pa.ArrowException) as error:
                raise UserError(f"{path}: {error}".splitlines()[0]) from error
            self._documents[split] = table.combine_chunks()
        return self._documents[split]

    def locate(self, split: str, position: int) -> Document:
        """The document that token `position` of a split belongs to; IndexError where the split has none."""
        if not 0 <= position < self.splits[split].tokens:
            raise IndexError(f"token {position} of {split}, which has {self.splits[split].tokens}")
        table = self.documents(split)
        if split not in self._starts:
            self._starts[split] = table["start"].to_numpy()
        row = int(np.searchsorted(self._starts[split], position, side="right")) - 1
        names = ("id", "part", "row", "start", "length")
        return Document(**{name: table[name][row].as_py() for name in names})

    def verify(self) -> None:
        """Read everything; UserError naming the first file whose checksum, order or totals are not the manifest's."""
        for name, split in self.splits.items():
            for shard in self.manifest["splits"][name]["shards"]:
                with (self.directory / shard["file"]).open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != shard["sha256"]:
                        raise UserError(f"{self.directory / shard['file']}: the checksum is not the manifest's")
            table = self.documents(name)
            lengths = table["length"].to_numpy()
            ends = np.cumsum(lengths)
            right = (
                len(table) == split.documents
                and int(lengths.sum()) == split.tokens
                and bool((table["start"].to_numpy() == ends - lengths).all())
                and (pc.sum(table["bytes"]).as_py() or 0) == split.bytes
            )
            if not right:
                raise UserError(
                    f"{self.directory / 'documents.parquet'}: does not add up to the manifest's {name} split"
                )


def open(path: str | Path) -> Shards:
    """Open a directory of shards, memory-mapped; UserError naming the file that is missing, corrupt or of the wrong size."""
    directory = Path(path)
    file = directory / "manifest.json"
    try:
        manifest = json.loads(file.read_text("utf-8"))
        if manifest["version"] != VERSION:
            raise UserError(f"{file}: version {manifest['version']}, this code reads {VERSION}")
        dtype = np.dtype(manifest["dtype"])
        int(manifest["vocab_size"]), int(manifest["end_of_text"])
        splits = {}
        for name, entry in manifest["splits"].items():
            shards = tuple(_map_shard(directory / shard["file"], dtype, shard["tokens"]) for shard in entry["shards"])
            counts = {key: int(entry[key]) for key in ("tokens", "documents", "bytes")}
            splits[name] = Split(name=name, **counts, dtype=dtype, shards=shards)
            sizes = [len(shard) for shard in shards]
            if sum(sizes) != counts["tokens"] or (sizes and ({*sizes[:-1]} > {sizes[0]} or sizes[-1] > sizes[0])):
                raise UserError(f"{file}: the shards of {name} do not add up")
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}; not a directory of shards, or an unfinished one") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: not a manifest of shards ({error!r})") from error
    return Shards(directory, manifest, splits)


def _map_shard(path: Path, dtype: np.dtype[Any], tokens: int) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: a missing, cut or corrupt shard ({error})") from error
    if array.dtype != dtype or array.shape != (tokens,) or path.stat().st_size != array.offset + array.nbytes:
        raise UserError(f"{path}: {array.dtype} {array.shape}; the manifest says {dtype} ({tokens},)")
    return np.asarray(array)


def write(
    directory: str | Path,
    documents: Iterable[tuple[str, np.ndarray]],
    *,
    vocab_size: int,
    end_of_text: int,
    shard_tokens: int = SHARD_TOKENS,
    seed: int = 0,
    validation: float = 0.0,
    tokenizer: str = "",
    token_bytes: np.ndarray | None = None,
) -> Shards:
    """Shards of (id, tokens) pairs, end-of-text appended to each: shuffled, split by id, row = place in the input, part 0.

    `tokenizer` is its sha256; `token_bytes`, the bytes of each id, fills the table's bytes, which are 0 (unknown) without.
    """
    out = Path(directory)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    header = Header(vocab_size=vocab_size, end_of_text=end_of_text, seed=seed, tokenizer=tokenizer)
    try:
        with PartWriter(part, header) as writer:
            for row, (name, tokens) in enumerate(documents):
                size = int(token_bytes[tokens].sum()) if token_bytes is not None else 0
                writer.add(name, name, 0, row, size, tokens)
        merge_parts([part], out, shard_tokens, validation)
    finally:
        part.unlink(missing_ok=True)
        tokens_path(part).unlink(missing_ok=True)
    return open(out)


def encode_part(
    tokenizer: "Tokenizer",
    batches: "Iterable[pa.RecordBatch]",
    *,
    part: int,
    out: Path,
    seed: int,
    metadata: dict[str, str] | None = None,
) -> int:
    """Encode one part's documents; returns its tokens. Memory: a batch, and some tens of bytes a document.

    A batch has id, cluster and text (strings), row (int64) and perhaps language (string); rows whose text is null are
    skipped, a null cluster is a cluster of its own. Two files appear, each whole or not at all: the tokens in the order of
    hash(seed, id), ties by id and row (`out` with the suffix `.tokens`), and then their index `out` (Parquet, with
    `metadata` in its schema), which thus stands for both.
    """
    header = Header(
        vocab_size=tokenizer.vocab_size, end_of_text=tokenizer.end_of_text, seed=seed, tokenizer=tokenizer.sha256
    )
    with PartWriter(out, header, metadata) as writer:
        for batch in batches:
            kept = batch.filter(pc.is_valid(batch["text"]))
            ids, offsets = tokenizer.encode_batch(kept["text"])
            sizes = pc.binary_length(kept["text"]).to_pylist()
            columns = [kept[name].to_pylist() for name in ("id", "cluster", "row")]
            languages = kept["language"].to_pylist() if "language" in kept.schema.names else [None] * len(kept)
            for i, (name, cluster, row, size, language) in enumerate(zip(*columns, sizes, languages, strict=True)):
                tokens = ids[offsets[i] : offsets[i + 1]]
                writer.add(name, cluster if cluster is not None else name, part, row, size, tokens, language)
    return writer.tokens


def merge_parts(
    part_files: Sequence[Path],
    out_dir: Path,
    shard_tokens: int,
    validation: float,
    mixture: Mixture | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Merge encoded parts into a directory of shards, in the order of hash(seed, id), ties by id, part and row.

    A mixture chooses among the documents, repeats them and orders them anew; what went in goes into the manifest, with
    what else there is to say `about` it.

    A cluster goes whole into validation if hash(seed, cluster), as a fraction of 2⁶⁴, is under `validation`. If that leaves
    one of the splits empty although there are two clusters, the cluster nearest to the border changes sides: the one of the
    smallest hash into validation, or of the largest into train. Memory: the parts' indexes; each part's tokens are read
    once, front to back. The directory appears whole under its name, in the place of an older one; UserError for parts that
    are missing, cut or of different tokenizers or seeds.
    """
    if shard_tokens < 1 or not 0 <= validation <= 1:
        raise UserError(
            f"shard_tokens is {shard_tokens} and validation {validation}; at least 1, and 0 to 1, are needed"
        )
    header, index = read_indexes(part_files)
    index = index.take(pc.sort_indices(index, [(name, "ascending") for name in ("key", "id", "part", "row")]))
    held_out = _held_out(index["split_key"].to_numpy(), validation)
    extra: dict[str, Any] = {}
    if mixture is not None:
        index, held_out, told = mixture.select(index, held_out, validation)
        extra["mixture"] = told | dict(about or {})

    building = out_dir.with_name(f".{out_dir.name}.building")
    replaced = out_dir.with_name(f".{out_dir.name}.replaced")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        _build(building, header, index, held_out, part_files, shard_tokens, extra)
        shutil.rmtree(replaced, ignore_errors=True)
        if out_dir.exists():
            os.rename(out_dir, replaced)
        os.rename(building, out_dir)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)


def _held_out(split_keys: np.ndarray, validation: float) -> np.ndarray:
    """Which documents are for validation."""
    border = int(validation * 2**64)
    held_out = split_keys < np.uint64(border) if border < 2**64 else np.ones(len(split_keys), bool)
    clusters = np.unique(split_keys)
    if 0 < validation < 1 and len(clusters) >= 2:
        if not held_out.any():
            held_out = split_keys == clusters[0]
        elif held_out.all():
            held_out = split_keys != clusters[-1]
    return held_out


def _build(
    directory: Path,
    header: Header,
    index: pa.Table,
    held_out: np.ndarray,
    part_files: Sequence[Path],
    shard_tokens: int,
    extra: dict[str, Any],
) -> None:
    splits: dict[str, Any] = {}
    with pq.ParquetWriter(directory / "documents.parquet", _DOCUMENT_SCHEMA, compression="zstd") as table:
        for name, chosen in zip(SPLITS, (~held_out, held_out), strict=True):
            documents = index.filter(pa.array(chosen))
            totals = {key: pc.sum(documents[key]).as_py() or 0 for key in ("length", "bytes")}
            blocks = _gather(documents, part_files, header)
            splits[name] = {
                "tokens": totals["length"],
                "documents": len(documents),
                "bytes": totals["bytes"],
                "shards": _write_shards(directory, name, blocks, totals["length"], shard_tokens, header),
            }
            _write_documents(table, name, documents)
    manifest = extra | {
        "version": VERSION,
        "dtype": header.dtype.name,
        "vocab_size": header.vocab_size,
        "end_of_text": header.end_of_text,
        "tokenizer": header.tokenizer,
        "splits": splits,
    }
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", "utf-8")


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
    directory: Path, split: str, blocks: Iterator[np.ndarray], left: int, shard_tokens: int, header: Header
) -> list[dict[str, Any]]:
    block = np.empty(0, header.dtype)
    shards: list[dict[str, Any]] = []
    while left:
        name, size = f"{split}-{len(shards):05d}.npy", min(left, shard_tokens)
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


def _write_documents(table: pq.ParquetWriter, split: str, documents: pa.Table) -> None:
    ends = np.cumsum(documents["length"].to_numpy())
    starts = pa.array(ends - documents["length"].to_numpy(), pa.int64())
    documents = documents.set_column(documents.schema.get_field_index("start"), "start", starts)
    for at in range(0, len(documents), _BLOCK_ROWS):
        rows = documents.slice(at, _BLOCK_ROWS)
        rows = rows.append_column("split", pa.repeat(pa.scalar(split), len(rows))).select(_DOCUMENT_SCHEMA.names)
        table.write_table(rows.cast(_DOCUMENT_SCHEMA))
