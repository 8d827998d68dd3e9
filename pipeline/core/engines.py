"""Engines run tasks; they know nothing of stages.

A task is a picklable call `function(*args, progress, retry)`. It calls `progress(row, units)` before it works on a row, so
that when a worker dies (out of memory, a fault in a C library) the engine knows where. The engine then retries row by row.
A row that kills its worker twice in a row-by-row try goes into `retry.skip`, and the task drops it as "crashed". A row that
kills its worker even then cannot be read: it goes into `retry.unread`, and the rest of its row group, file or part is
dropped. A death after that ends the run, so that the number of retries is bounded. Nothing depends on a clock.

A worker in which memory runs out ends itself, so a document that takes too much of it is dropped in the same way. Any other
exception is a bug, ours or a plugin's, and ends the run: the task is tried again row by row only to name the record.
"""

import multiprocessing as mp
import os
import signal
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from pipeline.errors import DocumentError, UserError

Progress = Callable[[int, int], None]
"""Called by a task with (row, units done) before it works on a row; a row is a number from `numbered` where it reads files."""
Report = Callable[[int, int], None]
"""Called by an engine with the (rows, units) that running tasks have done so far."""

_PIECE = 40  # bits of a row's number in its piece


def numbered(piece: int, row: int) -> int:
    """The number of row `row` of piece `piece` of a part, for `Progress` and `Retry`: row `row` itself in the first piece.

    So a death at the end of a piece, while it is asked for one more row, is not taken for a death at the next piece's first.
    """
    return piece << _PIECE | row


def place_of(number: int) -> tuple[int, int]:
    """The piece and the row of a number from `numbered`."""
    return number >> _PIECE, number & ((1 << _PIECE) - 1)


def rows_in_piece(numbers: frozenset[int], piece: int) -> frozenset[int]:
    """Those of the numbers that are in a piece, as its rows."""
    return frozenset(row for of, row in map(place_of, numbers) if of == piece)


def _row_number(number: int) -> str:
    return f"record {number}"


STOPS = (signal.SIGTERM, signal.SIGHUP)
"""Signals besides Ctrl-C that ask a process to end: from a batch system, and from a terminal that is closed."""
MAX_DEATHS_AT_START = 3
_GRACE = 10.0  # seconds in which an idle worker may end by itself
NO_MEMORY = 12
"""Exit code of a worker in which memory ran out; the number of ENOMEM."""
_ADVICE = "; if memory ran out, give --workers a smaller number; no finished work is lost"


@dataclass(frozen=True, slots=True)
class Retry:
    """How a task is tried again after a worker has died on it."""

    skip: frozenset[int] = frozenset()
    """Rows to drop as crashed."""
    unread: frozenset[int] = frozenset()
    """Rows not even to read: they, and what follows them in their row group, file or part, are dropped as crashed."""
    row_by_row: bool = False
    """Work row by row, so that the next death names its row."""


@dataclass(frozen=True, slots=True)
class Task:
    """One part's worth of a step."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    retry: Retry = field(default_factory=Retry)
    where: Callable[[int], str] = _row_number
    """A row's number in words; it can be pickled."""


@dataclass(frozen=True, slots=True)
class Done:
    """A finished task."""

    task: Task
    result: Any
    seconds: float
    """CPU seconds of the worker, where it ran."""


class Engine(Protocol):
    """Runs tasks in any order, and yields each as it ends."""

    def run(self, tasks: Sequence[Task], report: Report, note: Callable[[str], None]) -> Iterator[Done]:
        """Yield every task's result; raises UserError, or RuntimeError with the worker's traceback for a bug."""
        ...

    def close(self) -> None:
        """Stop the workers."""
        ...


def call(task: Task, progress: Progress) -> tuple[str, Any, float]:
    """Run a task in this process: ("ok" | "user" | "bug", result, error or message, CPU seconds).

    MemoryError if memory runs out.
    """
    began = time.process_time()
    reached = -1

    def noted(row: int, units: int) -> None:
        nonlocal reached
        reached = row
        progress(row, units)

    def where() -> str:
        return f", {task.where(reached)}" if reached >= 0 else ""

    try:
        return "ok", task.function(*task.args, noted, task.retry), time.process_time() - began
    except DocumentError as error:
        if reached < 0 or task.retry.row_by_row:
            return "user", UserError(f"{error}, in {task.name}{where()}", error.details), 0.0
    except UserError as error:
        return "user", error, 0.0
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and is_disk_error(error):
            return "user", disk_message(error, task.name), 0.0
        if reached < 0 or task.retry.row_by_row:
            return "bug", f"{task.name}{where()}\n{traceback.format_exc()}", 0.0
    # So far only the record's batch is known.
    return call(replace(task, retry=replace(task.retry, row_by_row=True)), progress)


