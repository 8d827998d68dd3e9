"""Token shards in the formats that other trainers read.

A format is one entry of FORMATS: a function that fills an empty folder and returns the files it wrote, the code that reads
such a file, and a line of help. `python -m pipeline export` offers every entry.
"""

import csv
import gzip
import io
import pickle
import shlex
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.tokenize.shards import Shards, Split

_BLOCK_TOKENS = 1 << 22
_BLOCK_ROWS = 1 << 10

# megatron/core/datasets/indexed_dataset.py (NVIDIA/Megatron-LM), class DType: it has no code for unsigned 32-bit.
_MEGATRON_CODES = {"uint16": 8, "int32": 4}
# dev/data/data_common.py (karpathy/llm.c), HEADERS_INFO: (magic, version) by the tokens' type.
_LLMC_HEADERS = {"uint16": (20240520, 1), "uint32": (20240801, 7)}


def megatron(shards: Shards, out: Path) -> list[Path]:
    """`SPLIT.bin` and `SPLIT.idx` for Megatron-LM's IndexedDataset: each document is one sequence, including its end-of-text.

    The index: `MMIDIDX\\0\\0`, version 1 (uint64), type code (uint8), number of sequences and of document bounds (uint64
    each), tokens of each sequence (int32), start of each in bytes (int64), bounds of documents in sequences (int64). Tokens
    of 32 bits become int32.
    """
    written = []
    for name, split in shards.splits.items():
        dtype = np.dtype(np.int32 if split.dtype.itemsize > 2 else np.uint16)
        lengths = shards.documents(name)["length"].to_numpy()
        with (out / f"{name}.bin").open("wb") as file:
            for block in _blocks(split):
                file.write(block.astype(dtype.newbyteorder("<")).tobytes())
        with (out / f"{name}.idx").open("wb") as file:
            file.write(b"MMIDIDX\x00\x00")
            file.write(struct.pack("<QBQQ", 1, _MEGATRON_CODES[dtype.name], len(lengths), len(lengths) + 1))
            file.write(lengths.astype("<i4").tobytes())
            file.write(((np.cumsum(lengths) - lengths) * dtype.itemsize).astype("<i8").tobytes())
            file.write(np.arange(len(lengths) + 1).astype("<i8").tobytes())
        written += [out / f"{name}.bin", out / f"{name}.idx"]
    return written


def megatron_arguments(shards: Shards, out: Path, tokenizer: Path | None) -> str:
    """Megatron-LM's arguments for data and tokenizer, quoted for a shell; an empty split is left out.

    Data paths by split, because `--data-path` would be split again. Without the tokenizer's folder, NullTokenizer, whose
    end-of-document is its `--vocab-size` (megatron/training/tokenizer/tokenizer.py); UserError if ours is not the last id.
    """
    arguments = []
    for name, option in (("train", "--train-data-path"), ("validation", "--valid-data-path")):
        if name in shards.splits and shards.splits[name].tokens:
            arguments += [option, str(out / name)]
    if tokenizer is not None:
        arguments += ["--tokenizer-type", "HuggingFaceTokenizer", "--tokenizer-model", str(tokenizer)]
    elif shards.end_of_text == shards.vocab_size - 1:
        arguments += ["--tokenizer-type", "NullTokenizer", "--vocab-size", str(shards.end_of_text)]
    else:
        raise UserError(
            f"{shards.directory}: Megatron needs the tokenizer, because end-of-text is not the last id; export the run instead"
        )
    return shlex.join(arguments)


def nanogpt(shards: Shards, out: Path) -> list[Path]:
    """`train.bin` and `val.bin`, the bare tokens: `np.memmap("train.bin", np.uint16)` (np.uint32 above 65,536 ids).

    `meta.pkl` has the vocabulary's size for nanoGPT's train.py, which takes 50,304 ids without it. Its sample.py then asks for
    `stoi`, where without the file it would decode by GPT-2's vocabulary.
    """
    written = [out / "meta.pkl"]
    written[0].write_bytes(pickle.dumps({"vocab_size": shards.vocab_size}, protocol=2))
    for name, split in shards.splits.items():
        written.append(out / f"{_short(name)}.bin")
        with written[-1].open("wb") as file:
            for block in _blocks(split):
                file.write(block.astype(split.dtype.newbyteorder("<")).tobytes())
    return written


def llmc(shards: Shards, out: Path) -> list[Path]:
    """One `.bin` per shard for llm.c: 256 int32 (magic, version, number of tokens, zeros), then the tokens.

    Magic 20240520, version 1 for uint16; 20240801, version 7 for uint32. llm.c reads `train_*.bin` and `val_*.bin` by a glob.
    """
    written = []
    for name, split in shards.splits.items():
        magic, version = _LLMC_HEADERS[split.dtype.name]
        for number, shard in enumerate(split.shards):
            header = np.zeros(256, "<i4")
            header[:3] = magic, version, len(shard)
            written.append(out / f"{_short(name)}_{number:06d}.bin")
            with written[-1].open("wb") as file:
                file.write(header.tobytes())
                for start in range(0, len(shard), _BLOCK_TOKENS):
                    file.write(shard[start : start + _BLOCK_TOKENS].astype(split.dtype.newbyteorder("<")).tobytes())
    return written


