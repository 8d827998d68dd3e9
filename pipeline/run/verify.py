"""Reading every file of a run again, to find what a disk has lost."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.run.run import open_run


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read, and what is not as it was written."""

    files: int
    bytes: int
    damaged: tuple[str, ...]
    """Paths in the run directory."""


def verify(root: Path) -> Verified:
    """Compare all files of finished work with the checksums of the journal. A run itself reads only files whose size or times
    have changed. UserError if `root` is not a run directory."""
    run = open_run(root)
    files = size = 0
    damaged: list[str] = []
    for step in run.steps:
        for part in (None,) if step.whole else run.parts:
            if entry := run.entry(step, part):
                files += len(entry.files)
                size += sum(written for written, _ in entry.files.values())
                damaged += run.journal.damaged(entry)
    return Verified(files, size, tuple(damaged))
