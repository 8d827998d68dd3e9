"""What a run tells whoever watches it: `Display` shows it, `Log` writes it down, `Quiet` keeps it for Python."""

from typing import Any, Protocol

from pipeline.core.step import Step


class Reporter(Protocol):
    """Shows what a run is doing: progress bars, plain lines, or nothing."""

    def begin(self, step: Step, total: int, pending: int, parts: int) -> None:
        """A step starts; `total` counts units (bytes of archive, or rows) still to do."""

    def advance(self, rows: int, units: int) -> None:
        """Rows and units done in this step so far."""

    def compiling(self, number: int, total: int, name: str) -> None:
        """A kernel is about to be compiled, the `number`-th of about `total`."""

    def end(self, step: Step, rows: int, seconds: float) -> None:
        """The step is done."""

    def note(self, text: str) -> None:
        """One line worth reading."""

    def on_train(self, progress: Any) -> None:
        """The training loop's own progress."""
