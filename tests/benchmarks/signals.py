"""Speed of all quality signals together and of all MinHash signatures, where the time goes, beside peers, on one core.

    python tests/benchmarks/signals.py [--peer-python PYTHON_WITH_DATATROVE] [--dolma PYTHON_WITH_DOLMA] [--signals]

Seconds are the process's CPU seconds, the best of a few runs, kernels warm; MB are UTF-8 bytes of text. For datatrove
0.10 make an environment of its own:
    python -m venv /tmp/datatrove && /tmp/datatrove/bin/pip install "datatrove==0.10.*" "xxhash<4" nltk spacy tokenizers
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import minhash
from pages import english_pages, repeat_to

from pipeline.filters.batch import Batch
from pipeline.filters.discovery import family_names
from pipeline.filters.kernels import words
from pipeline.filters.kernels.repetition import room_for
from pipeline.filters.kernels.unicode import character_classes, decode
from pipeline.filters.pii import find_spans
from pipeline.filters.signals import all_signals, measure, stored_signals, warm_up
from pipeline.kernels import kernel


@kernel
def _bytes_pass(data: Any, starts: Any, ends: Any) -> Any:
    total = 0
    for document in range(starts.shape[0]):
        for i in range(starts[document], ends[document]):
            total += data[i]
    return total


@kernel
def _characters_pass(data: Any, starts: Any, ends: Any, classes: Any) -> Any:
    total = 0
    for document in range(starts.shape[0]):
        i = starts[document]
        while i < ends[document]:
            code, size = decode(data, i, ends[document])
            total += classes[code]
            i += size
    return total


@kernel
def _words_pass(data: Any, starts: Any, ends: Any, classes: Any, stops: Any, room: Any, counts: Any) -> None:
    for document in range(starts.shape[0]):
        words.count_tokens(data, starts[document], ends[document], classes, stops, room, counts, document)


def best(work: Callable[[], object], runs: int = 5) -> float:
    """CPU seconds of the fastest of some runs."""
    work()
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="a Python that has datatrove 0.10, nltk and spacy")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--peer-documents", type=int, default=500, help="datatrove takes the first so many")
    parser.add_argument("--dolma", help="a Python that has dolma")
    parser.add_argument("--signals", action="store_true", help="leave MinHash out")
    options = parser.parse_args()

    start = time.perf_counter()
    warm_up()
    print(f"kernels ready in {time.perf_counter() - start:.2f} s (compiled, or loaded from Numba's cache)")
    pages, source = english_pages()
    texts = repeat_to(pages, options.documents)
    array = pa.array(texts)
    size = sum(len(text.encode()) for text in texts)
    print(f"{source}, repeated to {len(texts):,} documents of {size / len(texts):,.0f} bytes on average\n")

    def row(name: str, seconds: float, documents: int = len(texts), megabytes: float = size / 1e6) -> float:
        speed = documents / seconds
        per = 1e6 * seconds / documents
        print(f"{name:<52}{per:>10.1f}{speed:>12,.0f}{megabytes / seconds:>10,.1f}")
        return seconds

    def fresh() -> Batch:
        return Batch.from_arrow(array)

    classes, stops = character_classes(), words.STOP_CODES
    b = fresh()
    room = room_for(int((b.ends - b.starts).max()))
    counts = np.zeros((words.COUNTS, len(b.starts)), np.int64)
    print(f"{'':<52}{'µs/doc':>10}{'docs/s':>12}{'MB/s':>10}")
    every = list(all_signals())
    row(f"all {len(every)} signals of all recipes", best(lambda: measure(array, every), 3))
    for family in family_names():
        names = [name for name, signal in all_signals().items() if signal.family == family]
        row(f"  {family} alone ({len(names)})", best(partial(measure, array, names), 3))
    total = row(f"the {len(stored_signals())} that are always measured", best(lambda: measure(array)))
    both = row("  words and n-grams", best(lambda: fresh().words))
    only = best(lambda: _words_pass(b.data, b.starts, b.ends, classes, stops, room, counts))
    row("    words: tokens, hashes, characters, sentences", only)
    row("    n-grams, n = 2 … 10", both - only)
    lines = row("  lines and paragraphs", best(lambda: fresh().layout))
    phrase = row('  "lorem ipsum"', best(lambda: fresh().count("lorem ipsum")))
    pii = row("  personal data", best(lambda: find_spans(b)))
    rest = total - both - lines - phrase - pii
    if rest > 0:  # it is less than the noise of the others
        row("  the rest: ratios, Arrow columns", rest)
    row("for scale: one pass over the bytes", best(lambda: _bytes_pass(b.data, b.starts, b.ends)))
    row(
        "for scale: one pass decoding and classifying",
        best(lambda: _characters_pass(b.data, b.starts, b.ends, classes)),
    )

    if options.peer_python:
        some = texts[: options.peer_documents]
        some_size = sum(len(text.encode()) for text in some) / 1e6
        peer = subprocess.run(
            [options.peer_python, str(Path(__file__).with_name("datatrove_peer.py")), "time"],
            input="".join(json.dumps(text) + "\n" for text in some),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        theirs = row(
            f"datatrove's four filters, first {len(some):,} documents",
            json.loads(peer.stdout)["seconds"],
            len(some),
            some_size,
        )
        few = pa.array(some)
        ours = row(f"ours, first {len(some):,} documents", best(lambda: measure(few)), len(some), some_size)
        print(
            f"\n{theirs / ours:,.0f} times as fast as datatrove's Gopher repetition and quality, FineWeb and C4 filters"
        )
    if options.dolma:
        some = texts[: options.peer_documents]
        peer = subprocess.run(
            [options.dolma, str(Path(__file__).parent / "conformance" / "dolma_peer.py"), "time"],
            input="".join(json.dumps(text) + "\n" for text in some),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        some_size = sum(len(text.encode()) for text in some) / 1e6
        theirs = row(
            f"dolma's gopher_v1 and c4_v1, first {len(some):,}",
            json.loads(peer.stdout)["seconds"],
            len(some),
            some_size,
        )
        few = pa.array(some)
        ours = row("ours, all signals, the same documents", best(lambda: measure(few, every), 3), len(some), some_size)
        print(f"\nall signals of all recipes, {theirs / ours:,.1f} times as fast as dolma's two taggers")
    if options.signals:
        return
    print("\nMinHash signatures")
    minhash.show_speed(minhash.documents(options.documents), options.peer_python)


if __name__ == "__main__":
    main()
