"""log.txt of a run directory: what every run in it said, with times, as ASCII; lines are only ever appended.

It is for people. No step reads it, no key depends on it, and a line that cannot be written is lost without harm to the run.
A message of several lines, such as a traceback, is continued with an indent. The ticks of progress bars are not in it.
"""

import os
import platform
import shlex
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.core.engines import disk_message, is_disk_error
from pipeline.core.plain_text import ascii_text
from pipeline.core.reporter import Reporter
from pipeline.core.step import Step
from pipeline.errors import UserError, without_secrets

NAME = "log.txt"


def write_log(root: Path, kind: str, text: str) -> None:
    """Append a message to the log of a run directory: time, kind ("note", "end", "error", ...), text."""
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    lines = ascii_text(without_secrets(text.rstrip())).split("\n")
    with suppress(OSError), open(root / NAME, "a", encoding="ascii") as file:  # a full disk has its own error
        file.write(f"{now}  {kind:<7}  " + "\n    ".join(lines) + "\n")


class Log:
    """A Reporter that writes what it is told into a run's log, and passes it on to another one.

    What is said before `open` is kept until then: only then it is known that the directory is this run's. A run that is refused
    before leaves a line only in the log of an earlier run.
    """

    def __init__(self, root: Path, shown: Reporter) -> None:
        self.root = root
        self.shown = shown
        self._early: list[tuple[str, str]] | None = []
        self._compiling = False

    def open(self, versions: Sequence[str]) -> None:
        """Begin to write: first the command and the versions, such as "pyarrow 25.0.1"."""
        early, self._early = self._early or [], None
        program = ["python", "-m", "pipeline"] if sys.argv[0].endswith("__main__.py") else sys.argv[:1]
        self.write("command", shlex.join([*program, *sys.argv[1:]]))
        self.write("with", ", ".join([f"Python {platform.python_version()}", *versions, platform.platform()]))
        for kind, text in early:
            self.write(kind, text)

    def write(self, kind: str, text: str) -> None:
        """Add a message."""
        if self._early is None:
            write_log(self.root, kind, text)
        else:
            self._early.append((kind, text))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Log what ends the block early: a mistake or a full disk in one line, a bug with its traceback."""
        try:
            yield
        except UserError as error:
            self._fail("error", f"{error}\n{error.details}")
            raise
        except KeyboardInterrupt:
            self._fail("stopped", "by Ctrl-C")
            raise
        except SystemExit as stop:
            self._fail("stopped", f"with exit code {stop.code}")
            raise
        except BaseException as error:
            if isinstance(error, OSError) and is_disk_error(error):
                self._fail("error", disk_message(error, str(self.root)))
            else:
                self._fail("bug", traceback.format_exc())
            raise

    def _fail(self, kind: str, text: str) -> None:
        if self._early is not None and os.path.isfile(self.root / NAME):  # an earlier run's directory
            self.open(())
        self.write(kind, text)

    def begin(self, step: Step, total: int, pending: int, parts: int) -> None:
        """A step starts."""
        self._compiling = False
        self.write("begin", f"{step.name}: {pending:,} of {parts:,} parts")
        self.shown.begin(step, total, pending, parts)

    def advance(self, rows: int, units: int) -> None:
        """Pass it on."""
        self.shown.advance(rows, units)

    def compiling(self, number: int, total: int, name: str) -> None:
        """A kernel is about to be compiled: one line for all of a step."""
        if not self._compiling:
            self.write("note", f"compiling kernels ({number} of {total}), once for this version")
            self._compiling = True
        self.shown.compiling(number, total, name)

    def end(self, step: Step, rows: int, seconds: float) -> None:
        """The step is done."""
        self.write("end", f"{step.name}: {rows:,} rows in {seconds:,.1f} s")
        self.shown.end(step, rows, seconds)

    def note(self, text: str) -> None:
        """One line worth reading."""
        self.write("note", text)
        self.shown.note(text)

    def on_train(self, progress: Any) -> None:
        """Pass it on; train/ has the losses."""
        self.shown.on_train(progress)
