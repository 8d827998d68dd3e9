"""Near copies among real pages, found by us and by peers: time, memory, and whether they agree.

    python tests/benchmarks/duplicates_peers.py [--datatrove-python PATH] [--rensa-python PATH]
        [--text-dedup-python PATH] [--pages 2500]

All: whole pages of the web sample, 14 bands of 8 rows over word 5-grams, one process, one after another, from the same
strings. PATH: a Python with datatrove 0.10 (and spacy), with rensa, or with text-dedup 0.4; datasketch is ours. Peers get what
they document: datatrove its four stages with its own words, rensa and datasketch words by a regular expression, their LSH, and
a union of what it returns; text-dedup its own command, whose own clock (not CPU) tells the seconds of signing.
CPU seconds and the process's peak memory; agreement is over pairs of documents that share a cluster. Where two differ it says
how alike the pairs are, by our exact Jaccard similarity, that only one of them joins.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT / "tests" / "benchmarks")
sys.path.insert(1, str(ROOT))

from duplicates_quality import pages  # noqa: E402

from pipeline.filters.minhash import jaccard  # noqa: E402

COMMON = """
import json, re, resource, sys, tempfile, time
texts = json.load(open(sys.argv[1]))
word = re.compile(r"[^\\W_]+")
def shingles(text):
    words = word.findall(text.lower())
    return [" ".join(words[i:i + 5]) for i in range(max(1, len(words) - 4))]
roots = list(range(len(texts)))
def find(i):
    while roots[i] != i:
        i = roots[i]
    return i
def join(i, j):
    i, j = sorted((find(i), find(j)))
    roots[j] = i
def tell(signing, clusters=None):
    found = clusters if clusters is not None else [find(i) for i in range(len(texts))]
    mine = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
    theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = max(mine, theirs.ru_maxrss) * 1024
    print(json.dumps([signing, time.process_time() + theirs.ru_utime + theirs.ru_stime - start, peak, found]))
"""

OURS = """
sys.path.insert(0, sys.argv[2])
from pipeline.filters.dedup.verify import warm_up
from pipeline.filters.minhash import MinHasher, dedup_documents
dedup_documents([*texts[:50], *texts[:2]], verify="VERIFY")  # compiled kernels are loaded
verify.warm_up()
start = time.process_time()
MinHasher().signatures(texts)
signing = time.process_time() - start
start = time.process_time()
found = dedup_documents(texts, verify="VERIFY")
tell(signing, found.clusters.tolist())
"""

DATASKETCH = """
from datasketch import MinHash, MinHashLSH
start = time.process_time()
sketches = MinHash.bulk([[s.encode() for s in shingles(text)] for text in texts], num_perm=112)
signing = time.process_time() - start
lsh = MinHashLSH(num_perm=112, params=(14, 8))
for i, sketch in enumerate(sketches):
    for other in lsh.query(sketch):
        join(i, other)
    lsh.insert(i, sketch)
tell(signing)
"""

RENSA = """
from rensa import RMinHash, RMinHashLSH
start = time.process_time()
sketches = []
for text in texts:
    sketch = RMinHash(num_perm=112, seed=1)
    sketch.update(shingles(text))
    sketches.append(sketch)
signing = time.process_time() - start
lsh = RMinHashLSH(threshold=0.8, num_perm=112, num_bands=14)
for i, sketch in enumerate(sketches):
    for other in lsh.query(sketch):
        join(i, other)
    lsh.insert(i, sketch)
