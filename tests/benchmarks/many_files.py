"""A run over many small files, against one over the same records in one file: python tests/benchmarks/many_files.py SCRATCH

Prints for each way the files and parts, and the CPU seconds of the whole run until the shards, of the same run again with
nothing to do, and of `stats`, as ratios to the one file. The pages are the sample web pages beside this checkout. With
--sharing-off, files do not share parts. The extractor is the fastest, native, so that all the rest counts.
"""

import argparse
import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "web-sample"
CONFIG = """
[input]
paths = ["{}"]
[quality]
words = {{ min = 50 }}
[tokenizer]
vocab_size = 1000
"""
ALONE = "import pipeline.run.inputs as inputs; inputs.SMALL = 1 << 60; "


def records() -> Iterator[bytes]:
    """The records of the sample's archives, as they are in the decompressed archive."""
    for archive in sorted(SAMPLE.glob("sample-0[0-6].warc.gz")):
        data = gzip.decompress(archive.read_bytes())
        start = 0
        while start < len(data):
            head, _, _ = data[start:].partition(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
            )
            end = start + len(head) + 4 + length + 4
            if b"WARC-Type: response" in head:
                yield data[start:end]
            start = end


def write(folder: Path, count: int) -> None:
    """`count` records as files of one record in many/, and as one file in one/."""
    for name in ("many", "one"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    with open(folder / "one" / "all.warc.gz", "wb") as whole:
        for number, record in enumerate(islice(cycle(list(records())), count)):
            packed = gzip.compress(record, 6, mtime=0)
            whole.write(packed)
            (folder / "many" / f"{number:06d}.warc.gz").write_bytes(packed)


def seconds(arguments: list[str], sharing: bool) -> float:
    """CPU seconds of a command and its workers."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = f"{'' if sharing else ALONE}from pipeline.cli.main import main; main({arguments!r})"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--records", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sharing-off", action="store_true")
    options = parser.parse_args()
    write(options.scratch, options.records)
    print(
        f"{'way':>5} {'files':>8} {'parts':>8} {'run':>8} {'again':>8} {'stats':>8}   CPU seconds, and the ratio to one file"
    )
    base: list[float] = []
    for way in ("warm", *("one", "many") * options.rounds):
        folder = options.scratch / way.replace("warm", "one")
        root = options.scratch / "run"
        shutil.rmtree(root, ignore_errors=True)
        config = options.scratch / f"{folder.name}.toml"
        config.write_text(CONFIG.format(folder))
        command = ["run", str(config), "--out", str(root), "--until", "shards", "--workers", str(options.workers)]
        sharing = not options.sharing_off
        spent = [seconds(arguments, sharing) for arguments in (command, command, ["stats", str(root)])]
        if way == "warm":  # compiles the kernels
            continue
        if way == "one":
            base = spent
        files = len(os.listdir(folder))
        parts = len(os.listdir(root / "ledger" / "extract"))
        columns = " ".join(f"{value:8.1f}" for value in spent)
        ratios = ", ".join(f"{value / one:.2f}" for value, one in zip(spent, base, strict=True))
        print(f"{way:>5} {files:8,} {parts:8,} {columns}   {ratios}", flush=True)
    shutil.rmtree(options.scratch / "run")
    print(json.dumps({"records": options.records, "workers": options.workers}))


if __name__ == "__main__":
    main()
