"""Shards: what training reads, and how to get from a token back to its document.

A directory holds `manifest.json`; `train-00000.npy`, … and `validation-00000.npy`, …, which are one-dimensional NumPy arrays of
uint16 (uint32 above 65,536 ids) with exactly `shard_tokens` tokens, except for the last of a split; and `documents.parquet`,
with one row per document: split, start (in the tokens of the split), length (including end-of-text), id, file (the number of
the input file), row (of its record in that file), bytes (UTF-8 bytes of its text), language (null if unknown). Appended
documents are in further shards and in a table of their own. The manifest, which names every file with its checksum, is replaced
last, atomically.

To read them: `np.load("train-00000.npy", mmap_mode="r")`, `torch.from_numpy(split.read(start, length))`,
`jnp.asarray(np.load("train-00000.npy", mmap_mode="r"))`.

They are made in two steps, so that parts can be encoded in parallel. `encode_part` turns the documents of one part into tokens
in shuffled order; `merge_parts` merges any number of encoded parts. A document's position depends on the seed and its id, its
split on the seed and its cluster, so the shards have the same bytes however the documents are divided into parts.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.arguments import (
    at_least,
    kind_of,
    not_one,
    one_number,
    one_option,
    one_text,
    one_whole_number,
    path_of,
    whole_numbers,
)
from pipeline.errors import UserError, did_you_mean
from pipeline.files import atomic_folder, lock_file, sweep, write_text
from pipeline.tokenize.encoded import MEMORY, Header, Parts, PartWriter, open_parts
from pipeline.tokenize.mixture import Mixture
from pipeline.tokenize.options import ShardOptions
from pipeline.tokenize.shard_writer import Documents, build

if TYPE_CHECKING:  # so that reading shards loads no encoder
    from pipeline.tokenize.bpe import Tokenizer

VERSION = 4
SPLITS = ("train", "validation")
SHARD_TOKENS = 1 << 26  # 128 MiB of uint16
_BLOCK_TOKENS, _BLOCK_ROWS = 1 << 20, 1 << 12  # documents added to a part together


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document: `length` tokens from position `start` of their split; its record is `row` of input file number `file`."""

    id: str
    file: int
    row: int
    start: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """One split as a memory-mapped stream of `tokens` tokens; `bytes` are the UTF-8 bytes of its texts, 0 if unknown."""

    name: str
    tokens: int
    documents: int
    bytes: int
    dtype: np.dtype[Any]
    shards: tuple[np.ndarray, ...] = field(repr=False)
    ends: np.ndarray = field(repr=False)
    """The end of each shard in the stream, int64."""

    def shard_at(self, position: int) -> tuple[int, int]:
        """The number of the shard that holds a token, and the token's offset in it."""
        number = int(np.searchsorted(self.ends, position, side="right"))
        return number, position - int(self.ends[number]) + len(self.shards[number])

    def read(self, start: int, length: int) -> np.ndarray:
        """A copy of tokens [start, start + length), in the shards' dtype; IndexError beyond the split."""
        if start < 0 or length < 0 or start + length > self.tokens:
            raise IndexError(f"tokens {start} to {start + length} of {self.name}, which has {self.tokens}")
        out = np.empty(length, self.dtype)
        copied = 0
        while copied < length:
            number, offset = self.shard_at(start + copied)
            piece = self.shards[number][offset : offset + length - copied]
            out[copied : copied + len(piece)] = piece
            copied += len(piece)
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
        """The rows of documents.parquet of one split, by start; ValueError for an unknown split."""
        self._split(split)
        if split not in self._documents:
            tables = []
            for path in [self.directory / table["file"] for table in self.manifest["documents"]]:
                try:
                    tables.append(pq.read_table(path, filters=[("split", "=", split)]))
                except (OSError, pa.ArrowException) as error:
                    raise UserError(f"{path}: {error}".splitlines()[0]) from error
            self._documents[split] = pa.concat_tables(tables).combine_chunks()
        return self._documents[split]

    def locate(self, split: str, position: int) -> Document:
        """The document of token `position` of a split; IndexError beyond the split, ValueError for an unknown split."""
        tokens = self._split(split).tokens
        one_whole_number(position, "position")
        if not 0 <= position < tokens:
            raise IndexError(f"token {position} of {split}, which has {tokens}")
        table = self.documents(split)
        if split not in self._starts:
            self._starts[split] = table["start"].to_numpy()
        row = int(np.searchsorted(self._starts[split], position, side="right")) - 1
        names = ("id", "file", "row", "start", "length")
        return Document(**{name: table[name][row].as_py() for name in names})

    def _split(self, name: str) -> Split:
        if name not in self.splits:
            known = ", ".join(self.splits)
            raise ValueError(f"split: {name!r} is not one of {known}{did_you_mean(name, self.splits)}")
        return self.splits[name]

    def verify_files(self) -> None:
        """Read all files; UserError naming the first one whose checksum is not that of the manifest."""
        listed = [shard for split in self.manifest["splits"].values() for shard in split["shards"]]
        for entry in [*listed, *self.manifest["documents"]]:
            path = self.directory / entry["file"]
            about = path.stat()
            if _sha256(path, about.st_size, about.st_mtime_ns, about.st_ino) != entry["sha256"]:
                raise UserError(f"{path}: damaged (its checksum does not match the manifest); delete it and run again")

    def verify(self) -> None:
        """Read everything; UserError naming the first file whose checksum, order or totals do not match the manifest."""
        self.verify_files()
        for name, split in self.splits.items():
            table = self.documents(name)
            lengths = table["length"].to_numpy()
            ends = np.cumsum(lengths)
            matches = (
                len(table) == split.documents
                and int(lengths.sum()) == split.tokens
                and bool((table["start"].to_numpy() == ends - lengths).all())
                and (pc.sum(table["bytes"]).as_py() or 0) == split.bytes
            )
            if not matches:
                raise UserError(f"{self.directory}: the documents do not match the manifest's {name} split")


