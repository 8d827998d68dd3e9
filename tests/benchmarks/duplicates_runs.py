"""One outcome over real pages: in any order of parts, with any number of workers, after kills, and grown crawl by crawl.

    python tests/benchmarks/duplicates_runs.py SCRATCH [--pages 2500] [--kills 6] [--harms 40]

The whole pages of the web sample as JSON Lines with their dates, in 8 files by date. Whole runs of the command line: the
files in order with one worker; shuffled with two; in order, with its process group killed at moments drawn by a seed; crawl A
(the earlier half) and then crawl B against it, both with keep = "earliest", beside the joint run. Last, files of signatures and
candidates are harmed (a flipped bit, a cut end, another part's file): each must be named, made again, or change nothing.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT / "tests" / "benchmarks")
sys.path.insert(1, str(ROOT))

from duplicates_quality import SAMPLE  # noqa: E402

FILES = 8
CONFIG = """
input.paths = {paths}
until = "duplicates"
[duplicates]
keep = {keep}
against = {against}
"""


def write_pages(folder: Path, count: int) -> list[Path]:
    """The sample's pages by date, in files of equal numbers."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    found: list[dict[str, str]] = []
    for path in sorted(SAMPLE.glob("sample-0[0-6].warc.gz")):
        for record in ArchiveIterator(str(path), record_types=WarcRecordType.response):
            body = record.reader.read()
            text = extract_plain_text(bytes_to_str(body, detect_encoding(body) or "utf-8"), main_content=False)
            if len(text.split()) >= 20:
                headers = record.headers
                place = {
                    "id": headers["WARC-Record-ID"],
                    "url": headers["WARC-Target-URI"],
                    "date": headers["WARC-Date"],
                }
                found.append({**place, "text": text})
    found = sorted(found[:count], key=lambda page: (page["date"], page["id"]))
    size = -(-len(found) // FILES)
    files = []
    for number in range(FILES):
        files.append(folder / f"{number}.jsonl")
        lines = [json.dumps(page) + "\n" for page in found[number * size : (number + 1) * size]]
        files[-1].write_text("".join(lines))
    return files


def command(root: Path, paths: list[Path], keep: Any, against: list[Path], workers: int) -> list[str]:
    """The run as a user starts it."""
    lists = {"paths": [str(path) for path in paths], "keep": keep, "against": [str(path) for path in against]}
    file = root.with_suffix(".toml")
    file.write_text(CONFIG.format(**{name: json.dumps(value) for name, value in lists.items()}))
    return [sys.executable, "-m", "pipeline", "run", str(file), "--out", str(root), "--workers", str(workers)]


def go(
    root: Path, paths: list[Path], keep: Any = "longest", against: list[Path] | None = None, workers: int = 1
) -> tuple[int, str]:
    """Exit code and what the run said."""
    done = subprocess.run(
        command(root, paths, keep, against or [], workers), cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr + done.stdout


def outcome(root: Path) -> dict[str, tuple[str, str]]:
    """Of each document the kept one and why it goes."""
    found: dict[str, tuple[str, str]] = {}
    for file in sorted((root / "ledger" / "duplicates").glob("*.parquet")):
        ids = pq.read_table(root / "ledger" / "extract" / file.name, columns=["id"])["id"].to_pylist()
        table = pq.read_table(file, columns=["cluster", "dropped"])
        rows = zip(ids, table["cluster"].to_pylist(), table["dropped"].to_pylist(), strict=True)
        found |= {name: (str(cluster), str(dropped)) for name, cluster, dropped in rows}
    return found


def told(found: dict[str, tuple[str, str]]) -> str:
    """An outcome in words."""
    reasons = Counter(dropped for _, dropped in found.values())
    return ", ".join(f"{dropped} {count:,}" for dropped, count in sorted(reasons.items()))


def kill(root: Path, files: list[Path], kills: int) -> int:
    """Start the run and kill it, again and again, when so many more files of the ledger are there; the kills that met it."""
    draw = random.Random(3)
    met = 0
    for _ in range(kills):
        ledger = root / "ledger"
        goal = len(list(ledger.rglob("*"))) + draw.randrange(1, 12)
        process = subprocess.Popen(
            command(root, files, "longest", [], 2), cwd=ROOT, start_new_session=True, stdout=-3, stderr=-3
        )
        while process.poll() is None and len(list(ledger.rglob("*"))) < goal:
            time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            met += 1
        process.wait()
    return met


def harm(root: Path, files: list[Path], expected: dict[str, tuple[str, str]], harms: int) -> Counter[str]:
    """What becomes of harmed files of a finished run."""
    draw = random.Random(5)
    results: Counter[str] = Counter()
    for number in range(harms):
        step = ("duplicates.signatures", "duplicates.candidates")[number % 2]
        kind = ("flip", "flip", "cut", "foreign")[number // 2 % 4]
        copy = root.with_name("harmed")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(root, copy)
        after = ("duplicates.candidates", "duplicates.documents", "duplicates")
        for later in after if step == "duplicates.signatures" else after[1:]:
            shutil.rmtree(copy / "ledger" / later)
        every = sorted((copy / "ledger" / step).glob("*.parquet"))
        victim = draw.choice(every)
        content = bytearray(victim.read_bytes())
        if kind == "flip":
            place = draw.randrange(len(content))
            content[place] ^= 1 << draw.randrange(8)
        elif kind == "cut":
            del content[draw.randrange(len(content)) :]
        else:
            content = bytearray(draw.choice([file for file in every if file != victim]).read_bytes())
        victim.write_bytes(content)
        code, said = go(copy, files)
        if code == 0:
            results[
                f"{kind}: made again, or nothing changed" if outcome(copy) == expected else f"{kind}: WRONG RESULT"
            ] += 1
        else:
            named = code == 2 and victim.name in said.replace("\n", "") and "Traceback" not in said
            results[f"{kind}: named" if named else f"{kind}: FAILED OTHERWISE"] += 1
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description="One outcome in any order, after any kill, crawl by crawl.")
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--pages", type=int, default=2_500)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--harms", type=int, default=40)
    options = parser.parse_args()
    folder = options.scratch / "duplicates-runs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = write_pages(folder, options.pages)
    assert go(folder / "one", files)[0] == 0
    expected = outcome(folder / "one")
    print(f"{len(expected):,} pages in {FILES} parts: {told(expected)}", flush=True)

    shuffled = random.Random(1).sample(files, len(files))
    assert go(folder / "two", shuffled, workers=2)[0] == 0
    print(f"shuffled, two workers: the same clusters and kept ids: {outcome(folder / 'two') == expected}", flush=True)

    met = kill(folder / "killed", files, options.kills)
    assert go(folder / "killed", files, workers=2)[0] == 0
    parts = sorted((folder / "one" / "ledger" / "duplicates").glob("*.parquet"))
    same = all(
        (folder / "killed" / "ledger" / "duplicates" / part.name).read_bytes() == part.read_bytes() for part in parts
    )
    print(f"killed {met} times, two workers: the same bytes: {same}", flush=True)

    half = FILES // 2
    assert go(folder / "a", files[:half], "earliest")[0] == 0
    assert go(folder / "b", files[half:], "earliest", [folder / "a"])[0] == 0
    assert go(folder / "joint", files, "earliest")[0] == 0
    grown, joint, b = outcome(folder / "a") | outcome(folder / "b"), outcome(folder / "joint"), outcome(folder / "b")
    foreign = sum(cluster not in b for cluster, _ in b.values())
    print(
        f"crawl B against A: {told(b)}, {foreign:,} for a document of A; equal to the joint run: {grown == joint}",
        flush=True,
    )

    for result, count in sorted(harm(folder / "one", files, expected, options.harms).items()):
        print(f"harmed files, {result}: {count}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
