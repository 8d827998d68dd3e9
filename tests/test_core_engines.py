import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.core.engines import Done, Engine, InlineEngine, LocalEngine, Retry, Task, disk_message, is_disk_error
from pipeline.errors import UserError

# Workers are spawned: what they call must be importable there. Spawn hands them our sys.path, so a module in a temporary
# folder will do.
MODULE = '''
import os, signal
from pathlib import Path
from pipeline.errors import UserError

def double(rows, progress, retry):
    for row in range(rows):
        progress(row, 10 * row)
    return 2 * rows

def user_error(progress, retry):
    raise UserError("no such thing")

def bug(progress, retry):
    raise KeyError("document 17")

def full_disk(progress, retry):
    raise OSError(28, "No space left on device", "somewhere")

def killer(rows, bad, batch, progress, retry):
    """Dies on the rows in `bad`; as a batch step does, it names only the first row of a batch unless told to go row by row."""
    seen = []
    for start in range(0, rows, batch):
        if not retry.row_by_row:
            progress(start, start)
        for row in range(start, min(rows, start + batch)):
            if row in retry.skip:
                continue
            if retry.row_by_row:
                progress(row, row)
            if row in bad:
                os.kill(os.getpid(), signal.SIGSEGV)
            seen.append(row)
    return seen

def reader(rows, deadly, batch, progress, retry):
    """Reads rows in batches; reading the batch of row `deadly` kills, whatever is in `skip`."""
    seen = []
    for start in range(0, rows, batch):
        progress(start, start)
        if start in retry.unread:
            return [*seen, "rest"]
        if start <= deadly < start + batch:
            os.kill(os.getpid(), signal.SIGKILL)
        for row in range(start, start + batch):
            progress(row, row)
            seen.append("crashed" if row in retry.skip else row)
    return seen

def deaf(at, progress, retry):
    """Dies at a row, whatever it is told."""
    progress(at, at)
    os.kill(os.getpid(), signal.SIGKILL)

def dies_once(marker, progress, retry):
    progress(5, 5)
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(3)
    return sorted(retry.skip)

def dies_at_start(progress, retry):
    os._exit(9)

def held_until_exit(marker, progress, retry):
    import atexit
    atexit.register(Path(marker).touch)
    return 0

def glutton(rows, bad, batch, progress, retry):
    seen = []
    for row in range(rows):
        if retry.row_by_row or row % batch == 0:
            progress(row, row)
        if row not in retry.skip:
            if row == bad:
                raise MemoryError
            seen.append(row)
    return seen

def buggy(rows, bad, batch, progress, retry):
    for row in range(rows):
        if retry.row_by_row or row % batch == 0:
            progress(row, row)
        1 / (row - bad)

def waits(pipe, number, progress, retry):
    progress(0, 0)
    with open(pipe, "wb", buffering=0) as file:
        file.write(b"%d" % number)
        signal.pause()

def threads_of_encoding(progress, retry):
    from pipeline.tokenize.bpe import Tokenizer
    tokenizer = Tokenizer({value: bytes([value]) for value in range(256)}, [])
    count = lambda: len(os.listdir("/proc/self/task"))
    before = count()
    tokenizer.encode_batch([" the fox jumps over the dog" * 40_000] * 8)
    return count() - before
'''


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    (tmp_path / "engine_tasks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import engine_tasks  # type: ignore[import-not-found]

    yield engine_tasks
    del sys.modules["engine_tasks"]


def run(workers: int, *tasks: Task) -> tuple[list[Done], list[str]]:
    engine = LocalEngine(workers)
    notes: list[str] = []
    try:
        return list(engine.run(tasks, lambda rows, units: None, notes.append)), notes
    finally:
        engine.close()


def test_every_task_runs_once_whatever_the_number_of_workers(tasks) -> None:  # type: ignore[no-untyped-def]
    for workers in (1, 2):
        done, notes = run(workers, *(Task(f"t{n}", tasks.double, (n,)) for n in range(5)))
        assert sorted(d.result for d in done) == [0, 2, 4, 6, 8]
        assert notes == []


def test_idle_workers_end_by_themselves(tasks, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """What libraries do at exit is done: giving back semaphores, for one."""
    run(2, *(Task(f"t{n}", tasks.held_until_exit, (str(tmp_path / "marker"),)) for n in range(2)))
    assert (tmp_path / "marker").exists()


def test_a_user_error_comes_through_as_one(tasks) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match="no such thing"):
        run(1, Task("t", tasks.user_error, ()))


def test_a_full_disk_is_the_users_to_mend(tasks) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match="somewhere: no space left on the device; no finished work is lost"):
        run(1, Task("t", tasks.full_disk, ()))


def test_a_bug_brings_its_whole_traceback(tasks) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RuntimeError, match=r"(?s)quality of x.*in bug.*KeyError: 'document 17'"):
        run(1, Task("quality of x", tasks.bug, ()))


@pytest.mark.parametrize("batch", [1, 4])
def test_the_rows_that_kill_their_worker_are_left_out_and_nothing_else(tasks, batch: int) -> None:  # type: ignore[no-untyped-def]
    done, notes = run(1, Task("part", tasks.killer, (10, (3, 7), batch)))
    assert done[0].result == [0, 1, 2, 4, 5, 6, 8, 9]
    assert [note for note in notes if "dropped as crashed" in note] == [
        "part: record 3 kills its worker (SIGSEGV); it is dropped as crashed",
        "part: record 7 kills its worker (SIGSEGV); it is dropped as crashed",
    ]