def open(path: str | Path, tokenizer: "Tokenizer | None" = None) -> Shards:
    """Open a directory of shards, memory-mapped.

    UserError naming a file that is missing, corrupt or of the wrong size, and for shards that were not encoded with `tokenizer`
    (except those that `write` made without naming a tokenizer). `Shards.verify` compares checksums.
    """
    directory = path_of(path)
    file = directory / "manifest.json"
    try:
        manifest = json.loads(file.read_text("utf-8"))
        if manifest["version"] != VERSION:
            raise UserError(f"{file}: version {manifest['version']}; this code reads version {VERSION}")
        dtype = np.dtype(manifest["dtype"])
        int(manifest["vocab_size"]), int(manifest["end_of_text"])
        encoder = str(manifest["tokenizer"])
        splits = {}
        for name, entry in manifest["splits"].items():
            shards = tuple(_map_shard(directory / shard["file"], dtype, shard["tokens"]) for shard in entry["shards"])
            counts = {key: int(entry[key]) for key in ("tokens", "documents", "bytes")}
            ends = np.cumsum([len(shard) for shard in shards], dtype=np.int64)
            splits[name] = Split(name=name, **counts, dtype=dtype, shards=shards, ends=ends)
            if counts["tokens"] != (ends[-1] if shards else 0):
                raise UserError(f"{file}: the shards of {name} do not add up")
        for table in manifest["documents"]:
            _check_table(directory / table["file"], table["documents"])
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}; not a directory of shards, or an unfinished one") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: not a manifest of shards ({error!r})") from error
    if tokenizer is not None and encoder not in ("", tokenizer.sha256):
        raise UserError(
            f"{directory}: encoded with another tokenizer (sha256 {encoder[:12]}…) than the given one "
            f"({tokenizer.sha256[:12]}…); python -m pipeline run … makes them again"
        )
    return Shards(directory, manifest, splits)


