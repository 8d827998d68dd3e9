"""Lines, n-grams and passages that repeat: memory and outcome at scale, speed on real pages, a suffix array beside it.

    python tests/benchmarks/repeats.py [--millions 100] [--memory 100MB 1GB] [--divsufsort-python PATH] [--megabytes 20]

First hashes with planted repeats, four in five of them unique, the others drawn from a pool: marks must be exactly those that
counting the pool gives, and the peak memory of the process is told beside the budget of the tables. Then the whole pages of the
web sample: MB a CPU second and peak memory, each in a process of its own. PATH is a Python with pydivsufsort 0.0.20: its suffix
array and LCP array over the same bytes, as Lee et al. (2021) find repeated passages; both count the bytes in passages of 50
tokens, or of as many bytes as 50 tokens have on average, that occur again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT / "tests" / "benchmarks")
sys.path.insert(1, str(ROOT))


from duplicates_quality import pages  # noqa: E402
from memory import peak_bytes  # noqa: E402

from pipeline.config import parse_bytes  # noqa: E402
from pipeline.filters import lines  # noqa: E402
from pipeline.filters.dedup import bloom, repeats, substrings  # noqa: E402
from pipeline.filters.kernels import spans, token_spans  # noqa: E402

CHUNK = 1_000_000

SUFFIX_ARRAY = """
import json, sys, time
import numpy as np
from pydivsufsort import divsufsort, kasai
data = np.fromfile(sys.argv[1], np.uint8)
least = int(sys.argv[2])
start = time.process_time()
order = divsufsort(data)
shared = kasai(data, order)
covered = np.zeros(data.size + 1, np.int64)
for places in (order[:-1][shared[:-1] >= least], order[1:][shared[:-1] >= least]):
    places = np.unique(places)
    np.add.at(covered, places, 1)
    np.add.at(covered, np.minimum(places + least, data.size), -1)
