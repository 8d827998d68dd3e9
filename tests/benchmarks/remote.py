"""The same run from several places: python tests/benchmarks/remote.py FOLDER URL...

FOLDER holds archives; it is read from disk and served over HTTP from here, and each URL (s3://bucket/prefix, say, with the
storage's settings in the environment) is expected to hold the same files. For each: seconds, and a digest of the ledger's
rows and of the shards. Then from a server that answers every third request with 503, half of the bytes or, twice, not at all
for longer than we wait; then from one where the last file cannot be had: what the run says, and, once it can, what the
same command does again. A few minutes, most of them pauses.
"""

import argparse
import hashlib
import http.server
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.extract.inputs.files import TIMEOUT
from pipeline.run.run import open_run

STEPS = ("extract", "language", "quality", "duplicates")
CONFIG = (
    '[input]\npaths = [{}]\npart_bytes = "3MB"\n[extract]\nextractor = "native"\n[quality]\nwords = {{ min = 50 }}\n'
)


def digest(root: Path) -> str:
    done = open_run(root)
    hashed = hashlib.blake2b(digest_size=6)
    for step in STEPS:
        for part in done.parts:
            for batch in pq.ParquetFile(done.file(step, part)).iter_batches(64):
                for row in batch.to_pylist():
                    hashed.update(repr(row).encode())
    for file in sorted((root / "shards").glob("*")):
        hashed.update(file.name.encode() + (b"" if file.name == ".key" else file.read_bytes()))
    return hashed.hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Files with ranges, as long as this process lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faulty = False
        self.gone: str | None = None
        """A file of which every request after the first, by which it is cut into parts, is answered with 503."""
        self.asked: Counter[str] = Counter()
        """Requests for more than a byte, by file."""
        self.troubles: Counter[str] = Counter()
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def trouble(self, name: str) -> str | None:
        """What goes wrong with this request."""
        self.asked[name] += 1
        number = self.asked.total()
        if name == self.gone and self.asked[name] > 1:
            found = "503"
        elif self.faulty and number % 3 == 1:
            found = ("503", "cut short", "stalls" if self.troubles["stalls"] < 2 else "503")[number // 3 % 3]
        else:
            return None
        self.troubles[found] += 1
        return found


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers, or not, as the server says."""

    server: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        data = (self.server.folder / name).read_bytes()
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        piece = data[int(first) : int(last) + 1]
        trouble = self.server.trouble(name) if len(piece) > 1 else None
        if trouble == "503":
            self.send_error(503)
            return
        if trouble == "stalls":
            time.sleep(TIMEOUT + 5)
            return
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(len(piece)))
        self.end_headers()
        self.wfile.write(piece[: len(piece) // 2] if trouble == "cut short" else piece)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


def go(folder: Path, paths: list[str]) -> tuple[float, subprocess.CompletedProcess[str]]:
    """A run until the shards, by one worker: seconds, and how it ended."""
    config = folder / "x.toml"
    config.write_text(CONFIG.format(", ".join(f'"{path}"' for path in paths)))
    command = [sys.executable, "-m", "pipeline", "run", str(config), "--out", str(folder / "run")]
    began = time.perf_counter()
    ran = subprocess.run(
        [*command, "--until", "shards", "--workers", "1"], check=False, capture_output=True, text=True, env=os.environ
    )
    return time.perf_counter() - began, ran


def written(root: Path) -> dict[str, int]:
    """When each part of the extract was written."""
    done = open_run(root)
    return {file.name: file.stat().st_mtime_ns for part in done.parts if (file := done.file("extract", part)).is_file()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("urls", nargs="*")
    arguments = parser.parse_args()
    names = sorted(file.name for file in arguments.folder.glob("*.warc.gz"))
    server = Server(arguments.folder)
    disk, web = [f"{arguments.folder}/{name}" for name in names], [f"{server.url}/{name}" for name in names]
    places = [("disk", disk), ("http", web), *((url, [url]) for url in arguments.urls), ("http, faulty", web)]
    for place, paths in places:
        server.faulty = place == "http, faulty"
        with tempfile.TemporaryDirectory() as folder:
            spent, ran = go(Path(folder), paths)
            assert ran.returncode == 0, ran.stderr
            root = Path(folder) / "run"
            print(f"{place:30} {len(open_run(root).parts):3} parts {spent:6.1f} s  digest {digest(root)}", flush=True)
    print(f"{'':30} {server.asked.total()} requests, of which {dict(server.troubles)}")
    server.faulty, server.gone = False, names[-1]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "run"
        for place in ("http, one file gone", "http, the file back"):
            server.asked.clear()
            before = written(root) if root.exists() else {}
            spent, ran = go(Path(folder), web)
            after = written(root)
            same = sum(after[name] == before[name] for name in before)
            print(f"{place:30} {spent:6.1f} s  exit {ran.returncode}  parts extracted {len(after) - same}, untouched {same}"
                  f"  asked for {dict(server.asked)}")  # fmt: skip
            print(
                f"{'':30} {ran.stderr.strip().splitlines()[-1]}" if ran.returncode else f"{'':30} digest {digest(root)}"
            )
            server.gone = None


if __name__ == "__main__":
    main()