@lru_cache(1 << 16)
def _sha256(path: Path, size: int, modified: int, inode: int) -> str:
    """SHA-256 of a file; of one that has not changed, it is computed once in a process, which may train many models on it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_table(path: Path, documents: int) -> None:
    """UserError unless the table of documents is there and complete, by its footer."""
    try:
        rows = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: a missing, truncated or corrupt table ({error})".splitlines()[0]) from error
    if rows != documents:
        raise UserError(f"{path}: {rows:,} documents; the manifest says {documents:,}")


def _map_shard(path: Path, dtype: np.dtype[Any], tokens: int) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: a missing, truncated or corrupt shard ({error})") from error
    if array.dtype != dtype or array.shape != (tokens,):
        raise UserError(f"{path}: {array.dtype} {array.shape}; the manifest says {dtype} ({tokens},)")
    size, expected = path.stat().st_size, array.offset + array.nbytes
    if size != expected:
        raise UserError(f"{path}: {size:,} bytes; {tokens:,} tokens take {expected:,}")
    return np.asarray(array)


def write(
    directory: str | Path,
    documents: Iterable[tuple[str, Sequence[int] | np.ndarray]],
    *,
    vocab_size: int,
    end_of_text: int,
    shard_tokens: int = SHARD_TOKENS,
    seed: int = 0,
    validation: float = 0.0,
    tokenizer: str = "",
    token_bytes: np.ndarray | None = None,
    overwrite: bool = False,
) -> Shards:
    """Write shards of (id, tokens) pairs, with end-of-text appended to each: shuffled, and split by id.

    In the table, row is the position in the input and file is 0. `tokenizer` is the tokenizer's sha256. `token_bytes`, the
    bytes of each id, gives the table's bytes; without it they are 0 (unknown). With `overwrite`, shards in `directory` are
    replaced as a whole; anything else there never is: UserError. ValueError for an id that is given twice, for a token beyond
    `vocab_size`, and for numbers beyond the bounds of the config's [shards]; TypeError for documents of another form.
    """
    not_one(documents, "documents", "(id, tokens) pairs", "(id, tokens)")
    at_least(vocab_size, "vocab_size")
    at_least(end_of_text, "end_of_text", 0)
    if end_of_text >= vocab_size:
        raise ValueError(f"end_of_text must be below vocab_size = {vocab_size}, not {end_of_text}")
    one_option(ShardOptions, "tokens", shard_tokens, "shard_tokens")
    one_option(ShardOptions, "seed", seed)
    one_number(validation, "validation")
    _check_division(shard_tokens, validation)
    out = path_of(directory, "directory")
    _check_free(out, overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(f".{out.name}.part.{os.getpid()}.tmp")
    scratch.mkdir()
    part = scratch / "part.parquet"
    header = Header(vocab_size=vocab_size, end_of_text=end_of_text, seed=seed, tokenizer=tokenizer)
    try:
        with PartWriter(part, header) as writer:
            row = 0
            for block in _blocks(documents):
                names = pa.array([name for name, _ in block], pa.string())
                tokens = np.concatenate([tokens for _, tokens in block])
                offsets = np.cumsum([0, *(len(tokens) for _, tokens in block)])
                sizes = np.zeros(len(block), np.int64)
                if token_bytes is not None:
                    sizes = np.diff(np.append(0, np.cumsum(token_bytes[tokens], dtype=np.int64))[offsets])
                rows = np.arange(row, row + len(block))
                writer.add(_documents(names, names, 0, rows, sizes), tokens, offsets)
                row += len(block)
        merge_parts([part], out, shard_tokens, validation)
    finally:
        shutil.rmtree(scratch)
    return open(out)


def _check_free(out: Path, overwrite: bool) -> None:
    """UserError if writing to `out` would delete something else than shards, or shards that may not be overwritten."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / "manifest.json").is_file():
        raise UserError(f"{out}: exists already, and is no directory of shards; choose another name")
    if not overwrite:
        raise UserError(f"{out}: has shards already; choose another name, or give overwrite=True")


def _blocks(documents: Iterable[tuple[str, Sequence[int] | np.ndarray]]) -> Iterator[list[tuple[str, np.ndarray]]]:
    """The same documents, in blocks."""
    block: list[tuple[str, np.ndarray]] = []
    ids: set[str] = set()
    size = 0
    for document in documents:
        if not isinstance(document, tuple | list) or len(document) != 2:
            raise TypeError(f"documents must be (id, tokens) pairs, not {kind_of(document)}")
        one_text(document[0], "the id of a document")
        whole_numbers(document[1], "the tokens of a document", "; encode the text first")
        if document[0] in ids:
            raise ValueError(f"the id {document[0]!r} is given twice; ids tell documents apart")
        ids.add(document[0])
        block.append((document[0], np.asarray(document[1], np.int64)))
        size += len(document[1]) + 1
        if size > _BLOCK_TOKENS or len(block) == _BLOCK_ROWS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _documents(names: Any, clusters: Any, files: Any, rows: Any, sizes: Any, languages: Any = None) -> pa.RecordBatch:
    """The columns for a PartWriter; `files` may be one number for all documents; null languages without `languages`."""
    if isinstance(files, int):
        files = pa.repeat(pa.scalar(files, pa.int32()), len(names))
    languages = pa.nulls(len(names), pa.string()) if languages is None else languages
    return pa.record_batch(
        {"id": names, "cluster": clusters, "file": files, "row": rows, "bytes": sizes, "language": languages}
    )


