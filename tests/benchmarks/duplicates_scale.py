"""Clusters of many millions of documents within a memory budget: wall time, peak memory, and whether they are the planted ones.

    python tests/benchmarks/duplicates_scale.py SCRATCH [--millions 1 5 20] [--memory 1GB 2GB 4GB] [--decide none exact]

Writes, under SCRATCH, the ledger of a run of so many documents, a part after the other, as the steps before the clustering
would: content hashes and 14 band keys in Parquet (about 155 bytes a document), and `dropped`. The structure is planted by a
seeded generator: groups of 1 to 2,000 documents (half of them of one, sizes as 1 / k**2), shuffled over all parts; a
group hangs together by a chain of band keys, one shared key a link; one document in ten is an exact copy of another, one in
sixty is not alive and must join nothing. Then the very step of a run, `find_candidates`, works on it in a process of its
own, which tells its peak memory.

With --decide the next step is measured too, unverified or verified: documents have ids of 45 characters and texts of 25
words, of which all but the last are their group's (nine in ten shingles are shared). Unverified, every cluster must have its
planted size and one kept document; verified, each document that goes must go for a kept one of its group, and every budget
must give the same outcome.

On paper, from what this measured on up to 50 million documents (CPU seconds, 14 bands of 8 rows):

                                         a million documents         one dump, 500 million      all 96 dumps, 48 billion
    signatures, N cores                  37 s (84 MB/s of text)      5 core-hours               490 core-hours
    candidates, one process              2.4 to 3.1 s                26 minutes                 41 hours, or N dumps at once
    choice, unverified, one process      2.4 s                       20 minutes                 32 hours, or N dumps at once
    choice, verified, one process        51 s a million compared,    3.4 hours where 30 %       330 hours, or N dumps at once
                                         31 s to hash them again     have candidates
    disk: signatures and candidates      0.16 GB                     80 GB                      8 TB
    disk: what is compared, meanwhile    4.1 GB a million compared   0.6 TB                     of the dumps at work
    memory                               34 MB + 350 MB              17 GB in one pass over     of the dumps at work
                                                                     each band, 8 GB in five

A dump is what FineWeb deduplicates (arXiv 2406.17557, section 3.4): 36 trillion tokens in 96 dumps, at 700 tokens or 3.1 kB a
document. It found that more is not better: all dumps at once left a worse corpus than each alone. Dumps are independent, so
that N machines take N at a time. All at once need 14 bytes a document, 0.7 TB of memory in one process; or each dump against
those before (`duplicates.against`), which reads the 80 GB of every earlier dump again. With verify = "signature" the signatures
take 0.9 kB a document, 450 GB a dump, and no text is read a second time.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
sys.path.insert(1, str(ROOT))


from memory import peak_bytes  # noqa: E402

from pipeline.config import Config  # noqa: E402
from pipeline.core.ledger import DROPPED, Part, Piece, writer  # noqa: E402
from pipeline.core.part import RunFiles  # noqa: E402
from pipeline.filters.dedup.clusters import warm_up as warm_up_clusters  # noqa: E402
from pipeline.filters.dedup.shingles import shingle_hashes  # noqa: E402
from pipeline.filters.dedup.verify import warm_up as warm_up_verify  # noqa: E402
from pipeline.run.run import Run  # noqa: E402
from pipeline.stages.duplicates.candidates import CANDIDATES, CANDIDATES_STEP, find_candidates  # noqa: E402
from pipeline.stages.duplicates.signatures import signature_options, signature_schema  # noqa: E402
from pipeline.stages.duplicates.verify import DOCUMENTS, decide  # noqa: E402

BANDS = 14
TWO = np.uint64(2)
SHIFT = np.uint64(24)
GROUP_ROWS = 100_000
Numbers = npt.NDArray[np.uint64]


def mix(x: Numbers) -> Numbers:
    """A bijection of 64 bits in which every bit moves every other one (MurmurHash3's finalizer)."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        x = (x ^ (x >> np.uint64(33))) * np.uint64(factor)
    return x ^ (x >> np.uint64(33))


def plant(n: int, seed: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The group of each of n documents and its place in the group's chain."""
    source = np.random.default_rng(seed)
    sizes = np.minimum(2_000, (1 / (1 - source.random(n))).astype(np.int64))  # P(size >= k) = 1 / k
    groups = int(np.searchsorted(np.cumsum(sizes), n)) + 1
    group = np.repeat(np.arange(groups, dtype=np.int32), sizes[:groups])[:n]
    starts = np.concatenate([[0], np.cumsum(sizes[:groups])[:-1]])
    place = (np.arange(n) - starts[group]).astype(np.int32)
    shuffled = source.permutation(n)
    return group[shuffled], place[shuffled]


def is_twin(group: Numbers, place: Numbers) -> npt.NDArray[np.bool_]:
    """Every second document may be an exact copy of the one before it: one in five is."""
    return np.asarray((place % TWO == 1) & (mix((group << SHIFT) + place) % np.uint64(5) == 0))


def is_alive(group: Numbers, place: Numbers) -> npt.NDArray[np.bool_]:
    """All but one in 25 of those that nothing else hangs on."""
    leaf = (place % TWO == 1) & ~is_twin(group, place)
    return np.asarray(~(leaf & (mix((group << SHIFT) - place) % np.uint64(25) == 0)))


def keys_of(group: Numbers, place: Numbers, band: int) -> Numbers:
    """The even documents of a group are a chain, link q in band q % 14; an odd one is a twin of the even one before it, with
    all its keys, or shares one band's key with it. All other keys are nobody else's."""
    q = place // TWO
    link = np.where(q % np.uint64(BANDS) == np.uint64((band + 1) % BANDS), q - np.uint64(1), q)
    leaf = (place % TWO == 1) & ~is_twin(group, place) & (q % np.uint64(BANDS) != np.uint64((band + 7) % BANDS))
    return mix((group << SHIFT) + np.where(leaf, place + np.uint64(1 << 20), link) + (np.uint64(band) << np.uint64(58)))


def letters(numbers: Numbers, count: int) -> npt.NDArray[np.uint8]:
    """(n, count) letters that spell each number in base 26."""
    powers = np.uint64(26) ** np.arange(count, dtype=np.uint64)
    return (numbers[:, None] // powers % np.uint64(26)).astype(np.uint8) + np.uint8(ord("a"))


def strings(rows: npt.NDArray[np.uint8]) -> pa.StringArray:
    """Strings of one length from their bytes (n, length)."""
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows)))