found = int((np.cumsum(covered) > 0).sum())
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([time.process_time() - start, int(peak) * 1024, found]))
"""


def planted(millions: int) -> Iterator[tuple[int, npt.NDArray[np.uint64], npt.NDArray[np.int64]]]:
    """(number, hashes, place in the pool or -1) of each chunk of a million."""
    draw = np.random.default_rng(9)
    pool = CHUNK * millions // 10
    for number in range(millions):
        place = np.where(draw.random(CHUNK) < 0.2, draw.integers(0, pool, CHUNK), -1)
        unique = np.arange(number * CHUNK, (number + 1) * CHUNK, dtype=np.uint64) + np.uint64(1 << 40)
        values = np.where(place < 0, unique, (place + 1).astype(np.uint64))
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):  # MurmurHash3's finalizer
            values = (values ^ (values >> np.uint64(33))) * np.uint64(factor)
        yield number, values ^ (values >> np.uint64(33)), place


def at_scale(millions: int, memory: str, keep: repeats.Keep) -> None:
    """Mark the planted repeats; prints time and memory, then how many marks are wrong."""
    hashes = np.ones(2, np.uint64)
    with tempfile.TemporaryFile() as file:
        for small in (1, 1 << 20):  # compiled kernels are loaded
            repeats.mark_repeats(lambda: [(0, hashes)], repeats.Marks(file), at_most=2, memory=small, keep=keep)
        marks = repeats.Marks(file)
        began = time.process_time()
        reading = 0.0

        def read() -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
            nonlocal reading
            start = time.process_time()
            for number, values, _ in planted(millions):
                reading += time.process_time() - start
                yield number, values
                start = time.process_time()

        repeats.mark_repeats(read, marks, at_most=millions * CHUNK, memory=parse_bytes(memory, "--memory"), keep=keep)
        seconds = time.process_time() - began - reading
        peak = peak_bytes()
        total = np.zeros(CHUNK * millions // 10, np.int32)
        for _, _, place in planted(millions):
            np.add.at(total, place[place >= 0], 1)
        seen = np.zeros(total.size, np.bool_)
        wrong = marked = 0
        for number, _, place in planted(millions):
            goes = marks.of(number, CHUNK)
            drawn = np.flatnonzero(place >= 0)
            expected = np.zeros(CHUNK, np.bool_)
            if keep == "none":
                expected[drawn] = total[place[drawn]] > 1
            else:
                first = np.zeros(CHUNK, np.bool_)
                first[drawn[np.unique(place[drawn], return_index=True)[1]]] = True
                expected[drawn] = seen[place[drawn]] | ~first[drawn]
                seen[place[drawn]] = True
            wrong += int((goes != expected).sum())
            marked += int(goes.sum())
    print(json.dumps([seconds, peak, marked, wrong]))


def on_pages(kind: str, texts: list[str]) -> None:
    """One family on the pages; prints CPU seconds, peak memory, bytes cut."""
    array = pa.array(texts, pa.large_string())

    def work(array: pa.Array) -> spans.Ranges:
        if kind == "n-grams":
            return bloom.dedup_ngrams(array)
        if kind == "passages":
            return substrings.repeated_substrings(array)
        found = lines.find_lines(array)
        with tempfile.TemporaryFile() as file:
            marks = repeats.Marks(file)
            size = substrings.text_bytes(array)
            repeats.mark_repeats(lambda: [(0, found.hashes)], marks, at_most=size, memory=1 << 30)
            sizes = np.array([len(text.encode()) for text in array.to_pylist()])
            return lines.cut_lines(found, marks.of(0, found.hashes.size), sizes)

    work(array[:2])
    began = time.process_time()
    ranges = work(array)
    seconds = time.process_time() - began
    peak = peak_bytes()
    print(json.dumps([seconds, peak, int((ranges.ends - ranges.starts).sum())]))


def alone(*arguments: str, python: str = sys.executable, code: str | None = None) -> Any:
    """What a process of its own prints."""
    start = [python, "-c", code] if code else [python, __file__]
    done = subprocess.run([*start, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="What repeats across a corpus: memory, speed, outcome.")
    parser.add_argument("--millions", type=int, default=100)
    parser.add_argument("--memory", nargs="+", default=["100MB", "1GB"])
    parser.add_argument("--divsufsort-python")
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--scale", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--family", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scale:
        at_scale(int(options.scale[0]), options.scale[1], options.scale[2])
        return
    if options.family:
        on_pages(options.family[0], json.loads(Path(options.family[1]).read_text()))
        return
    base = alone("--scale", "1", "1GB", "first")[1]
    print(f"{options.millions} million hashes; a process with one million takes {base / 1e6:,.0f} MB")
    for keep in ("first", "none"):
        for memory in options.memory:
            seconds, peak, marked, wrong = alone("--scale", str(options.millions), memory, keep)
            print(
                f"  keep {keep:5} tables of {memory:>6}: {seconds:6.1f} CPU s beside the reading, peak {peak / 1e6:6,.0f} MB, "
                f"{marked:,} marked, {wrong} wrongly",
                flush=True,
            )
    texts = pages(2_500, main_content=False)
    size, taken = 0, []
    for text in texts:
        if size < options.megabytes * 1e6:
            taken.append(text)
            size += len(text.encode())
    print(f"{len(taken):,} whole pages, {size / 1e6:.1f} MB")
    with tempfile.TemporaryDirectory() as folder:
        file, plain = Path(folder) / "texts.json", Path(folder) / "texts.txt"
        file.write_text(json.dumps(taken))
        plain.write_bytes(b"\0".join(text.encode() for text in taken))
        for kind in ("lines", "n-grams", "passages"):
            seconds, peak, cut = alone("--family", kind, str(file))
            print(
                f"  {kind:9} {size / 1e6 / seconds:7.1f} MB/s, peak {peak / 1e6:6,.0f} MB, {cut:,} bytes cut",
                flush=True,
            )
        if options.divsufsort_python:
            array = pa.array(taken, pa.large_string())
            every = substrings.repeated_substrings(array, keep="none")
            covered = int((every.ends - every.starts).sum())
            least = round(50 * size / token_spans.find_tokens(array).hashes.size)
            seconds, peak, found = alone(str(plain), str(least), python=options.divsufsort_python, code=SUFFIX_ARRAY)
            print(
                f"  suffix array and LCP {size / 1e6 / seconds:7.1f} MB/s, peak {peak / 1e6:6,.0f} MB; bytes in passages of "
                f"{least} bytes that occur again: {found:,}; ours, of 50 tokens, all occurrences: {covered:,}"
            )


if __name__ == "__main__":
    main()
