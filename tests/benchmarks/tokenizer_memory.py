"""A corpus five times the memory: `python tests/benchmarks/tokenizer_memory.py [MEGABYTES]` (400); exit code 1 beyond the budget.

The corpus is real text enlarged (see texts.py), in Parquet with row groups of 2 MB, made by another process. Then one process
trains a vocabulary of 32,000 within a fifth of it, encodes all of it and merges shards; printed is its peak memory after each,
beyond what it had after the same work on the first row group: libraries, kernels, and an encoder that has met so many made
words that its caches, which have a size of their own whatever the corpus, are full.
"""

import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.kernels import use_kernel_cache

use_kernel_cache()

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from pipeline.tokenize import shards  # noqa: E402
from pipeline.tokenize.bpe import END_OF_TEXT, Tokenizer, train_bpe  # noqa: E402

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


def batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group).to_batches()


def fill(tokenizer: Tokenizer) -> None:
    """A million and a half words that are none, of 30 letters: after a third of them the encoder grows no more."""
    draw = random.Random(0)
    for _ in range(24):
        words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=30)) for _ in range(1 << 16)]
        tokenizer.encode_batch([" ".join(words[n : n + 1024]) for n in range(0, len(words), 1024)])


def work(corpus: Path, folder: Path, budget: int | None) -> tuple[float, float, float]:
    """Train, encode, merge; the peak memory in MB after each."""
    peaks = []
    began = time.perf_counter()

    def told(what: str) -> None:
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
        if budget is not None:
            print(f"{what}: {time.perf_counter() - began:.1f} s, peak {peaks[-1]:.0f} MB in all", flush=True)

    tokenizer = train_bpe(
        (batch["text"] for batch in batches(corpus)), 32_000, (END_OF_TEXT,), memory=budget, note=print
    )
    told("trained")
    if budget is None:
        fill(tokenizer)
    shards.encode_part(tokenizer, batches(corpus), part=0, out=folder / "part.parquet", seed=0)
    told("encoded")
    shards.merge_parts([folder / "part.parquet"], folder / "shards", 10_000_000, 0.01)
    told("merged")
    return peaks[0], peaks[1], peaks[2]


def main() -> None:
    megabytes = int(sys.argv[1]) if sys.argv[1:] else 400
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = folder / "corpus.parquet"
        if len(sys.argv) > 2:
            write_corpus(Path(sys.argv[2]), megabytes * 10**6)
            return
        subprocess.run([sys.executable, __file__, str(megabytes), str(corpus)], check=True)
        small = folder / "small.parquet"
        with pq.ParquetFile(corpus) as file:
            pq.write_table(file.read_row_group(0), small)
        baseline = work(small, folder, None)[2]
        budget = megabytes * 10**6 // 5
        print(
            f"corpus {megabytes} MB, budget {budget / 1e6:.0f} MB, beside the {baseline:.0f} MB of the work on one row group and a full encoder"
        )
        peaks = work(corpus, folder, budget)
        opened = shards.open(folder / "shards")
        tokens = sum(split.tokens for split in opened.splits.values())
        used = max(peaks) - baseline
        print(
            f"{tokens:,} tokens in shards; peak {used:.0f} MB beyond the baseline, {used / megabytes:.0%} of the corpus"
        )
        sys.exit(used * 1e6 > budget)


if __name__ == "__main__":
    main()