def finish(task: Task, kind: str, value: Any, seconds: float) -> Done:
    """The result of `call`, or the exception it stands for."""
    if kind == "user":
        raise value if isinstance(value, UserError) else UserError(value)
    if kind == "bug":
        raise RuntimeError(f"a step failed in {value}")
    return Done(task, value, seconds)


DISK_ERRORS = {
    28: "no space left on the device",
    30: "the file system is read-only",
    13: "permission denied",
    122: "disk quota exceeded",
}


def is_disk_error(error: OSError) -> bool:
    """Whether the user can fix this by freeing space or choosing another place."""
    return error.errno in DISK_ERRORS or "No space left on device" in str(error)


def disk_message(error: OSError, work: str = "") -> str:
    """One line for such an error; `work` is named where the error itself names no file."""
    cause = DISK_ERRORS.get(error.errno or 28, DISK_ERRORS[28])
    where = error.filename or work
    return f"{where}{': ' * bool(where)}{cause}; no finished work is lost: fix it and run the same command again"


class InlineEngine:
    """Runs tasks in this process: for steps that take less time than starting a worker."""

    def run(self, tasks: Sequence[Task], report: Report, note: Callable[[str], None]) -> Iterator[Done]:
        """See Engine."""
        for task in tasks:
            try:
                outcome = call(task, lambda number, units: report(place_of(number)[1], units))
            except MemoryError:
                raise UserError(f"{task.name}: memory ran out; no finished work is lost") from None
            yield finish(task, *outcome)

    def close(self) -> None:
        """Do nothing: there are no workers."""


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None


class LocalEngine:
    """Worker processes on this machine, spawned when first needed and kept for the whole run."""

    def __init__(self, workers: int) -> None:
        self.workers = max(1, workers)
        self._context = mp.get_context("spawn")
        self._counters = self._context.RawArray("q", 2 * self.workers)  # (row, units) of each worker
        self._pool: dict[int, _Worker] = {}

    def run(self, tasks: Sequence[Task], report: Report, note: Callable[[str], None]) -> Iterator[Done]:
        """See Engine."""
        waiting = deque(tasks)
        deaths: Counter[tuple[str, int]] = Counter()
        while waiting or any(worker.task for worker in self._pool.values()):
            for slot in range(self.workers):
                if waiting and (slot not in self._pool or self._pool[slot].task is None):
                    self._start(slot, waiting.popleft())
            pipes = {worker.pipe: slot for slot, worker in self._pool.items() if worker.task}
            for pipe in wait(list(pipes), timeout=0.1):
                slot = pipes[pipe]  # type: ignore[index]
                worker = self._pool[slot]
                task = worker.task
                assert task is not None
                try:
                    kind, value, seconds = worker.pipe.recv()
                except (EOFError, OSError):
                    waiting.appendleft(self._after_death(slot, task, deaths, note))
                    continue
                worker.task = None
                self._counters[2 * slot], self._counters[2 * slot + 1] = -1, 0
                yield finish(task, kind, value, seconds)
            busy = [slot for slot, worker in self._pool.items() if worker.task]
            rows = sum(place_of(self._counters[2 * s] + 1)[1] for s in busy)
            report(rows, sum(self._counters[2 * s + 1] for s in busy))

    def close(self) -> None:
        """Stop the workers. An idle one ends by itself, so that it gives back what libraries hold, such as semaphores."""
        for worker in self._pool.values():
            worker.pipe.close()
            if worker.task:
                worker.process.terminate()
        for worker in self._pool.values():
            worker.process.join(_GRACE)
            if worker.process.is_alive():
                worker.process.terminate()
                worker.process.join()
        self._pool.clear()

    def _start(self, slot: int, task: Task) -> None:
        if slot in self._pool and not self._pool[slot].process.is_alive():
            del self._pool[slot]  # died while idle
        if slot not in self._pool:
            parent_end, worker_end = self._context.Pipe()
            process = self._context.Process(target=_serve, args=(worker_end, self._counters, slot), daemon=False)
            process.start()
            worker_end.close()
            self._pool[slot] = _Worker(process, parent_end)
        self._counters[2 * slot], self._counters[2 * slot + 1] = -1, 0
        self._pool[slot].task = task
        self._pool[slot].pipe.send(task)

    def _after_death(
        self, slot: int, task: Task, deaths: Counter[tuple[str, int]], note: Callable[[str], None]
    ) -> Task:
        """The task to run again after the worker in `slot` died on it."""
        worker = self._pool.pop(slot)
        worker.process.join()
        row = self._counters[2 * slot]
        code = worker.process.exitcode or 0
        cause = signal.Signals(-code).name if code < 0 else "out of memory" if code == NO_MEMORY else f"exit {code}"
        deaths[task.name, row] += 1
        if row < 0:
            if deaths[task.name, row] >= MAX_DEATHS_AT_START:
                raise UserError(
                    f"{task.name}: its worker died {MAX_DEATHS_AT_START} times ({cause}) before the first record{_ADVICE}"
                )
            note(f"{task.name}: a worker died ({cause}) before its first record; trying again")
            return task
        where = task.where(row)
        if row in task.retry.unread:
            raise UserError(f"{task.name}: its worker died ({cause}) at {where}, which is dropped already{_ADVICE}")
        if row in task.retry.skip:
            note(
                f"{task.name}: reading {where} kills the worker ({cause}); the rest of its row group, file or part is dropped"
            )
            # Rows after it have other numbers from now on: those that kill are found again.
            skip, unread = (frozenset(n for n in rows if n < row) for rows in (task.retry.skip, task.retry.unread))
            for later in [key for key in deaths if key[0] == task.name and key[1] > row]:
                del deaths[later]
            return replace(task, retry=Retry(skip, unread | {row}, row_by_row=True))
        if task.retry.row_by_row and deaths[task.name, row] >= 2:
            note(f"{task.name}: {where} kills its worker ({cause}); it is dropped as crashed")
            return replace(task, retry=replace(task.retry, skip=task.retry.skip | {row}))
        if not task.retry.row_by_row:
            del deaths[task.name, row]  # this row may only be the first of its batch; later deaths name the exact row
        note(f"{task.name}: a worker died ({cause}) at {where}; trying again row by row")
        return replace(task, retry=replace(task.retry, row_by_row=True))


