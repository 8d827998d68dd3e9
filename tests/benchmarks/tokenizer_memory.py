"""A corpus five times the memory: `python tests/benchmarks/tokenizer_memory.py [--corpus FILE] [--memory 600MB] [MEGABYTES …]`.

The corpus is real text enlarged (see texts.py), in Parquet with row groups of 2 MB; FILE is made where it is not there yet (a
tenth of a second a megabyte), and each size is its beginning. As in a run, each step is a process of its own: training a vocabulary of 32,000
within the budget, measuring what it has learned; encoding, as one part, with one thread; merging into shards. Printed is the
peak memory of each whole process (VmHWM: libraries and all), beside that of the same step on the first row group alone: what is left
over is what grows. Exit code 1 where a process took more than the budget, however large the corpus.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


import pyarrow as pa
import pyarrow.parquet as pq
from memory import peak_bytes

from pipeline.config import parse_bytes
from pipeline.stages.tokenizer import LIBRARIES
from pipeline.tokenize import shards, vocabulary_report
from pipeline.tokenize.bpe import END_OF_TEXT, Tokenizer, train_bpe

STEPS = ("train", "encode", "merge")
SCHEMA = pa.schema([("id", pa.string()), ("cluster", pa.string()), ("text", pa.string()), ("row", pa.int64())])
GROUP_BYTES = 2_000_000
LONGEST = 200_000  # characters; a longer text is cut, as documents are


def write_corpus(path: Path, size: int) -> None:
    from texts import enlarged, real_texts

    rows: list[tuple[str, str, str, int]] = []
    held = number = 0
    with pq.ParquetWriter(path, SCHEMA) as writer:

        def flush() -> None:
            columns = list(zip(*rows, strict=True))
            writer.write_table(
                pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
            )
            rows.clear()

        for text in enlarged(real_texts(), size):
            for start in range(0, len(text), LONGEST):
                piece = text[start : start + LONGEST]
                rows.append((f"d{number}", f"d{number}", piece, number))
                number += 1
                held += len(piece.encode())
                if held >= GROUP_BYTES:
                    flush()
                    held = 0
        if rows:
            flush()


def batches(path: Path, groups: int) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        for group in range(groups):
            yield from file.read_row_group(group).to_batches()


def groups_of(path: Path, size: int) -> tuple[int, int]:
    """How many row groups the first `size` bytes of text are, and how many bytes these have."""
    total = 0
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["text"])
            total += sum(chunk.buffers()[2].size for chunk in table["text"].chunks)
            if total >= size:
                return group + 1, total
    raise SystemExit(f"{path} has {total / 1e6:.0f} MB of text only")


def work(step: str, corpus: Path, folder: Path, memory: int, groups: int) -> None:
    """One step in this process; prints its peak memory in bytes and its CPU seconds."""
    os.environ["FASTOKENS_BPE_THREADS"] = "1"
    if step == "train":
        texts = (batch["text"] for batch in batches(corpus, groups))
        trained = train_bpe(texts, 32_000, (END_OF_TEXT,), memory=memory - LIBRARIES)
        trained.save(folder)
        vocabulary_report.measure(
            trained, ((b["text"], pa.nulls(len(b), pa.string())) for b in batches(corpus, groups))
        )
    elif step == "encode":
        trained = Tokenizer.from_file(folder)
        shards.encode_part(trained, batches(corpus, groups), file=0, out=folder / "part.parquet", seed=0)
    else:
        shards.merge_parts([folder / "part.parquet"], folder / "shards", 10_000_000, 0.01, memory=memory - LIBRARIES)
    print(peak_bytes(), time.process_time())


def measured(step: str, corpus: Path, folder: Path, memory: int, groups: int) -> tuple[float, float]:
    """Peak MB and CPU seconds of a step in a process of its own."""
    command = [sys.executable, __file__, "--step", step, str(corpus), str(folder), str(memory), str(groups)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(said[0]) / 1e6, float(said[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", nargs="*", type=int, default=[100, 500, 3000], metavar="MEGABYTES")
    parser.add_argument("--memory", default="600MB")
    parser.add_argument("--corpus", type=Path)
    options = parser.parse_args()
    memory = parse_bytes(options.memory, "--memory")
    within = True
    with tempfile.TemporaryDirectory() as name:
        corpus = options.corpus or Path(name) / "corpus.parquet"
        if not corpus.exists():
            write_corpus(corpus, (max(options.sizes) + 3) * 10**6)
        first = {step: measured(step, corpus, Path(name), memory, 1)[0] for step in STEPS}
        print(f"budget {memory / 1e6:.0f} MB for a whole process")
        for size in options.sizes:
            groups, total = groups_of(corpus, size * 10**6)
            for step in STEPS:
                peak, seconds = measured(step, corpus, Path(name), memory, groups)
                within &= peak * 1e6 <= memory
                print(
                    f"{step} {total / 1e6:.0f} MB, {total / memory:.1f} times the budget: peak {peak:.0f} MB, "
                    f"{peak - first[step]:.0f} MB more than with one row group ({seconds:.0f} CPU s)",
                    flush=True,
                )
            opened = shards.open(Path(name) / "shards")
            opened.verify()
            tokens = sum(split.tokens for split in opened.splits.values())
            print(f"{tokens:,} tokens in {sum(len(split.shards) for split in opened.splits.values())} shards, verified")
    sys.exit(not within)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        work(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]))
    else:
        main()
