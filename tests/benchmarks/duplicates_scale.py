"""Clusters of many millions of documents within a memory budget: wall time, peak memory, and whether they are the planted ones.

    python tests/benchmarks/duplicates_scale.py SCRATCH [--millions 1 5 20] [--memory 1GB 2GB] [--parts-of 500000]

Writes, under SCRATCH, the ledger of a run of so many documents, a part after the other, as the steps before the clustering
would: content hashes and 14 band keys in Parquet (about 135 bytes a document), and `dropped`. The structure is planted by a
seeded generator: groups of 1 to 2,000 documents (half of them of one, sizes as 1 / k**2), shuffled over all parts; a
group hangs together by a chain of band keys, one shared key a link; one document in ten is an exact copy of another, one in
sixty is not alive and must join nothing. Then the very step of a run, `find_candidates`, works on it in a process of its
own, whose peak memory getrusage tells.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT)

from pipeline.kernels import use_kernel_cache  # noqa: E402

use_kernel_cache()

from pipeline.config import Config  # noqa: E402
from pipeline.filters.clusters import warm_up  # noqa: E402
from pipeline.ledger import DROPPED, Part, writer  # noqa: E402
from pipeline.stages.duplicates import CANDIDATES, find_candidates  # noqa: E402
from pipeline.stages.job import View, part_file  # noqa: E402
from pipeline.stages.measure import signature_schema  # noqa: E402

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


def write_ledger(folder: Path, n: int, part_rows: int, memory: str) -> None:
    """The run's files that `find_candidates` reads."""
    group, place = plant(n, 7)
    config = Config.model_validate({"input": {"paths": ["planted"]}, "duplicates": {"memory": memory}})
    schema = signature_schema(config.duplicates)
    for index, start in enumerate(range(0, n, part_rows)):
        part = Part(index, f"part-{index:05d}", 0, f"{index:032d}")
        streams = {
            "extract": pa.schema([("id", pa.string())]),
            "quality.decide": pa.schema([("dropped", DROPPED)]),
            "duplicates.signatures": schema,
        }
        files = {step: part_file(folder, step, part) for step in streams}
        with (
            writer(files["extract"], streams["extract"], "") as ids,
            writer(files["quality.decide"], streams["quality.decide"], "") as decided,
            writer(files["duplicates.signatures"], schema, "") as signed,
        ):
            for begin in range(start, min(start + part_rows, n), GROUP_ROWS):
                rows = slice(begin, min(begin + GROUP_ROWS, start + part_rows, n))
                g, p = group[rows].astype(np.uint64), place[rows].astype(np.uint64)
                count = len(g)
                ids.write_table(pa.table([pa.nulls(count, pa.string())], schema=streams["extract"]))
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


def work(folder: Path, n: int, part_rows: int, memory: str) -> None:
    """The step, alone in this process; prints what it took."""
    config = Config.model_validate({"input": {"paths": ["planted"]}, "duplicates": {"memory": memory}})
    parts = tuple(Part(i, f"part-{i:05d}", 0, f"{i:032d}") for i in range(-(-n // part_rows)))
    view = View(folder, "duplicates.candidates", parts, "key", config)
    warm_up()  # loading compiled kernels takes seconds, whatever there is to do
    began, cpu = time.perf_counter(), time.process_time()
    find_candidates(view, lambda rows, units: None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([time.perf_counter() - began, time.process_time() - cpu, peak]))


def wrong_roots(folder: Path, n: int, part_rows: int) -> tuple[int, int]:
    """How many documents have another root than planted, and how many clusters of two and more there are."""
    group, place = plant(n, 7)
    alive = is_alive(group.astype(np.uint64), place.astype(np.uint64))
    first = np.full(int(group.max()) + 1, n, np.int64)
    indices = np.flatnonzero(alive)
    np.minimum.at(first, group[alive], indices)
    wrong = 0
    for index, start in enumerate(range(0, n, part_rows)):
        path = part_file(folder, "duplicates.candidates", Part(index, f"part-{index:05d}", 0, f"{index:032d}"))
        column = pq.read_table(path, columns=[CANDIDATES.names[1]])[0].combine_chunks()
        rows = slice(start, start + len(column))
        expected = pa.array(first[group[rows]], mask=~alive[rows])
        wrong += len(column) - int(np.count_nonzero(same(column, expected)))
    sizes = np.bincount(group[alive])
    return wrong, int((sizes > 1).sum())


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
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.scratch, int(options.millions[0] * 1e6), options.part_rows, options.work)
        return
    print(
        f"{'documents':>12} {'budget':>7} {'wall s':>8} {'s/million':>10} {'CPU s':>8} {'peak RSS':>9} {'clusters':>12} {'wrong':>6}"
    )
    for millions in options.millions:
        n = int(millions * 1e6)
        folder = options.scratch / f"planted-{n}"
        shutil.rmtree(folder, ignore_errors=True)
        write_ledger(folder, n, options.part_rows, "2GB")
        size = sum(file.stat().st_size for file in (folder / "ledger" / "duplicates.signatures").iterdir())
        for memory in options.memory:
            command = [
                sys.executable,
                __file__,
                str(options.scratch / folder.name),
                "--work",
                memory,
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
            wrong, clusters = wrong_roots(folder, n, options.part_rows)
            print(
                f"{n:12,} {memory:>7} {wall:8.1f} {wall / millions:10.2f} {cpu:8.1f} {peak / 1e9:7.2f}GB {clusters:12,} {wrong:6,}",
                flush=True,
            )
            shutil.rmtree(folder / "ledger" / "duplicates.candidates")
        print(f"{'':12} the signatures take {size / n:.0f} bytes a document on disk", flush=True)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
