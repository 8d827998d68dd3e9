"""What a run makes of faults: kills, full disks, damaged files, input that changes, giants. Nothing may be wrong in silence.

    python tests/benchmarks/faults.py [ARCHIVE] [--out /tmp/faults] [--only kills disk …] [--moments 20]

A small corpus is cut from ARCHIVE: 120 pages in three archives, and five files of one page. Every try ends in one of two ways:
the files are, in the end, those of an undisturbed run, byte for byte, or the run says in one line what is wrong, and is
identical once that is mended. The table counts tries by fault; the last two columns, tracebacks and silent faults, must be 0.

    kills    each step is killed (SIGKILL) at as many moments: half of them just before the n-th file operation of the step,
             spread over all of them, half after a share of its CPU time; then the run is started again
    workers  the command itself with two workers, its group, its parent or SIGTERM, at moments over the whole run; no worker may
             be left
    disk     a file system that is full at ten sizes; it is made larger, and the run started again (needs mounting)
    damage   a file of each step truncated, swapped with another one, and single bits flipped
    input    files cut, appended to, written anew, replaced and deleted while they are read, on disk and on a web server
    giants   one record, one line, one row group of hundreds of megabytes; the peak of memory is printed

The runs are forked from one process, which has loaded the libraries and kernels; their one worker is in the same process.
"""

import argparse
import ctypes
import functools
import gzip
import hashlib
import http.server
import importlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config_file import load
from pipeline.core.engines import InlineEngine, disk_message, is_disk_error
from pipeline.core.progress import Quiet
from pipeline.core.step import Step
from pipeline.errors import UserError
from pipeline.run import runner
from pipeline.run.run import open_run
from pipeline.run.steps import needed_steps, stage_of

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT.parent / "shared" / "data" / "web-sample" / "sample-00.warc.gz"
PRODUCTS = ("clean", "tokenizer", "shards", "train")
OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
CONFIG = """
[input]
paths = ["{input}"]
part_bytes = "20MB"
[url]
duplicates = "latest"
[quality]
words = {{ min = 30 }}
[edit]
numeric_lines = true
[duplicates]
min_words = 10
[duplicates.lines]
[mask]
kinds = ["email"]
[tokenizer]
vocab_size = 400
[shards]
tokens = 20000
validation = 0.1
[train]
layers = 1
width = 16
heads = 2
kv_heads = 1
context = 32
batch_size = 4
steps = 6
"""


@dataclass
class Count:
    """How tries of one fault have ended."""

    tried: int = 0
    said: int = 0
    identical: int = 0
    tracebacks: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)


class Table:
    """Counts by fault."""

    def __init__(self) -> None:
        self.counts: dict[str, Count] = {}

    def __getitem__(self, fault: str) -> Count:
        return self.counts.setdefault(fault, Count())

    def show(self) -> bool:
        """Print the table; whether no try ended in a traceback or in silence."""
        print(f"\n{'fault':<44}{'tried':>7}{'said':>7}{'identical':>11}{'tracebacks':>12}{'silent':>8}")
        for fault, count in self.counts.items():
            numbers = (count.said, count.identical, len(count.tracebacks), len(count.silent))
            print(
                f"{fault:<44}{count.tried:>7}"
                + "".join(f"{n:>{w}}" for n, w in zip(numbers, (7, 11, 12, 8), strict=True))
            )
        bad = [line for count in self.counts.values() for line in (*count.tracebacks, *count.silent)]
        for line in bad:
            print(f"  {line}")
        return not bad


class Watch(Quiet):
    """A reporter that calls `on_begin(step)` before each step and `on_row(step, row)` at each row."""

    def __init__(self, on_begin: Callable[[Step], None], on_row: Callable[[Step, int], None]) -> None:
        super().__init__()
        self._on_begin, self._on_row = on_begin, on_row
        self._step: Step | None = None

    def begin(self, step: Step, total: int, pending: int, parts: int) -> None:
        """A step starts."""
        super().begin(step, total, pending, parts)
        self._step = step
        self._on_begin(step)

    def advance(self, rows: int, units: int) -> None:
        """A row of the step starts."""
        if self._step:
            self._on_row(self._step, rows)


def nothing(*_: object) -> None:
    """Do nothing."""