def test_one_death_costs_a_retry_and_no_row(tasks, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done, notes = run(2, Task("a", tasks.dies_once, (str(tmp_path / "died"),)), Task("b", tasks.double, (3,)))
    assert sorted(str(d.result) for d in done) == ["6", "[]"]
    assert notes == ["a: a worker died (exit 3) at record 5; trying again row by row"]


def test_a_worker_that_dies_while_it_waits_is_replaced(tasks) -> None:  # type: ignore[no-untyped-def]
    engine = LocalEngine(1)
    try:
        for result in (2, 4):
            [done] = engine.run([Task("t", tasks.double, (result // 2,))], lambda rows, units: None, print)
            assert done.result == result
            engine._pool[0].process.kill()
            engine._pool[0].process.join()
    finally:
        engine.close()


def test_a_worker_that_never_starts_ends_the_run(tasks) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match="died 3 times .exit 9. before the first record"):
        run(1, Task("t", tasks.dies_at_start, ()))


def test_rows_that_cannot_be_read_end_the_part_and_cost_no_row_before(tasks) -> None:  # type: ignore[no-untyped-def]
    done, notes = run(1, Task("part", tasks.reader, (8, 5, 2)))
    assert done[0].result == [0, 1, 2, 3, "rest"]
    assert notes == [
        "part: a worker died (SIGKILL) at record 4; trying again row by row",
        "part: a worker died (SIGKILL) at record 4; trying again row by row",
        "part: record 4 kills its worker (SIGKILL); it is dropped as crashed",
        "part: reading record 4 kills the worker (SIGKILL); the rest of its row group, file or part is dropped",
    ]


@pytest.mark.parametrize("at", [0, 7])
def test_a_task_that_dies_whatever_it_is_told_ends_the_run_in_one_line(tasks, at: int) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError) as error:
        run(1, Task("clean x", tasks.deaf, (at,)))
    assert str(error.value) == (
        f"clean x: its worker died (SIGKILL) at record {at}, which is dropped already; "
        "if memory ran out, give --workers a smaller number; no finished work is lost"
    )


def test_workers_are_gone_after_close(tasks) -> None:  # type: ignore[no-untyped-def]
    engine = LocalEngine(2)
    list(engine.run([Task(str(n), tasks.double, (1,)) for n in range(4)], lambda rows, units: None, print))
    pids = [worker.process.pid for worker in engine._pool.values()]
    engine.close()
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no /proc to count threads in")
def test_an_encoder_in_a_worker_starts_no_threads(tasks, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("FASTOKENS_BPE_THREADS", "3")
    done, _ = run(2, Task("a", tasks.threads_of_encoding, ()), Task("b", tasks.threads_of_encoding, ()))
    assert [each.result for each in done] == [0, 0]


def test_disk_errors_are_told_apart_from_bugs() -> None:
    assert is_disk_error(OSError(28, "No space left on device"))
    assert is_disk_error(OSError("Error writing bytes: No space left on device"))  # as Arrow says it
    assert is_disk_error(PermissionError(13, "Permission denied", "x"))
    assert not is_disk_error(FileNotFoundError(2, "No such file or directory"))
    assert disk_message(OSError(30, "Read-only file system", "runs")).startswith("runs: the file system is read-only")
    assert disk_message(OSError("No space left on device"), "runs/a").startswith("runs/a: no space left on the device")


def test_care_starts_with_nothing_to_mind() -> None:
    assert Retry() == Retry(frozenset(), row_by_row=False)


def test_a_row_that_takes_all_memory_is_dropped_and_no_other(tasks) -> None:  # type: ignore[no-untyped-def]
    done, notes = run(1, Task("part", tasks.glutton, (6, 2, 4)))
    assert done[0].result == [0, 1, 3, 4, 5]
    assert notes[0] == "part: a worker died (out of memory) at record 0; trying again row by row"
    assert notes[-1] == "part: record 2 kills its worker (out of memory); it is dropped as crashed"
    with pytest.raises(UserError, match=r"part: memory ran out; no finished work is lost"):
        list(InlineEngine().run([Task("part", tasks.glutton, (6, 2, 4))], lambda rows, units: None, print))


@pytest.mark.parametrize("engine", [InlineEngine, lambda: LocalEngine(1)])
def test_a_bug_names_the_record_that_it_comes_from(tasks, engine: Callable[[], Engine]) -> None:  # type: ignore[no-untyped-def]
    opened = engine()
    try:
        with pytest.raises(
            RuntimeError, match=r"(?s)a step failed in quality of x, record 5\n.*in buggy.*ZeroDivision"
        ):
            list(opened.run([Task("quality of x", tasks.buggy, (8, 5, 4))], lambda rows, units: None, print))
    finally:
        opened.close()


PARENT = """
import os, sys, time
from pipeline.core.engines import LocalEngine, Task, stoppable
import engine_tasks
if __name__ == "__main__":
    engine = LocalEngine(2)
    try:
        with stoppable():
            for done in engine.run([Task(str(n), engine_tasks.waits, (sys.argv[1], n)) for n in range(2)], print, print):
                pass
    finally:
        engine.close()
"""


@pytest.mark.parametrize("ended_by", ["SIGTERM", "SIGHUP", "SIGKILL"])
def test_workers_end_with_their_parent(tasks, tmp_path: Path, ended_by: str) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "parent.py").write_text(PARENT)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    command = [sys.executable, str(tmp_path / "parent.py"), str(pipe)]
    environment = os.environ | {"PYTHONPATH": paths}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as parent, open(pipe, "rb") as workers:
        assert sorted(workers.read(2)) == [48, 49]  # both are at work, and hold the pipe open
        parent.send_signal(signal.Signals[ended_by])
        assert workers.read() == b""  # until both have ended
    assert parent.returncode == {"SIGTERM": 143, "SIGHUP": 129, "SIGKILL": -9}[ended_by]
