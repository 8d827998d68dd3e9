"""URL rules and repeated URLs at scale: python tests/benchmarks/urls.py [ENTRIES]

A made-up blocklist of ENTRIES domains (5 million): seconds to read, bytes of the array, and what each of four workers that
map it takes of its own (Pss: shared pages are divided among those who share them), with URLs a second. Then the same
number of URLs, a third of them repeated: seconds and memory to find the repeated ones, of the whole step.
"""

import argparse
import multiprocessing as mp
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config import Config
from pipeline.core.ledger import Part, Piece, read, writer
from pipeline.core.part import RunFiles
from pipeline.extract.page import SCHEMA
from pipeline.filters.options import UrlOptions
from pipeline.filters.url import warm_up
from pipeline.stages.extract import BLOCKLISTS, EXTRACT, prepare, url_lists, url_rules
from pipeline.stages.url_duplicates import URLS, Options, drop_repeated


def kilobytes(name: str, file: str = "smaps_rollup") -> int:
    lines = Path(f"/proc/self/{file}").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def look_up(root: str, options: UrlOptions, urls: list[str], ready: Any, results: Any) -> None:
    warm_up()
    before = kilobytes("Pss")
    reasons = url_rules(url_lists(options), Path(root) / BLOCKLISTS)
    assert reasons is not None
    began = time.process_time()
    found = sum(bool(reasons(url)) for url in urls)
    spent = time.process_time() - began
    ready.wait()  # all have read what they need of the list
    results.put((found, len(urls) / spent, (kilobytes("Pss") - before) / 1024))
    ready.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("entries", type=int, nargs="?", default=5_000_000)
    count = parser.parse_args().entries
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        listed = root / "domains"
        with listed.open("w") as file:
            file.writelines(f"host-{n * 2654435761 % 2**32:x}.example{n % 97}.net\n" for n in range(count))
        options = UrlOptions(blocklists=(str(listed),))
        made = EXTRACT.options(Config.model_validate({"input": {"paths": ["x"]}, "url": options}), ())
        prepare(root, made)  # compiles its kernel
        began = time.perf_counter()
        prepare(root, made)
        spent = time.perf_counter() - began
        size = (root / BLOCKLISTS).stat().st_size / 2**20
        print(f"{count:,} domains, {listed.stat().st_size / 1e6:.0f} MB of text: read in {spent:.1f} s, {size:.0f} MiB")
        urls = [
            f"https://www.host-{n * 2654435761 % 2**32:x}.example{n % 97}.net/a/b?c=d" for n in range(0, count, 100)
        ]
        urls += [f"https://www.other{n}.net/a/b?c=d" for n in range(len(urls))]
        context = mp.get_context("spawn")
        ready, results = context.Barrier(4), context.Queue()
        processes = [context.Process(target=look_up, args=(folder, options, urls, ready, results)) for _ in range(4)]
        for worker in processes:
            worker.start()
        for found, speed, own in [results.get() for _ in processes]:
            print(f"  worker: {found:,} of {len(urls):,} blocked, {speed:,.0f} URLs/s, {own:.1f} MiB of its own")

        part = Part(0, (Piece("x", 1, "0" * 8),))
        folders = {step.name: step.folder(root) for step in (EXTRACT, URLS)}
        view = RunFiles(root, URLS.name, (part,), "key", folders)
        rows = 100_000
        with writer(view.file(EXTRACT, part), SCHEMA, "key") as out:
            for start in range(0, count, rows):
                numbers = (np.arange(start, min(start + rows, count)) * 2654435761 % (count * 2 // 3)).tolist()
                columns: dict[str, Any] = {
                    "id": [f"{start + n:032x}" for n in range(len(numbers))],
                    "url": [f"https://www.host{n % 1000}.example/some/path/{n}?q={n}" for n in numbers],
                    "dropped": [[]] * len(numbers),
                }
                nothing = [None] * len(numbers)
                arrays = [pa.array(columns.get(field.name, nothing), field.type) for field in SCHEMA]
                out.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before, began, cpu = kilobytes("VmRSS", "status"), time.perf_counter(), time.process_time()
        drop_repeated(view, Options(policy="first", memory=2_000_000_000), lambda done, total: None)
        spent, cpu = time.perf_counter() - began, time.process_time() - cpu
        peak = (kilobytes("VmHWM", "status") - before) / 1024
        gone = sum(map(len, read(view.file(URLS, part), ["dropped"])["dropped"].to_pylist()))
        print(
            f"{count:,} URLs: {gone:,} repeated, {spent:.1f} s ({cpu:.1f} CPU s), at most {peak:.0f} MiB more than before"
        )


if __name__ == "__main__":
    main()
