"""MinHash signatures side by side on one core: ours, datasketch, and datatrove where a Python that has it is given.

    python tests/benchmarks/minhash.py [--peer-python PATH] [--documents 2000]

PATH: a Python with datatrove (pip install "datatrove==0.10.*" spacy tokenizers "xxhash<4"). The texts: English pages
of the web sample, cut into documents of 7,500 characters; random words where the sample is absent. Times are CPU
seconds of one process: the best of several passes over all documents for us, one pass over fewer documents for the
peers. A peer's time starts from the same strings.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasketch import MinHash
from numba import njit, uint64

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT)

from pipeline.filters import minhash  # noqa: E402
from pipeline.filters.dedup import exact, shingles  # noqa: E402
from pipeline.filters.kernels import arrays  # noqa: E402

LENGTH = 7_500
SAMPLE = ROOT.parent / "shared" / "data" / "web-sample"

DATATROVE = """
import json, sys, tempfile, time
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
texts = json.load(open(sys.argv[1]))
with tempfile.TemporaryDirectory() as folder:
    step = MinhashDedupSignature(folder, MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8))
    step.get_signature(step.get_shingles(texts[0]))
    start = time.process_time()
    shingles = [step.get_shingles(text) for text in texts]
    middle = time.process_time()
    for array in shingles:
        step.get_signature(array)
    end = time.process_time()
    step.run(Document(text=text, id=str(i)) for i, text in enumerate(texts))
    print(json.dumps([time.process_time() - end, middle - start, end - middle]))