def encode_part(
    tokenizer: "Tokenizer",
    batches: "Iterable[pa.RecordBatch]",
    *,
    file: int | None = None,
    out: Path,
    seed: int,
    metadata: dict[str, str] | None = None,
) -> int:
    """Encode one part's documents; returns the number of tokens. Memory: a batch, the encoder, and 200 bytes per document.

    A batch has id, cluster and text (strings), row (int64) and possibly language (string); without `file`, the number of the
    input file, also file (int32). Rows with a null text are skipped; a null cluster is a cluster of its own. Two files are
    written, each complete or not at all: first the tokens in the order of hash(seed, id), ties by id, file and row (`out` with
    the suffix `.tokens`), then their index `out` (Parquet, with `metadata` in its schema). So if the index exists, both do.
    """
    header = Header(
        vocab_size=tokenizer.vocab_size, end_of_text=tokenizer.end_of_text, seed=seed, tokenizer=tokenizer.sha256
    )
    with PartWriter(out, header, metadata) as writer:
        for batch in batches:
            kept = batch.filter(pc.is_valid(batch["text"]))
            ids, offsets = tokenizer.encode_batch(kept["text"])
            clusters = pc.coalesce(kept["cluster"], kept["id"])
            language = kept["language"] if "language" in kept.schema.names else None
            files = kept["file"] if file is None else file
            documents = _documents(kept["id"], clusters, files, kept["row"], pc.binary_length(kept["text"]), language)
            writer.add(documents, ids, offsets)
    return writer.tokens


def merge_parts(
    part_files: Sequence[Path],
    out_dir: Path,
    shard_tokens: int,
    validation: float,
    mixture: Mixture | None = None,
    about: Mapping[str, Any] | None = None,
    memory: int = MEMORY,
) -> None:
    """Merge encoded parts into a directory of shards, in the order of hash(seed, id); ties by id, file and row.

    A mixture selects, repeats and reorders the documents; its report goes into the manifest, with the entries of `about`.

    A whole cluster goes into validation if hash(seed, cluster), as a fraction of 2⁶⁴, is below `validation`. If that leaves a
    split empty although there are two clusters, the cluster nearest to the border changes sides: the one with the smallest hash
    to validation, or the one with the largest to train. The index is read in pieces of `memory` bytes, which make no difference
    to the shards; blocks of some tens of megabytes come on top. A mixture's documents are sorted on disk, beside `out_dir`.
    The directory is replaced as a whole. UserError for parts that are missing, truncated or of different tokenizers or seeds.
    """
    _check_division(shard_tokens, validation)
    parts = open_parts(part_files, memory)
    header, border = parts.header, _border(parts, validation)
    manifest: dict[str, Any] = {
        "version": VERSION,
        "format": "each .npy has NumPy's header, then tokens: np.load(file, mmap_mode='r')",
        "dtype": header.dtype.name,
        "vocab_size": header.vocab_size,
        "end_of_text": header.end_of_text,
        "tokenizer": header.tokenizer,
        "seed": header.seed,
        "held_out_below": border,
        "shard_tokens": shard_tokens,
        "documents": [],
        "splits": {name: {"tokens": 0, "documents": 0, "bytes": 0, "shards": []} for name in SPLITS},
    }
    documents = _by_split(parts, border)
    mixing = out_dir.with_name(f".{out_dir.name}.mixing.{os.getpid()}.tmp")
    try:
        with atomic_folder(out_dir) as building:
            if mixture is not None:
                held_out = partial(_held_out, border=border)
                documents, report = mixture.select(parts.ranges, held_out, validation, mixing, memory)
                manifest["mixture"] = report | dict(about or {})
            _write_manifest(building, build(building, manifest, documents, parts))
    finally:
        shutil.rmtree(mixing, ignore_errors=True)