def ids_of(group: Numbers, place: Numbers) -> pa.StringArray:
    """Ids as long as those of Common Crawl's records: 45 characters."""
    one = (group << SHIFT) + place
    prefix = np.broadcast_to(np.frombuffer(b"urn:uuid:", np.uint8), (len(one), 9))
    return strings(np.concatenate([prefix, *(letters(mix(one + np.uint64(k)), 12) for k in range(3))], axis=1))


def texts_of(group: Numbers, place: Numbers) -> pa.StringArray:
    """24 words of the group and one of the document and its exact copy."""
    own = np.where(is_twin(group, place), place - np.uint64(1), place)
    space = np.full((len(group), 1), ord(" "), np.uint8)
    words = [letters(mix((group << SHIFT) + np.uint64(w + (1 << 22))), 6) for w in range(24)]
    return strings(
        np.concatenate(
            [column for word in words for column in (word, space)] + [letters(mix((group << SHIFT) + own), 12)], axis=1
        )
    )


def write_ledger(folder: Path, n: int, part_rows: int, memory: str, texts: bool) -> None:
    """The run's files that the steps read."""
    group, place = plant(n, 7)
    config = Config.model_validate({"input": {"paths": ["planted"]}, "duplicates": {"memory": memory}})
    schema = signature_schema(signature_options(config))
    for index, start in enumerate(range(0, n, part_rows)):
        part = Part(index, (Piece(f"part-{index:05d}", 0, f"{index:032d}"),))
        streams = {
            "extract": pa.schema([("id", pa.string()), ("text", pa.string())]),
            "quality": pa.schema([("words", pa.float64())]),
            "quality.decide": pa.schema([("dropped", DROPPED)]),
            "duplicates.signatures": schema,
        }
        files = {step: folder / "ledger" / step / f"{part.name}.parquet" for step in streams}
        with (
            writer(files["extract"], streams["extract"], "") as ids,
            writer(files["quality"], streams["quality"], "") as measured,
            writer(files["quality.decide"], streams["quality.decide"], "") as decided,
            writer(files["duplicates.signatures"], schema, "") as signed,
        ):
            for begin in range(start, min(start + part_rows, n), GROUP_ROWS):
                rows = slice(begin, min(begin + GROUP_ROWS, start + part_rows, n))
                g, p = group[rows].astype(np.uint64), place[rows].astype(np.uint64)
                count = len(g)
                told = [ids_of(g, p), texts_of(g, p)] if texts else [pa.nulls(count, pa.string())] * 2
                ids.write_table(pa.table(told, schema=streams["extract"]))
                measured.write_table(pa.table([pa.array(np.full(count, 25.0))], schema=streams["quality"]))
                alive = is_alive(g, p)
                dropped = pa.ListArray.from_arrays(
                    pa.array(np.zeros(count + 1, np.int32)),
                    pa.array([], pa.string()),
                    type=DROPPED,
                    mask=pa.array(~alive),
                )
                decided.write_table(pa.table([dropped], schema=streams["quality.decide"]))
                halves = mix((g << SHIFT) + np.where(is_twin(g, p), p - np.uint64(1), p))
                hashes = np.stack([halves, mix(halves + np.uint64(1))], axis=1)
                columns = [
                    pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [None, pa.py_buffer(hashes)]),
                    pa.array(np.full(count, 4_000)),
                    *(pa.array(keys_of(g, p, band)) for band in range(BANDS)),
                ]
                signed.write_table(pa.table(columns, schema=schema))