def parquet(shards: Shards, out: Path) -> list[Path]:
    """`SPLIT.parquet` for `datasets`, one row per document: input_ids (with end-of-text), id, file, row, bytes, language."""
    written = []
    columns = ("id", "file", "row", "bytes", "language")
    for name, split in shards.splits.items():
        documents = shards.documents(name)
        ids = pa.list_(pa.from_numpy_dtype(split.dtype))
        schema = pa.schema([("input_ids", ids), *(documents.schema.field(column) for column in columns)])
        written.append(out / f"{name}.parquet")
        with pq.ParquetWriter(written[-1], schema, compression="zstd") as file:
            for first_row in range(0, len(documents), _BLOCK_ROWS):
                rows = documents.slice(first_row, _BLOCK_ROWS)
                bounds = np.append(0, np.cumsum(rows["length"].to_numpy()))
                tokens = split.read(rows["start"][0].as_py(), int(bounds[-1]))
                lists = pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), pa.array(tokens), type=ids)
                file.write_table(pa.table([lists, *(rows[column] for column in columns)], schema=schema))
    return written


def olmo(shards: Shards, out: Path) -> list[Path]:
    """`SPLIT/part-0-NNNNN.npy` for OLMo-core: bare little-endian tokens without NumPy's header, whatever the name says.

    Beside each is `part-0-NNNNN.csv.gz`, as dolma's MemmapWriter writes it: start and end of each document in the file, id,
    file and row. OLMo-core's `iter_document_indices` reads the first two. Files have about as many tokens as a shard, but no
    document is divided. An empty split has no file, since an empty file cannot be mapped.
    """
    written = []
    for name, split in shards.splits.items():
        documents = shards.documents(name)
        (out / name).mkdir()
        lengths = documents["length"].to_numpy()
        ends = np.cumsum(lengths)
        first = number = 0
        while first < len(ends):
            start = int(ends[first] - lengths[first])
            last = int(np.searchsorted(ends, start + shards.manifest["shard_tokens"], side="right"))
            last = max(last, first + 1)  # a document longer than a shard has a file of its own
            path = out / name / f"part-0-{number:05d}.npy"
            with path.open("wb") as file:
                for block in _blocks(split, start, int(ends[last - 1])):
                    file.write(block.astype(split.dtype.newbyteorder("<")).tobytes())
            _write_places(path.with_suffix(".csv.gz"), documents.slice(first, last - first), start)
            written.append(path)
            first, number = last, number + 1
    return written


def _write_places(path: Path, documents: pa.Table, start: int) -> None:
    """Where the documents are in their file: "start,end,id,src,loc", a line each."""
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
        text = io.TextIOWrapper(packed, encoding="utf-8", newline="")
        rows = csv.writer(text, lineterminator="\n")
        for batch in documents.select(["start", "length", "id", "file", "row"]).to_batches(_BLOCK_ROWS):
            for document in batch.to_pylist():
                begin = document["start"] - start
                name = " ".join(document["id"].splitlines())  # OLMo-core reads line by line
                rows.writerow([begin, begin + document["length"], name, document["file"], document["row"]])
        text.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format to export to."""

    write: Callable[[Shards, Path], list[Path]]
    """Fills an empty folder; returns the files it wrote there."""
    reader: str
    """Code that reads a written file: a format string with `file` (its path), `stem` (without suffix) and `dtype`."""
    suffix: str = ""
    """Only files with this suffix are read; empty: all."""
    help: str
    """One line: what reads it."""
    arguments: Callable[[Shards, Path, Path | None], str] | None = None
    """If given, it makes one line for all files instead: from the shards, the written folder and the tokenizer's folder."""

    def reader_lines(self, files: Sequence[Path], dtype: str) -> list[str]:
        """The code that reads each of the written files, one line per file."""
        return [
            self.reader.format(file=file, stem=file.with_suffix(""), dtype=dtype)
            for file in files
            if file.name.endswith(self.suffix)
        ]


FORMATS: dict[str, Format] = {
    "megatron": Format(
        write=megatron,
        reader="--train-data-path OUT/train --valid-data-path OUT/validation",
        suffix=".idx",
        help="Megatron-LM's IndexedDataset",
        arguments=megatron_arguments,
    ),
    "nanogpt": Format(
        write=nanogpt,
        reader="np.memmap('{file}', np.{dtype})",
        suffix=".bin",
        help="nanoGPT: bare tokens, one file per split, and meta.pkl with the vocabulary's size",
    ),
    "llmc": Format(
        write=llmc,
        reader="np.memmap('{file}', np.{dtype}, offset=1024)",
        help="llm.c: tokens after a header of 1,024 bytes",
    ),
    "olmo": Format(
        write=olmo,
        reader="np.memmap('{file}', np.{dtype}, 'r')",
        help="OLMo-core: bare tokens, named .npy but without NumPy's header, and .csv.gz with their documents",
    ),
    "parquet": Format(
        write=parquet,
        reader="datasets.load_dataset('parquet', data_files='{file}')",
        help="Parquet for datasets: one row per document",
    ),
}


def _short(split: str) -> str:
    """The name of the split in nanoGPT and llm.c."""
    return "val" if split == "validation" else split


def _blocks(split: Split, start: int = 0, end: int | None = None) -> Iterator[np.ndarray]:
    """The tokens from `start` to `end` (None: all), a piece at a time."""
    end = split.tokens if end is None else end
    for position in range(start, end, _BLOCK_TOKENS):
        yield split.read(position, min(_BLOCK_TOKENS, end - position))
