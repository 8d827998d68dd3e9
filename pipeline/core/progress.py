"""What the user sees during a run: bars on a terminal, plain lines elsewhere. Products do not depend on it."""

import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from pipeline.core.screen import counted
from pipeline.core.step import Step
from pipeline.errors import printable, without_secrets

PLAIN_LINE_EVERY = 10.0  # seconds


def _noun(step: Step) -> str:
    """What a step counts: the ledger has a row for every record, products have documents."""
    return "step" if step.name == "train" else "document" if step.product else "record"


class _Speed(ProgressColumn):
    """Documents per second since the step began."""

    def render(self, task: Task) -> Text:
        rows = task.fields.get("rows", 0)
        seconds = task.elapsed or 0.0
        return Text(f"{rows:,} ({rows / seconds:,.0f}/s)" if rows and seconds > 0.1 else "", style="cyan")


class Display:
    """The runner's Reporter for a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar: Progress | None = None
        self._task: Any = None
        self._title, self._noun = "", "record"
        self._total = 0
        self._began = self._last_line = 0.0

    def begin(self, step: Step, total: int, pending: int, parts: int) -> None:
        """A step starts."""
        self._title, self._total = step.title, total
        self._noun = _noun(step)
        self._began = self._last_line = time.monotonic()
        if not self.console.is_interactive:  # nor a terminal that cannot move its cursor
            return
        self._bar = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(),
            _Speed(),
            TextColumn("{task.fields[extra]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        extra = f"{pending} of {parts} parts" if pending < parts else ""
        self._task = self._bar.add_task(step.title, total=total or None, rows=0, extra=extra)
        self._bar.start()

    def advance(self, rows: int, units: int) -> None:
        """Update the rows and units done so far."""
        if self._bar:
            self._bar.update(self._task, description=self._title, completed=units, rows=rows)
        elif self._is_time_for_a_line():
            seconds = self._last_line - self._began
            remaining = (
                f", about {seconds * (self._total - units) / units:,.0f} s left"
                if units and self._total > units
                else ""
            )
            self._line(f"{self._title}: {counted(rows, self._noun)}, {rows / seconds:,.0f}/s{remaining}")

    def compiling(self, number: int, total: int, name: str) -> None:
        """A kernel is about to be compiled: once per version, on this machine."""
        text = f"compiling kernels ({number} of {total})"
        if self._bar:
            self._bar.update(self._task, description=text)
        elif number == 1 or self._is_time_for_a_line():
            self._line(f"  {text}, once for this version: {name}")

    def end(self, step: Step, rows: int, seconds: float) -> None:
        """The step is done."""
        self._stop()
        speed = f", {rows / seconds:,.0f}/s" if seconds > 0.5 and step.name != "train" else ""
        self._line(f"[green]✓[/] {step.title:<20} {counted(rows, _noun(step))} in {seconds:,.1f} s{speed}")

    def note(self, text: str) -> None:
        """Print one line."""
        self._line(f"  {safe(without_secrets(text))}")

    def on_train(self, progress: Any) -> None:
        """A step of the training loop."""
        loss = f"loss {progress.train_loss:.3f}"
        if progress.validation_loss is not None:
            loss += f", validation {progress.validation_loss:.3f}"
        if self._bar:
            self._bar.update(self._task, completed=progress.step, total=progress.steps, extra=loss)
        elif self._is_time_for_a_line():
            seconds = (self._last_line - self._began) * (progress.steps - progress.step) / max(1, progress.step)
            self._line(
                f"train model: step {progress.step:,} of {progress.steps:,}, {loss}, about {seconds:,.0f} s left"
            )

    def close(self) -> None:
        """Remove the bar; also called after an error."""
        self._stop()

    def _is_time_for_a_line(self) -> bool:
        if time.monotonic() - self._last_line <= PLAIN_LINE_EVERY:
            return False
        self._last_line = time.monotonic()
        return True

    def _stop(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _line(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)


def safe(text: str, *, lines: bool = False) -> str:
    """Text from the web for a terminal: no markup, no control or direction-changing characters; line breaks only with `lines`,
    since a URL could fake a line of ours with them."""
    return escape(printable(text, "\t\n" if lines else "\t"))


class Quiet:
    """A Reporter for runs from Python: it shows nothing, and keeps the notes and how many parts each step had to do."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.pending: dict[str, int] = {}

    @property
    def steps(self) -> list[str]:
        """The steps that had something to do, in order."""
        return list(self.pending)

    def begin(self, step: Step, total: int, pending: int, parts: int) -> None:
        """A step starts."""
        self.pending[step.name] = pending

    def advance(self, rows: int, units: int) -> None:
        """Show nothing."""

    def compiling(self, number: int, total: int, name: str) -> None:
        """Show nothing."""

    def end(self, step: Step, rows: int, seconds: float) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Keep the line."""
        self.notes.append(text)

    def on_train(self, progress: Any) -> None:
        """Show nothing."""
