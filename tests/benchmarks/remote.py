"""The same run from several places: python tests/benchmarks/remote.py FOLDER URL...

FOLDER holds archives; it is read from disk and served over HTTP from here, and each URL (s3://bucket/prefix, say, with the
storage's settings in the environment) is expected to hold the same files. For each: seconds, and a digest of the ledger's
rows and of the shards.
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
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.plan import open_run

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


def serve(folder: Path) -> str:
    """A server with ranges, as long as this process lives; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = (folder / self.path.lstrip("/")).read_bytes()
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            piece = data[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            self.send_header("Content-Length", str(len(piece)))
            self.end_headers()
            self.wfile.write(piece)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("urls", nargs="*")
    arguments = parser.parse_args()
    names = sorted(file.name for file in arguments.folder.glob("*.warc.gz"))
    web = serve(arguments.folder)
    places = {"disk": [f"{arguments.folder}/{name}" for name in names], "http": [f"{web}/{name}" for name in names]}
    for place, paths in [*places.items(), *((url, [url]) for url in arguments.urls)]:
        with tempfile.TemporaryDirectory() as folder:
            config, root = Path(folder) / "x.toml", Path(folder) / "run"
            config.write_text(CONFIG.format(", ".join(f'"{path}"' for path in paths)))
            command = [sys.executable, "-m", "pipeline", "run", str(config), "--out", str(root), "--until", "shards"]
            began = time.perf_counter()
            subprocess.run([*command, "--workers", "1"], check=True, stdout=subprocess.DEVNULL, env=os.environ)
            spent = time.perf_counter() - began
            print(f"{place:30} {len(open_run(root).parts):3} parts {spent:6.1f} s  digest {digest(root)}", flush=True)


if __name__ == "__main__":
    main()