"""


def documents(n: int) -> list[str]:
    """n overlapping pieces of the sample's English pages."""
    if SAMPLE.exists():
        text = "\n".join(page for page in pages() if english(page))
        origin = f"English pages of {SAMPLE.name}"
    else:
        source = random.Random(1)
        text = " ".join(f"w{int(source.paretovariate(0.9))}" for _ in range(n * 400))
        origin = "random words"
    stride = max(1, (len(text) - LENGTH) // n)
    print(f"{n:,} documents of {LENGTH:,} characters from {origin} ({len(text):,} characters)")
    return [text[i * stride : i * stride + LENGTH] for i in range(n)]


def pages() -> list[str]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text

    found = []
    for path in sorted(SAMPLE.glob("sample-0[0-6].warc.gz")):
        with open(path, "rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response):
                html = record.reader.read().decode("utf-8", "replace")
                found.append(extract_plain_text(html, main_content=True))
    return found


def english(page: str) -> bool:
    words = page.lower().split()
    return len(words) > 50 and sum(word in ("the", "of", "and", "to") for word in words) > 0.06 * len(words)


def cpu_seconds(work: Callable[[], Any], passes: int) -> float:
    """The best of some passes, after one that warms up."""
    times = []
    for _ in range(passes + 1):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times[1:] or times)


@njit(nogil=True)
def words_only(data, starts, ends, tables, words):  # type: ignore[no-untyped-def]
    n = 0
    for i in range(starts.size):
        n += shingles.hash_words(data, starts[i], ends[i], tables, False, words, 0)
    return n


@njit(nogil=True)
def words_and_shingles(data, starts, ends, tables, words):  # type: ignore[no-untyped-def]
    n = 0
    for i in range(starts.size):
        n_words = shingles.hash_words(data, starts[i], ends[i], tables, False, words, 0)
        n += shingles.hash_shingles(words, 0, max(n_words, 0), 5)
    return n


@njit(nogil=True)
def chain(x, steps):  # type: ignore[no-untyped-def]
    """A shift, an exclusive or and a multiplication that wait for one another: 5 cycles a step on current cores."""
    for _ in range(steps):
        x = (x ^ (x >> uint64(33))) * uint64(0xFF51AFD7ED558CCD)
    return x


def ours(texts: list[str]) -> list[tuple[str, float, int]]:
    """Speeds, and where the time goes."""
    array = pa.array(texts, pa.large_string())
    n, size = len(texts), sum(len(text.encode()) for text in texts)
    minhash.warm_up()
    long, short = minhash.MinHasher(), minhash.MinHasher(hash_bits=32)
    whole = cpu_seconds(lambda: long.signatures(array), 7)
    whole32 = cpu_seconds(lambda: short.signatures(array), 7)
    content = cpu_seconds(lambda: exact.content_hashes(array), 7)

    data, starts, ends = arrays.text_buffers(array)
    scratch = np.empty(LENGTH * 4, np.uint64)
    args = (data, starts, ends, shingles.characters(), scratch)
    n_shingles = words_and_shingles(*args)
    words = cpu_seconds(lambda: words_only(*args), 7)
    both = cpu_seconds(lambda: words_and_shingles(*args), 7)
    clock = 5 * 10**8 / cpu_seconds(lambda: chain(uint64(1), 10**8), 3)
    steps = n_shingles * long.num_hashes
    print(f"\nOurs, {n_shingles / n:,.0f} shingles a document; where the time goes, µs a document (14 x 8, 64 bits):")
    print(f"  words        {words / n * 1e6:6.1f}   {words / size * clock:.2f} cycles a byte")
    print(
        f"  shingles     {(both - words) / n * 1e6:6.1f}   {(both - words) / n_shingles * clock:.1f} cycles a shingle"
    )
    rest = whole - both
    print(
        f"  permutations {rest / n * 1e6:6.1f}   {rest / steps * clock:.2f} cycles a multiply, add and minimum",
        end="",
    )
    print(f" ({long.num_hashes} a shingle); 32 bits: {(whole32 - both) / steps * clock:.2f}")
    print("  limit: with 256-bit vectors an Intel core makes four 64-bit products in 1.5 cycles: 0.375 a permutation")
    print(f"  clock {clock / 1e9:.2f} GHz (from a chain of dependent multiplications)")
    return [
        ("ours, 64 bits", whole, n),
        ("ours, 32 bits", whole32, n),
        ("(ours, content hash)", content, n),
    ]


WORD = re.compile(r"[^\W_]+")


def python_shingles(text: str) -> list[bytes]:
    words = WORD.findall(text.lower())
    return [" ".join(words[i : i + 5]).encode() for i in range(max(1, len(words) - 4))]


def datasketch(texts: list[str]) -> list[tuple[str, float, int]]:
    """Its bulk API, over shingles made by a regular expression, and over ready ones."""
    ready = [python_shingles(text) for text in texts]
    n = len(texts)
    rows = []
    for scheme in ("affine32", "affine64"):
        bulk = cpu_seconds(lambda scheme=scheme: MinHash.bulk(ready, num_perm=112, scheme=scheme), 1)  # type: ignore[misc]
        rows.append((f"datasketch {scheme}, ready shingles", bulk, n))
        cutting = cpu_seconds(lambda: [python_shingles(text) for text in texts], 1)
        rows.append((f"datasketch {scheme}", bulk + cutting, n))
    return rows


def datatrove(python: str, texts: list[str]) -> list[tuple[str, float, int]]:
    """`MinhashDedupSignature` with its defaults (spaCy words, xxhash of 64 bits), in its own environment."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        done = subprocess.run([python, "-c", DATATROVE, file.name], check=True, stdout=subprocess.PIPE, text=True)
    whole, cutting, permuting = json.loads(done.stdout.splitlines()[-1])
    n = len(texts)
    return [
        ("datatrove", whole, n),
        ("datatrove, words and shingles", cutting, n),
        ("datatrove, permutations", permuting, n),
    ]


def edited_pairs(texts: list[str], n: int) -> list[tuple[str, str]]:
    """Real passages of 100 to 1,000 words and their copies with a share of the words replaced."""
    source = random.Random(5)
    pairs = []
    for _ in range(n):
        words = source.choice(texts).split()[: source.randrange(100, 1_000)]
        share = source.random() ** 3
        other = source.choice(texts).split()
        pairs.append((" ".join(words), " ".join(source.choice(other) if source.random() < share else w for w in words)))
    return pairs


def show_errors(texts: list[str]) -> None:
    """The estimates' errors against exact Jaccard, in units of theory's standard error."""
    print(
        "\nEstimates against exact Jaccard (112 hashes); error / sqrt(J (1 - J) / 112) has mean 0 and variance 1 in theory"
    )
    print(f"  {'':28} {'pairs':>7} {'mean error':>11} {'rms error':>10} {'scaled mean':>16} {'scaled variance':>16}")
    pairs = edited_pairs(texts, 20_000)
    truth = np.array([minhash.jaccard(a, b) for a, b in pairs])
    flat = [text for pair in pairs for text in pair]
    for bits in (64, 32):
        signatures = minhash.MinHasher(hash_bits=bits).signatures(flat)
        show_error(f"ours, {bits} bits", minhash.estimate(signatures[::2], signatures[1::2]), truth)
    few = pairs[:1_000]
    shingle_sets = [set(python_shingles(text)) for pair in few for text in pair]
    theirs = np.array([len(a & b) / len(a | b) for a, b in zip(shingle_sets[::2], shingle_sets[1::2], strict=True)])
    for scheme in ("affine64", "affine32", "legacy"):
        sketches = MinHash.bulk(shingle_sets, num_perm=112, scheme=scheme)
        estimates = [a.jaccard(b) for a, b in zip(sketches[::2], sketches[1::2], strict=True)]
        show_error(f"datasketch {scheme}", np.array(estimates), theirs)
    difference = np.abs(theirs - truth[: len(few)])
    print(
        f"  exact Jaccard by the regular expression's words and by ours differ by {difference.mean():.4f} in the mean"
    )
    shown = few[:200]
    hashes = shingles.shingle_hashes([text for pair in shown for text in pair], 5)
    peers = []
    for row in hashes:
        peers.append(MinHash(112, scheme="affine64", hashfunc=int))
        peers[-1].update_batch(row)
    signed = minhash.MinHasher().signatures([text for pair in shown for text in pair])
    equal = sum((peer.hashvalues == row).all() for peer, row in zip(peers, signed, strict=True))
    print(f"  given our shingle hashes, datasketch affine64 has our very signature for {equal} of {len(peers)} texts")


def show_error(name: str, estimates: Any, truth: Any) -> None:
    inner = (truth > 0.02) & (truth < 0.98)
    error = (estimates - truth)[inner]
    scaled = error / np.sqrt(truth[inner] * (1 - truth[inner]) / 112)
    n = error.size
    mean = f"{scaled.mean():+.3f} ± {1 / n**0.5:.3f}"
    variance = f"{(scaled**2).mean():.3f} ± {(2 / n) ** 0.5:.3f}"
    print(f"  {name:28} {n:7,} {error.mean():+11.5f} {(error**2).mean() ** 0.5:10.4f} {mean:>16} {variance:>16}")


def main() -> None:
    parser = argparse.ArgumentParser(description="MinHash signatures: ours, datasketch, datatrove.")
    parser.add_argument("--peer-python", help="a Python that has datatrove 0.10")
    parser.add_argument("--documents", type=int, default=2_000)
    options = parser.parse_args()
    show_speed(documents(options.documents), options.peer_python)


def show_speed(texts: list[str], peer_python: str | None) -> None:
    rows = ours(texts)
    rows += datasketch(texts[:: max(1, len(texts) // 400)])
    if peer_python:
        rows += datatrove(peer_python, texts[:: max(1, len(texts) // 100)])
    megabytes = sum(len(text.encode()) for text in texts) / len(texts) / 1e6
    best = rows[0][2] / rows[0][1]
    print(f"\n{'5-grams, 112 = 14 x 8, one core':36} {'documents/s':>12} {'MB/s':>8} {'first ÷ this':>15}")
    for name, seconds, n in rows:
        print(f"{name:36} {n / seconds:12,.0f} {n / seconds * megabytes:8.1f} {best * seconds / n:14,.1f}x")
    show_errors(texts)


if __name__ == "__main__":
    main()