def _serve(pipe: Connection, counters: Any, slot: int) -> None:
    """A worker: run tasks until the pipe closes."""
    for stop in (signal.SIGINT, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)  # the parent gets it too, and stops the workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in ("RAYON_NUM_THREADS", "FASTOKENS_BPE_THREADS"):
        os.environ[name] = "1"  # one core per worker: encoders would start a thread, with a cache, for each core

    def progress(row: int, units: int) -> None:
        counters[2 * slot] = row
        counters[2 * slot + 1] = units

    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(call(task, progress))
        except MemoryError:
            os._exit(NO_MEMORY)  # what it holds by now is worth nothing
        except BrokenPipeError:
            return


def _end_with_parent() -> None:
    """End this process when its parent has ended, even by SIGKILL: else it would work on beside the next run."""
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def stoppable() -> Iterator[None]:
    """In the block, the signals of STOPS raise SystemExit, so that workers are stopped and temporary files deleted. Those that
    are ignored stay so (nohup). Does nothing outside of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in STOPS}
    for number, handler in before.items():
        if handler == signal.SIG_DFL:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class RayEngine:
    """Runs tasks on a Ray cluster; the run directory must be on storage that every node sees under the same path.

    Each Ray task runs a LocalEngine with one worker, so that a record that kills its worker is isolated on that node.
    """

    def __init__(self, workers: int | None) -> None:
        try:
            import ray
        except ImportError:
            raise UserError("--engine ray needs the extra: pip install 'corpus-pipeline[ray]'") from None
        self._ray = ray
        if not ray.is_initialized():
            address = os.environ.get("RAY_ADDRESS")
            ray.init(
                address=address, num_cpus=None if address else workers, log_to_driver=False, include_dashboard=False
            )
        self._remote = ray.remote(num_cpus=1, max_retries=3)(_run_alone)

    def run(self, tasks: Sequence[Task], report: Report, note: Callable[[str], None]) -> Iterator[Done]:
        """See Engine."""
        waiting = {self._remote.remote(task): task for task in tasks}
        while waiting:
            ready, _ = self._ray.wait(list(waiting), num_returns=1, timeout=0.5)
            for reference in ready:
                task = waiting.pop(reference)
                kind, value, seconds, notes = self._ray.get(reference)
                for text in notes:
                    note(text)
                yield finish(task, kind, value, seconds)
            report(0, 0)

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()


def _run_alone(task: Task) -> tuple[str, Any, float, list[str]]:
    notes: list[str] = []
    engine = LocalEngine(1)
    try:
        for done in engine.run([task], lambda rows, units: None, notes.append):
            return "ok", done.result, done.seconds, notes
    except UserError as error:
        return "user", error, 0.0, notes
    except RuntimeError as error:
        return "bug", str(error), 0.0, notes
    finally:
        engine.close()
    raise AssertionError("unreachable: one task gives one result")