def _check_division(shard_tokens: int, validation: float) -> None:
    if shard_tokens < 1 or not 0 <= validation <= 1:
        raise UserError(
            f"shard_tokens is {shard_tokens} and validation {validation}; they must be at least 1, and 0 to 1"
        )


def append(directory: str | Path, part_files: Sequence[Path], about: Mapping[str, Any] | None = None) -> Shards:
    """Add the documents of encoded parts after the existing ones; existing files are not rewritten.

    The new documents are in the order that `merge_parts` would give them alone, in shards of the same size, and are held out by
    the same border, so a cluster of old and new documents is in one split. Open readers keep what they opened; later ones see
    everything. After a failure or a kill the directory is as before. `about` goes into the manifest's `appended`. UserError
    for parts of another tokenizer or seed, for an id that is already there, and if another process is appending.
    """
    directory = Path(directory)
    with _alone(directory):
        opened = open(directory)
        parts = open_parts(part_files)
        for name in ("vocab_size", "end_of_text", "seed", "tokenizer"):
            part_value, shards_value = getattr(parts.header, name), opened.manifest[name]
            if part_value != shards_value:
                raise UserError(
                    f"{part_files[0]}: encoded with {name} {part_value}, but {directory} has {shards_value}"
                )
        tokens = 0
        for index in parts.ranges():
            tokens += pc.sum(index["length"]).as_py() or 0
            for table in opened.manifest["documents"]:
                _refuse_repeated(directory / table["file"], index["id"])
        entry = {"documents": parts.documents, "tokens": tokens} | dict(about or {})
        try:
            documents = _by_split(parts, opened.manifest["held_out_below"])
            manifest = build(directory, opened.manifest, documents, parts)
            _write_manifest(directory, manifest | {"appended": [*manifest.get("appended", []), entry]})
        finally:
            _remove_unlisted(directory)
    return open(directory)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Lock the directory, so that one process appends at a time; the lock ends with the process, however it ends."""
    try:
        lock = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}") from error
    try:
        lock_file(lock, directory)
        yield
    except BlockingIOError:
        raise UserError(f"{directory}: another process is appending to it") from None
    finally:
        os.close(lock)


def _remove_unlisted(directory: Path) -> None:
    """Remove the files that the manifest does not name."""
    manifest = json.loads((directory / "manifest.json").read_text("utf-8"))
    listed = [*manifest["documents"], *(shard for split in manifest["splits"].values() for shard in split["shards"])]
    sweep(directory)
    for path in [*directory.glob("*.npy"), *directory.glob("documents*.parquet")]:
        if path.name not in {entry["file"] for entry in listed}:
            path.unlink(missing_ok=True)


def _write_manifest(directory: Path, manifest: Mapping[str, Any]) -> None:
    write_text(directory / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def _refuse_repeated(table: Path, ids: pa.ChunkedArray) -> None:
    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(columns=["id"]):
            known = batch["id"].cast(pa.large_string())
            repeated = pc.is_in(known, ids)
            if pc.any(repeated).as_py():
                name = known.filter(repeated)[0].as_py()
                raise UserError(f"{table.parent}: document {name} is already in it; append only new documents")


def _border(parts: Parts, validation: float) -> int:
    """The border between the splits: clusters with smaller keys are for validation."""
    border = int(validation * 2**64)
    if 0 < validation < 1:
        key_ranges = [pc.min_max(table["split_key"]).as_py() for table in parts.ranges() if len(table)]
        lowest = min((key_range["min"] for key_range in key_ranges), default=0)
        highest = max((key_range["max"] for key_range in key_ranges), default=0)
        if lowest < highest:
            border = min(max(border, lowest + 1), highest)
    return border


def _held_out(index: pa.Table, border: int) -> np.ndarray:
    keys = index["split_key"].to_numpy()
    return keys < np.uint64(border) if border < 2**64 else np.ones(len(keys), bool)


def _by_split(parts: Parts, border: int) -> dict[str, Documents]:
    """The documents of each split, range by range."""

    def chosen(held_out: bool, index: pa.Table) -> pa.Table:
        return index.filter(pa.array(_held_out(index, border) == held_out))

    def rows(held_out: bool) -> Iterator[pa.Table]:
        return map(partial(chosen, held_out), parts.ranges())  # map does not hold a range while the next is read

    return {"train": partial(rows, False), "validation": partial(rows, True)}