tell(signing)
"""

DATATROVE = """
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature)
config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
documents = lambda: (Document(text=text, id=str(i)) for i, text in enumerate(texts))
with tempfile.TemporaryDirectory() as folder:
    step = MinhashDedupSignature(folder + "/signatures", config)
    step.get_signature(step.get_shingles(texts[0]))
    start = time.process_time()
    step.run(documents())
    signing = time.process_time() - start
    for bucket in range(14):
        MinhashDedupBuckets(folder + "/signatures", folder + "/buckets", config=config).run(None, bucket, 14)
    MinhashDedupCluster(folder + "/buckets", folder + "/remove", config, save_cluster_id=True).run(None, 0, 1)
    marked = {}
    kept = MinhashDedupFilter(folder + "/remove", load_cluster_ids=True).run(documents(), 0, 1)
    cluster = {}
    import struct, glob
    for path in glob.glob(folder + "/remove/*.clusters"):
        content = open(path, "rb").read()
        for place in range(0, len(content), 8):
            i, name = struct.unpack("<II", content[place:place + 8])
            join(i, cluster.setdefault(name, i))
    count = sum(1 for _ in kept)
    assert count == len({find(i) for i in range(len(texts))}), count
tell(signing)
"""


TEXT_DEDUP = """
import os
os.environ["RAYON_NUM_THREADS"] = "1"
import click, datasets, io, contextlib, logging
datasets.disable_progress_bars()
from text_dedup import minhash
minhash.logger.setLevel(logging.ERROR)
seconds = {}
minhash.Timer.report = lambda self, logger, pad: seconds.update(self.elapsed_times)
with tempfile.TemporaryDirectory() as folder:
    with open(folder + "/texts.jsonl", "w") as file:
        for text in texts:
            file.write(json.dumps({"text": text}) + chr(10))
    start = time.process_time()
    with contextlib.redirect_stderr(io.StringIO()):
        minhash.main(["--path", "json", "--data_files", folder + "/texts.jsonl", "--split", "train", "--cache_dir",
            folder + "/cache", "--output", folder + "/out", "--column", "text", "--ngram", "5", "--min_length", "5",
            "--num_perm", "112", "--b", "14", "--r", "8", "--num_proc", "1", "--hash_func", "xxh3"], standalone_mode=False)
    tell(seconds["MinHashing"], [minhash.uf.find(i) for i in range(len(texts))])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Near copies found by us and by peers.")
    parser.add_argument("--text-dedup-python")
    parser.add_argument("--datatrove-python")
    parser.add_argument("--rensa-python")
    parser.add_argument("--pages", type=int, default=2_500)
    options = parser.parse_args()
    texts = pages(options.pages, main_content=False)
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts):,} different pages, {size:,.1f} MB")
    tools = {
        "ours, not verified": (sys.executable, OURS.replace("VERIFY", "none")),
        "ours, verified": (sys.executable, OURS.replace("VERIFY", "exact")),
        "datasketch": (sys.executable, DATASKETCH),
        "rensa": (options.rensa_python, RENSA),
        "text-dedup": (options.text_dedup_python, TEXT_DEDUP),
        "datatrove": (options.datatrove_python, DATATROVE),
    }
    print(f"{'':20} {'signing':>9} {'docs/s':>9} {'whole':>8} {'peak RSS':>9} {'kept':>7} {'pairs':>7} {'as ours':>8}")
    reference: set[tuple[int, int]] = set()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        for name, (python, code) in tools.items():
            if not python:
                continue
            command = [python, "-c", COMMON + code, file.name, str(ROOT)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            signing, whole, peak, clusters = json.loads(done.stdout.splitlines()[-1])
            pairs = {(i, j) for j in range(len(texts)) for i in range(j) if clusters[i] == clusters[j]}
            reference = reference or pairs
            apart = [jaccard(texts[i], texts[j]) for i, j in sorted(pairs ^ reference)[:400]]
            shared = len(pairs & reference) / max(1, len(pairs | reference))
            print(
                f"{name:20} {signing:8.2f}s {len(texts) / signing:9,.0f} {whole:7.2f}s {peak / 1e6:6.0f} MB "
                f"{len(set(clusters)):7,} {len(pairs):7,} {shared:8.3f}  "
                + (f"{len(pairs ^ reference):,} pairs apart, median similarity {median(apart):.2f}" if apart else ""),
                flush=True,
            )


if __name__ == "__main__":
    main()