@dataclass(frozen=True)
class View:
    """A step's view of the planted run, with its options."""

    files: RunFiles
    options: Any
    config: Config


def view_of(folder: Path, n: int, part_rows: int, memory: str, verify: str, step: str) -> View:
    """The step's view of the planted run."""
    options = {"memory": memory, "verify": verify, "keep": "first"}
    config = Config.model_validate({"input": {"paths": ["planted"]}, "duplicates": options})
    parts = tuple(Part(i, (Piece(f"part-{i:05d}", 0, f"{i:032d}"),)) for i in range(-(-n // part_rows)))
    done = CANDIDATES_STEP if step == CANDIDATES_STEP.name else DOCUMENTS
    run = Run(folder, config, parts)
    files = replace(run.run_files(done), key=f"{step} {verify}")
    return View(files, done.options(config, ()), config)


def work(view: View) -> None:
    """The step, alone in this process; prints what it took."""
    warm_up_clusters()  # loading compiled kernels takes seconds, whatever there is to do
    warm_up_verify()

    shingle_hashes(["a b"], 5)
    began, cpu = time.perf_counter(), time.process_time()
    step = find_candidates if view.files.step == CANDIDATES_STEP.name else decide
    step(view.files, view.options, lambda rows, units: None)
    print(json.dumps([time.perf_counter() - began, time.process_time() - cpu, peak_bytes()]))


def wrong_roots(view: View, n: int) -> tuple[int, int]:
    """How many documents have another root than planted, and how many clusters of two and more there are."""
    group, place = plant(n, 7)
    alive = is_alive(group.astype(np.uint64), place.astype(np.uint64))
    first = np.full(int(group.max()) + 1, n, np.int64)
    indices = np.flatnonzero(alive)
    np.minimum.at(first, group[alive], indices)
    wrong = start = 0
    for part in view.files.parts:
        column = pq.read_table(view.files.file(CANDIDATES_STEP, part), columns=[CANDIDATES.names[1]])[
            0
        ].combine_chunks()
        rows = slice(start, start + len(column))
        expected = pa.array(first[group[rows]], mask=~alive[rows])
        wrong += len(column) - int(np.count_nonzero(same(column, expected)))
        start += len(column)
    sizes = np.bincount(group[alive])
    return wrong, int((sizes > 1).sum())


def wrong_choices(view: View, n: int) -> tuple[int, int, str]:
    """How many documents are decided wrongly, how many go, and a digest of the outcome."""
    group, place = plant(n, 7)
    alive = is_alive(group.astype(np.uint64), place.astype(np.uint64))
    sizes = np.bincount(group[alive], minlength=int(group.max()) + 1)
    digest = hashlib.blake2b(digest_size=8)
    wrong = gone = start = 0
    for part in view.files.parts:
        table = pq.read_table(view.files.file(DOCUMENTS, part))
        rows = slice(start, start + len(table))
        start += len(table)
        g = group[rows].astype(np.uint64)
        ids = ids_of(g, place[rows].astype(np.uint64))
        living = alive[rows]
        cluster, reason = table["cluster"].combine_chunks(), table["reason"].combine_chunks()
        goes = reason.is_valid().to_numpy(zero_copy_only=False)
        itself = pc.fill_null(pc.equal(cluster, ids), False).to_numpy(zero_copy_only=False)
        wrong += int((living != cluster.is_valid().to_numpy(zero_copy_only=False)).sum())
        wrong += int((living & (goes == itself)).sum())  # who stays is its cluster's centre, and nobody else
        if view.config.duplicates.verify == "none":
            wrong += int(
                (table["cluster_size"].fill_null(0).to_numpy() != np.where(living, sizes[group[rows]], 0)).sum()
            )
        else:
            similarity = table["similarity"].fill_null(2).to_numpy()
            wrong += int((goes & (similarity < np.float32(0.8))).sum())
        gone += int(goes.sum())
        for column in (cluster, reason, table["cluster_size"].combine_chunks()):
            for buffer in pc.fill_null(column, "" if pa.types.is_string(column.type) else 0).buffers()[1:]:
                digest.update(buffer or b"")
    return wrong, gone, digest.hexdigest()


def same(a: pa.Array, b: pa.Array) -> npt.NDArray[np.bool_]:
    """Where two columns are equal, nulls included."""
    x, y = (column.fill_null(-1).to_numpy() for column in (a, b))
    return np.asarray(x == y)


def main() -> None:
    parser = argparse.ArgumentParser(description="Clusters of many millions of documents within a budget.")
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 5, 20])
    parser.add_argument("--memory", nargs="+", default=["1GB", "2GB", "4GB"])
    parser.add_argument("--part-rows", type=int, default=500_000)
    parser.add_argument("--decide", nargs="*", default=[], choices=["none", "exact"])
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        memory, verify, step = options.work
        work(view_of(options.scratch, int(options.millions[0] * 1e6), options.part_rows, memory, verify, step))
        return
    print(f"{'documents':>12} {'step':>18} {'budget':>7} {'wall s':>8} {'CPU s':>8} {'a million':>9} {'peak RSS':>9}")
    for millions in options.millions:
        n = int(millions * 1e6)
        folder = options.scratch / f"planted-{n}"
        shutil.rmtree(folder, ignore_errors=True)
        write_ledger(folder, n, options.part_rows, "2GB", bool(options.decide))
        size = sum(file.stat().st_size for file in (folder / "ledger" / "duplicates.signatures").iterdir())
        print(f"{n:12,} signatures of {size / n:.0f} bytes a document on disk", flush=True)
        steps = [("none", "duplicates.candidates"), *((verify, "duplicates.documents") for verify in options.decide)]
        for verify, step in steps:
            for memory in options.memory:
                command = [
                    sys.executable,
                    __file__,
                    str(folder),
                    "--work",
                    memory,
                    verify,
                    step,
                    "--millions",
                    str(millions),
                ]
                done = subprocess.run(
                    [*command, "--part-rows", str(options.part_rows)], check=False, capture_output=True, text=True
                )
                if done.returncode:
                    print(f"{n:12,} {memory:>7} {done.stderr.strip().splitlines()[-1]}")
                    continue
                wall, cpu, peak = json.loads(done.stdout.splitlines()[-1])
                view = view_of(folder, n, options.part_rows, memory, verify, step)
                if step == "duplicates.candidates":
                    wrong, clusters = wrong_roots(view, n)
                    outcome = f"{clusters:,} clusters, {wrong:,} documents with a wrong root"
                else:
                    wrong, gone, digest = wrong_choices(view, n)
                    outcome = f"{gone:,} go, {wrong:,} wrong, digest {digest}"
                name = "candidates" if step == "duplicates.candidates" else f"decide, {verify}"
                print(
                    f"{n:12,} {name:>18} {memory:>7} {wall:8.1f} {cpu:8.1f} {cpu / millions:9.2f} {peak / 1e9:7.2f}GB  {outcome}",
                    flush=True,
                )
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
