"""Killed at random moments and started again, a run ends with the bytes of an undisturbed one.

    python tests/benchmarks/kills.py ARCHIVES [--kills 10] [--workers 1 2] [--until shards] [--out /tmp/kills]

For each number of workers one run is killed (SIGKILL to its whole process group) so many times, at moments drawn from a
fixed seed between its start and the time the undisturbed run took for what is left; then it is let end. `clean/`,
`tokenizer/` and `shards/` are compared by SHA-256.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = ("clean", "tokenizer", "shards")


def start(archives: str, out: Path, workers: int, until: str) -> "subprocess.Popen[bytes]":
    """A run in a process group of its own."""
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "run",
        "configs/quickstart.toml",
        "--set",
        f'input.paths=["{archives}"]',
    ]
    command += ["--out", str(out), "--until", until, "--workers", str(workers)]
    log = open(out.with_suffix(".log"), "ab")  # noqa: SIM115 (the process writes to it)
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every file of the products."""
    files = sorted(file for product in PRODUCTS for file in (out / product).rglob("*") if file.is_file())
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def state(out: Path) -> str:
    """How far a killed run had come: the files of each step that are finished."""
    counts = {step.name: len(list(step.glob("*.parquet"))) for step in sorted((out / "ledger").glob("*"))}
    counts |= {product: len(list((out / product).glob("*"))) for product in PRODUCTS if (out / product).is_dir()}
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"


def main() -> None:
    """Run, kill, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--until", default="shards")
    parser.add_argument("--out", type=Path, default=Path("/tmp/kills"))
    options = parser.parse_args()
    archives = str(Path(options.archives).resolve())
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    began = time.perf_counter()
    if start(archives, options.out / "undisturbed", 2, options.until).wait():
        sys.exit("the undisturbed run failed")
    whole = time.perf_counter() - began
    wanted = digests(options.out / "undisturbed")
    print(f"undisturbed: {whole:.0f} s, {len(wanted)} files", flush=True)
    moments = random.Random(7)
    for workers in options.workers:
        out = options.out / f"killed-{workers}"
        began = time.perf_counter()
        for kill in range(options.kills):
            run = start(archives, out, workers, options.until)
            # The work that is left shrinks from kill to kill: spread the moments over it.
            time.sleep(1 + moments.random() * 2 * whole * (2 / workers) / options.kills)
            hit = run.poll() is None
            if hit:
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            print(f"  {workers} workers, kill {kill + 1}: {'hit' if hit else 'had ended'}; {state(out)}", flush=True)
        if start(archives, out, workers, options.until).wait():
            sys.exit("the last run failed")
        found = digests(out)
        differing = [name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)]
        verdict = "identical" if not differing else f"DIFFERENT: {differing}"
        print(f"{workers} workers, {options.kills} kills, {time.perf_counter() - began:.0f} s: {verdict}", flush=True)


if __name__ == "__main__":
    main()
