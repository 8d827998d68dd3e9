"""One archive in one part and in many, with one worker and with two: python tests/benchmarks/parts.py ARCHIVE... --until clean

For each archive and each way: seconds, speed-up, the largest resident memory of a worker, and a digest of the ledger's
rows and of the products, which must not differ. The extractor is the fastest, native, so that all the rest counts.
"""

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

CONFIG = (
    '[input]\npaths = ["{}"]\npart_bytes = "{}B"\n[extract]\nextractor = "native"\n[quality]\nwords = {{ min = 50 }}\n'
)
STEPS = ("extract", "language", "quality", "duplicates", "clean")


def digest(root: Path) -> str:
    """Of every row of every step, in order, and of the shards' bytes."""
    from pipeline.run.run import open_run

    done = open_run(root)
    hashed = hashlib.blake2b(digest_size=6)
    for step in STEPS:
        for part in done.done_parts(step):
            for batch in pq.ParquetFile(done.file(step, part)).iter_batches(64):
                for row in batch.to_pylist():
                    hashed.update(repr(row).encode())
    for file in sorted((root / "shards").glob("*")):
        hashed.update(file.name.encode() + file.read_bytes())
    return hashed.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("archives", type=Path, nargs="+")
    parser.add_argument("--until", default="extract")
    parser.add_argument("--parts", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    for archive in arguments.archives:
        size = archive.stat().st_size
        base = 0.0
        for parts in arguments.parts:
            for workers in arguments.workers:
                with tempfile.TemporaryDirectory() as folder:
                    config = Path(folder) / "x.toml"
                    config.write_text(CONFIG.format(archive, size if parts == 1 else size // parts))
                    root = Path(folder) / "run"
                    command = [sys.executable, "-m", "pipeline", "run", str(config), "--out", str(root)]
                    command += ["--until", arguments.until, "--workers", str(workers)]
                    began = time.perf_counter()
                    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                    spent = time.perf_counter() - began
                    base = base or spent
                    # of the largest process so far, workers included: archives are given smallest first
                    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
                    print(
                        f"{archive.name:24} {size / 1e6:6.0f} MB  {parts:3} parts {workers} workers {spent:7.1f} s"
                        f"  x {base / spent:4.2f}  peak so far {peak:6.0f} MiB  digest {digest(root)}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