def attempt(
    root: Path,
    config: Any,
    until: str = "train",
    on_begin: Callable[[Step], None] = nothing,
    on_row: Callable[[Step, int], None] = nothing,
) -> int:
    """Run in this process as the command would: its exit code; an error is printed."""
    try:
        runner.run(root, config, workers=1, engine="local", until=until, reporter=Watch(on_begin, on_row))
    except UserError as error:
        print(f"error: {error}", flush=True)
        return 2
    except OSError as error:
        if is_disk_error(error):
            print(f"error: {disk_message(error, str(root))}", flush=True)
            return 2
        traceback.print_exc()
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def child(log: Path, work: Callable[[], int]) -> tuple[int, str, float]:
    """Fork, and do `work` there: its exit code (negative: the signal), what it printed, and its peak of memory in MB."""
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.setsid()
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            code = work()
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status, usage = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), log.read_text(errors="replace"), usage.ru_maxrss / 1000


def digests(root: Path, folders: tuple[str, ...] = PRODUCTS) -> dict[str, str]:
    """SHA-256 of every file of a run's products, or of other folders."""
    files = sorted(f for folder in folders for f in (root / folder).rglob("*") if f.is_file())
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


class Faults:
    """The scratch folder, the undisturbed run, and what has been counted."""

    def __init__(self, out: Path, archive: Path, moments: int) -> None:
        self.out, self.moments = out, moments
        self.table = Table()
        self.draw = random.Random(11)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        shutil.rmtree(out, ignore_errors=True)
        self.input = out / "input"
        self.input.mkdir(parents=True)
        cut_corpus(archive, self.input)
        self.config = self.configured(self.input)
        self.steps = needed_steps(self.config)
        self.operations: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        setattr(runner, "LocalEngine", lambda workers: InlineEngine())  # noqa: B010 (a name that runner only imports)

    def configured(self, paths: Path | str, name: str = "faults.toml") -> Any:
        """The config over an input."""
        (self.out / name).write_text(CONFIG.format(input=paths))
        return load(self.out / name)

    def undisturbed(self, root: Path, config: Any, until: str = "train") -> dict[str, str]:
        """Run to the end, and keep the run directory as it is at the beginning of each step: the digests of the products."""
        counted, measured = root.with_suffix(".operations"), root.with_suffix(".seconds")

        def work() -> int:
            step = "start"
            operations: Counter[str] = Counter()
            began: dict[str, float] = {}

            def hook(event: str, arguments: tuple[Any, ...]) -> None:
                if event in OPERATIONS:
                    operations[step] += 1

            def begin(new: Step) -> None:
                nonlocal step
                began[new.name] = time.process_time()
                step = "copying"
                shutil.copytree(root, root.with_name(f"{root.name}-{new.name}"))
                step = new.name

            sys.addaudithook(hook)
            code = attempt(root, config, until, begin)
            times = [*began.values(), time.process_time()]
            counted.write_text(json.dumps(operations))
            measured.write_text(json.dumps({name: times[n + 1] - times[n] for n, name in enumerate(began)}))
            return code

        code, text, _ = child(root.with_suffix(".log"), work)
        if code:
            sys.exit(f"the undisturbed run failed: {text}")
        self.operations, self.seconds = (Counter(json.loads(f.read_text())) for f in (counted, measured))
        return digests(root)

    def prepare(self) -> None:
        """The undisturbed run."""
        self.wanted = self.undisturbed(self.out / "whole", self.config)
        self.everything = digests(self.out / "whole", ("ledger", *PRODUCTS))
        sizes = {name: f"{self.seconds[name]:.1f} s, {self.operations[name]} operations" for name in self.seconds}
        print(f"undisturbed: {len(self.wanted)} product files; {json.dumps(sizes)}", flush=True)

    def judge(
        self, count: Count, about: str, root: Path, code: int, text: str, again: Callable[[], tuple[int, str, float]]
    ) -> None:
        """Count how a try ended; after an error in words, the named file is deleted, if it is a file of the run, and the run
        started again."""
        count.tried += 1
        if code == 2:
            count.said += 1
            for word in text.replace("error: ", "").split(": ")[:1]:
                if (root / "ledger") in Path(word).parents or root in Path(word).parents:
                    Path(word).unlink(missing_ok=True)
            code, text, _ = again()
        if code:
            count.tracebacks.append(f"{about}: exit {code}: {text.strip().splitlines()[-1:]}")
        elif differing := [name for name, value in digests(root).items() if self.wanted.get(name) != value]:
            count.silent.append(f"{about}: {differing[:3]}")
        else:
            count.identical += 1

    # Kills

    def kills(self) -> None:
        """Kill each step at many moments, in pairs: the second kill meets what the first has left."""
        root, half = self.out / "killed", self.moments // 2
        for step in self.steps:
            count = self.table[f"kill in {step.name}"]
            for number in range(self.moments):
                if number % 2 == 0:
                    shutil.rmtree(root, ignore_errors=True)
                    shutil.copytree(self.out / f"whole-{step.name}", root)
                share = (number % half + 0.5) / half
                code, text, _ = child(
                    self.out / "log", functools.partial(self.killed, root, step, share, number < half)
                )
                count.tried += 1
                if code > 0:
                    count.tracebacks.append(f"{step.name} {number}: exit {code}: {text[-300:]}")
                if number % 2 == 0:
                    continue
                again = functools.partial(attempt, root, self.config, stage_of(step))
                code, text, _ = child(self.out / "log", again)
                found = digests(root, ("ledger", *PRODUCTS))
                if code:
                    count.tracebacks.append(f"{step.name} {number}: after the kill: exit {code}: {text[-300:]}")
                elif any(self.everything.get(name) != value for name, value in found.items()):
                    count.silent.append(
                        f"{step.name} {number}: {[n for n in found if self.everything.get(n) != found[n]][:3]}"
                    )
                elif not open_run(root).is_done(step):
                    count.silent.append(f"{step.name} {number}: not done")
                else:
                    count.identical += 2
            print(f"  {step.name}: {count.identical} of {count.tried}", flush=True)
        count = self.table["a kill in each step of one run"]
        shutil.rmtree(root, ignore_errors=True)
        for step in self.steps:
            child(self.out / "log", functools.partial(self.killed, root, step, self.draw.random(), True))
            count.tried += 1
        code, text, _ = child(self.out / "log", functools.partial(attempt, root, self.config))
        if code or digests(root, ("ledger", *PRODUCTS)) != self.everything:
            count.silent.append(f"exit {code}: {text[-300:]}")
        else:
            count.identical = count.tried

    def killed(self, root: Path, step: Step, share: float, by_operation: bool) -> int:
        """Run, and end this process at a moment of a step."""
        target = max(1, round(share * self.operations[step.name]))
        done = 0
        armed = False

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal done
            if armed and event in OPERATIONS:
                done += 1
                if done == target:
                    os.kill(os.getpid(), signal.SIGKILL)

        def begin(new: Step) -> None:
            nonlocal armed
            armed = by_operation and new.name == step.name
            if not by_operation and new.name == step.name:
                signal.setitimer(
                    signal.ITIMER_PROF, max(0.001, share * self.seconds[step.name])
                )  # its default is to kill

        sys.addaudithook(hook)
        return attempt(root, self.config, stage_of(step), begin)

    def workers(self) -> None:
        """Kill the command with its two workers, and look for workers that are left."""
        command = [sys.executable, "-m", "pipeline", "run", str(self.out / "faults.toml"), "--workers", "2", "--out"]
        root = self.out / "workers"
        for how in ("SIGKILL to all", "SIGKILL to the parent", "SIGTERM", "SIGHUP"):
            count = self.table[f"workers: {how}"]
            shutil.rmtree(root, ignore_errors=True)
            for number in range(5):
                process = subprocess.Popen(
                    [*command, str(root)], cwd=ROOT, stdout=-3, stderr=-3, start_new_session=True
                )
                wait_for(root, process, number)
                count.tried += 1
                if how == "SIGKILL to all":
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.send_signal(signal.SIGKILL if "KILL" in how else signal.Signals[how])
                process.wait()
                count.said += process.returncode in (143, 129)
                for _ in range(100):
                    try:
                        os.killpg(process.pid, 0)
                    except ProcessLookupError:
                        break
                    time.sleep(0.1)
                else:
                    os.killpg(process.pid, signal.SIGKILL)
                    count.silent.append(f"{how} {number}: a worker was left")
                    continue
                count.identical += 1
            code = subprocess.run([*command, str(root)], cwd=ROOT, capture_output=True, check=False).returncode
            if code or digests(root) != self.wanted:
                count.silent.append(f"{how}: the products differ; exit {code}")

    # Disks

    def disk(self) -> None:
        """Fill a file system of its own at ten sizes."""
        count = self.table["disk full"]
        total = sum(f.stat().st_size for f in (self.out / "whole").rglob("*") if f.is_file())
        place = self.out / "disk"
        place.mkdir()
        for number in range(10):
            size = max(16_384, round(total * (number + 0.3) / 10))
            count.tried += 1
            code, text, _ = child(self.out / "log", functools.partial(self.full, place, size, number))
            if code == 77:
                count.tried -= 1
                print(f"  disk: not tried, a file system cannot be mounted here: {text.strip()}")
                return
            count.said += "said" in text
            if code == 1:
                count.tracebacks.append(f"disk of {size:,} bytes: {text[-400:]}")
            elif code:
                count.silent.append(f"disk of {size:,} bytes: {text[-400:]}")
            else:
                count.identical += 1

    def full(self, place: Path, size: int, number: int) -> int:
        """In a process with mounts of its own: a run on a small file system, then on the same one made larger."""
        libc = ctypes.CDLL(None, use_errno=True)

        def mount(flags: int, options: str) -> None:
            source, kind = b"tmpfs", b"tmpfs"
            if libc.mount(source, str(place).encode(), kind, flags, options.encode()):
                raise OSError(ctypes.get_errno(), "mount")

        try:
            if libc.unshare(0x20000) or libc.mount(
                b"none", b"/", None, 0x44000, None
            ):  # a mount namespace of our own, private
                raise OSError(ctypes.get_errno(), "unshare")
            mount(0, f"size={size}")
        except OSError as error:
            print(error.strerror, os.strerror(error.errno or 0))
            return 77
        root = place / "run"
        code, text, _ = child(self.out / "log-full", lambda: attempt(root, self.config))
        lines = [line for line in text.splitlines() if line]
        if code != 2 or len(lines) != 1 or "no space left" not in text or str(place) not in text:
            print(f"exit {code}: {text}")
            return 1
        print("said", text)
        mount(32, "size=1g")  # MS_REMOUNT
        code, text, _ = child(self.out / "log-full", lambda: attempt(root, self.config))
        print(text)
        return code or (3 if digests(root) != self.wanted else 0)

    # Damage

    def damage(self) -> None:
        """Truncate, swap and flip a file of each step."""
        for step, following in zip(self.steps, [*self.steps[1:], None], strict=True):
            snapshot = self.out / (f"whole-{following.name}" if following else "whole")
            files = sorted(
                f for f in step.folder(snapshot).rglob("*") if f.is_file() and f.stat().st_size and f.name[0] != "."
            )
            for what, times in (("truncated", 1), ("swapped", 1), ("bit flipped", 3)):
                for number in range(times):
                    file = self.draw.choice(files)
                    about = f"{step.name} {what}: {file.relative_to(snapshot)}"
                    root = self.out / "damaged"
                    shutil.rmtree(root, ignore_errors=True)
                    shutil.copytree(snapshot, root)
                    if not self.harm(root / file.relative_to(snapshot), what, files, number):
                        continue
                    until = "train" if step.name in ("shards", "train") else "shards"
                    again = functools.partial(
                        child, self.out / "log", functools.partial(attempt, root, self.config, until)
                    )
                    code, text, _ = again()
                    self.judge(self.table[what], about, root, code, text, again)

    def harm(self, file: Path, what: str, files: list[Path], number: int) -> bool:
        """Harm one file; False if there is nothing to harm."""
        data = bytearray(file.read_bytes())
        if what == "truncated":
            file.write_bytes(data[: len(data) // 2])
        elif what == "swapped":
            others = [f for f in files if f.suffix == file.suffix and f.read_bytes() != data]
            if not others:
                return False
            file.write_bytes(self.draw.choice(others).read_bytes())
        else:
            position = self.draw.randrange(len(data))
            data[position] ^= 1 << self.draw.randrange(8)
            file.write_bytes(data)
        return True

    # Input

    def inputs(self) -> None:
        """Change input while it is read."""
        for kind in ("archive", "lines", "table", "web server"):
            for what in ("cut", "appended to", "written anew", "replaced", "deleted"):
                count = self.table[f"{kind} {what} while it is read"]
                folder = self.out / "changing"
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                file = make_input(kind, folder, self.input)
                count.tried += 1
                root, other = self.out / "changed", self.out / "unchanged"
                for folder in (root, other):
                    shutil.rmtree(folder, ignore_errors=True)
                code, text, _ = child(self.out / "log", functools.partial(self.changing, kind, what, file, root))
                if code == 1:
                    count.tracebacks.append(f"{kind} {what}: {text[-300:]}")
                    continue
                if code != 2 or not ("changed while" in text or "cannot be read" in text):
                    count.silent.append(f"{kind} {what}: exit {code} {text[-200:]}")
                    continue
                count.said += 1
                if what == "deleted":
                    make_input(kind, file.parent, self.input)
                for again in (root, other):
                    code, text, _ = child(self.out / "log", functools.partial(self.changing, kind, "", file, again))
                    if code == 1:
                        count.tracebacks.append(f"{kind} {what}, again: {text[-300:]}")
                if digests(root, ("clean",)) != digests(
                    other, ("clean",)
                ):  # both empty where it is no Parquet any more
                    count.silent.append(f"{kind} {what}, again: differs: {text[-300:]}")
                else:
                    count.identical += 1

    def changing(self, kind: str, what: str, file: Path, root: Path) -> int:
        """A run up to clean/ over one file that changes early in its extraction."""
        path = str(file)
        if kind == "web server":
            path = serve(file, self.port)
        config = self.configured(path, "changing.toml")
        changed = False

        def on_row(step: Step, at: int) -> None:
            nonlocal changed
            if what and not changed and step.name == "extract" and at >= 5:
                changed = True
                change(file, what)

        return attempt(root, config, "clean", on_row=on_row)

    # Giants

    def giants(self) -> None:
        """Read giants between small neighbours, and print the peak of memory."""
        base = child(self.out / "log", lambda: attempt(self.out / "base", self.config, "extract"))[2]
        for name, make in GIANTS.items():
            file = self.out / name.partition(": ")[2]
            child(self.out / "log", functools.partial(made, make, file))  # so that its memory is not counted
            root = self.out / "giant"
            shutil.rmtree(root, ignore_errors=True)
            config = self.configured(file, "giant.toml")
            count = self.table[name]
            count.tried += 1
            code, text, peak = child(self.out / "log", lambda: attempt(root, config, "extract"))  # noqa: B023
            if code:
                count.tracebacks.append(f"{name}: exit {code}: {text[-300:]}")
                continue
            run = open_run(root)
            rows = [
                row
                for part in run.parts
                for row in pq.read_table(run.file("extract", part), columns=["dropped"]).to_pylist()
            ]
            reasons = Counter(reason for row in rows for reason in row["dropped"])
            count.said += sum(reasons.values())
            count.identical += 1
            more = peak - base
            print(
                f"  {name}: {file.stat().st_size:,} bytes, {len(rows)} rows, {dict(reasons)}, {more:+,.0f} MB of memory"
            )
            if more > 1000:
                count.silent.append(f"{name}: {more:,.0f} MB")
            file.unlink()


def made(make: Callable[[Path], None], file: Path) -> int:
    """Make a file."""
    make(file)
    return 0


def wait_for(root: Path, process: "subprocess.Popen[bytes]", number: int) -> None:
    """Wait until the run's journal has a few lines more, or the run is over."""
    file = root / "journal.jsonl"
    before = file.stat().st_size if file.exists() else 0
    while process.poll() is None:
        size = file.stat().st_size if file.exists() else 0
        if size > before + 900 * number:
            return
        time.sleep(0.02)


def cut_corpus(archive: Path, folder: Path) -> None:
    """120 pages of an archive in three archives, and five more in files of their own."""
    members: list[bytes] = []
    for record in records(gzip.decompress(archive.read_bytes())):
        members.append(gzip.compress(record, 1, mtime=0))
        if len(members) == 125:
            break
    for number in range(3):
        (folder / f"{number}.warc.gz").write_bytes(b"".join(members[40 * number : 40 * (number + 1)]))
    for number, member in enumerate(members[120:]):
        (folder / f"small-{number}.warc.gz").write_bytes(member)


def records(data: bytes) -> Iterator[bytes]:
    """The responses of an archive of at most 40 kB."""
    start = 0
    while start < len(data):
        head = data[start : start + 4096].partition(b"\r\n\r\n")[0]
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        end = start + len(head) + 4 + length + 4
        if b"warc-type: response" in lines and length < 40_000:
            yield data[start:end]
        start = end


def make_input(kind: str, folder: Path, corpus: Path) -> Path:
    """A file of one kind, the same each time."""
    if kind in ("archive", "web server"):
        return Path(shutil.copy(corpus / "0.warc.gz", folder / "changing.warc.gz"))
    rows = [
        {"text": f"The river of page {n} and the garden have been there for the people. " * 60} for n in range(3000)
    ]
    if kind == "lines":
        file = folder / "changing.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        file = folder / "changing.parquet"
        pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=40, compression=None, use_dictionary=False)
    return file


def change(file: Path, what: str) -> None:
    """Change a file under its reader."""
    data = file.read_bytes()
    if what == "cut":
        os.truncate(file, len(data) * 2 // 3)
    elif what == "appended to":
        with open(file, "ab") as end:
            end.write(data[len(data) // 2 :])
    elif what == "written anew":
        with open(file, "r+b") as same:
            same.seek(len(data) // 2)
            same.write(bytes(len(data) // 4))
    elif what == "replaced":
        other = file.with_name("other")
        other.write_bytes(data[: len(data) // 2] * 2)
        os.replace(other, file)
    else:
        file.unlink()


def serve(file: Path, port: int) -> str:
    """The URL of a file on a web server in a thread, which sends ranges and an ETag."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Send a range."""
            try:
                data = file.read_bytes()
            except FileNotFoundError:
                self.send_error(404)
                return
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            piece = data[int(first) : int(last) + 1]
            if not piece:
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(piece) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(piece)))
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()[:16]}"')
            self.end_headers()
            self.wfile.write(piece)

        def log_message(self, format: str, *arguments: object) -> None:
            """Be silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    from pipeline.extract.inputs import files

    files.PAUSES, files.FIRST_READ, files.LARGEST_READ = (0.01, 0.01), 1 << 14, 1 << 14  # type: ignore[assignment]
    return f"http://127.0.0.1:{server.server_port}/{file.name}"


def giant_record(file: Path) -> None:
    """A page of 200 MB between two small ones."""
    with open(file, "wb") as out:
        for number, size in enumerate((1000, 200_000_000, 1000)):
            body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>" + b"The river and the garden. " * (
                size // 26
            )
            head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a/{number}\r\nWARC-Record-ID: <urn:a:{number}>\r\n"
            out.write(
                head.encode() + f"WARC-Date: 2026-01-01T00:00:00Z\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            )
            out.write(body + b"\r\n\r\n")


def giant_line(file: Path) -> None:
    """A line of 200 MB between two small ones."""
    with open(file, "wb") as out:
        for size in (1000, 200_000_000, 1000):
            out.write(b'{"text": "' + b"The river and the garden. " * (size // 26) + b'"}\n')


def giant_row_group(file: Path) -> None:
    """A row group of one value of 1 GB, between two small ones."""
    with pq.ParquetWriter(file, pa.schema([("text", pa.string())]), compression="zstd", use_dictionary=False) as out:
        for size in (1000, 1_000_000_000, 1000):
            out.write_table(pa.table({"text": ["x" * size]}))


def repeated_value(file: Path) -> None:
    """A row group of 64 times one value of 9 MB, stored once."""
    pq.write_table(pa.table({"text": ["x" * 9_000_000] * 64}), file, compression="zstd")


GIANTS: dict[str, Callable[[Path], None]] = {
    "giant record: giant.warc": giant_record,
    "giant line: giant.jsonl": giant_line,
    "giant row group: giant.parquet": giant_row_group,
    "repeated value: repeated.parquet": repeated_value,
}


def main() -> None:
    """Try the faults, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--out", type=Path, default=Path("/tmp/faults"))
    parser.add_argument("--moments", type=int, default=20)
    faults = ("kills", "workers", "disk", "damage", "input", "giants")
    parser.add_argument("--only", nargs="+", choices=faults, default=faults)
    options = parser.parse_args()
    tries = Faults(options.out.resolve(), options.archive, options.moments)
    for step in tries.steps:  # load the kernels once, for all forks
        if step.kernels:
            step.kernels(step.options(tries.config, ()))
    for module in ("matplotlib.pyplot", "torch._dynamo", "pipeline.train.loop"):
        importlib.import_module(module)
    tries.prepare()
    try:
        for fault in options.only:
            began = time.process_time(), sum(os.times()[2:4])
            {"input": tries.inputs}.get(fault, getattr(tries, fault, nothing))()
            seconds = time.process_time() - began[0] + sum(os.times()[2:4]) - began[1]
            print(f"{fault}: {seconds:.0f} CPU s", flush=True)
    except KeyboardInterrupt:
        print("stopped; what was tried until then:")
    sys.exit(0 if tries.table.show() else 1)


if __name__ == "__main__":
    main()
