"""Tokenizer speed beside its peers, on one thread: `python tests/benchmarks/tokenizer.py [TEXT_FILE...]`.

Without files it takes the shared reference texts and the visible text of the shared web sample.
Encoding is cold: every engine is built anew and sees each text once, for such encoders keep what they have met. Ids must be equal.
"""

import os

os.environ |= {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "FASTOKENS_BPE_THREADS": "1"}

import gzip
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import tiktoken
import tokenizers
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.tokenize.bpe import END_OF_TEXT, Tokenizer, measure_usage, train_bpe
from pipeline.tokenize.patterns import CL100K_PATTERN, GPT2_PATTERN

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
VOCAB_SIZE = 32_000


def texts() -> list[str]:
    if sys.argv[1:]:
        return [Path(name).read_text("utf-8", "replace") for name in sys.argv[1:]]
    found = [gzip.decompress(path.read_bytes()).decode() for path in sorted((DATA / "reference").glob("*.txt.gz"))]
    for path in sorted((DATA / "web-sample").glob("sample-0[0-6].warc.gz")):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True):
                found.append(extract_plain_text(record.reader.read().decode("utf-8", "replace")))
    return [text for text in found if text]


def timed(name: str, megabytes: float, work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    start, cpu = time.perf_counter(), time.process_time()
    result = work(*arguments, **options)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"  {name:<42} {megabytes / cpu:8.1f} MB/s of CPU {megabytes / wall:8.1f} MB/s of wall {wall:7.2f} s")
    return result


def peer_training(corpus: list[str]) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def peer_encoding(trained: Tokenizer, corpus: list[str]) -> list[list[int]]:
    peer = tokenizers.Tokenizer.from_str(trained.to_json())
    peer.encode_special_tokens = True
    return [peer.encode(text).ids for text in corpus]


def main() -> None:
    corpus = texts()
    megabytes = sum(len(text.encode()) for text in corpus) / 1e6
    sample = corpus[:: max(1, len(corpus) // 300)]
    sample_megabytes = sum(len(text.encode()) for text in sample) / 1e6
    print(f"{len(corpus)} texts, {megabytes:.1f} MB; vocabulary {VOCAB_SIZE}")
    for pattern in (GPT2_PATTERN, CL100K_PATTERN):
        start = time.process_time()
        train_bpe(["compile the kernels, or load them"], 300, pattern=pattern)
        print(f"kernels ready in {time.process_time() - start:.2f} s of CPU")

    for name, pattern in (("gpt2", GPT2_PATTERN), ("cl100k", CL100K_PATTERN)):
        print(f"{name} pattern")
        trained = timed("training", megabytes, train_bpe, corpus, VOCAB_SIZE, (END_OF_TEXT,), pattern)
        if name == "gpt2":
            timed("training, tokenizers", megabytes, peer_training, corpus)
        ids, offsets = timed("encoding, engine built anew", megabytes, trained.encode_batch, corpus)
        got = [ids[a:b].tolist() for a, b in pairwise(offsets)]
        ranks = {token: number for number, token in trained.vocab.items() if number != trained.end_of_text}
        oracle = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        expected = timed("encoding, tiktoken", megabytes, oracle.encode_ordinary_batch, corpus, num_threads=1)
        print(f"  texts with other ids than tiktoken's: {sum(a != b for a, b in zip(got, expected, strict=True))}")
        timed("encoding, tokenizers", sample_megabytes, peer_encoding, trained, sample)
        usage = measure_usage(trained, corpus)
        print(f"  {usage.bytes_per_token:.3f} bytes a token, {len(usage.unused)} ids unused")


if __name__ == "__main__":
    main()
