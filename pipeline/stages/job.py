"""What a step needs to know to do its work, and where files lie in a run directory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.ledger import Part, fingerprint, row_groups

FOLDERS = {"clean": "clean", "tokenizer": "tokenizer", "shards": "shards", "train": "train"}
"""Where a user looks for the products; every other step lives in ledger/."""

URLS = "extract.urls"


def gate(config: Config) -> str:
    """The step that says which extracted rows go on to the language stage."""
    return "extract" if config.url.duplicates is None else URLS


def step_folder(root: Path, step: str) -> Path:
    """The folder of a step's files in the run directory."""
    return root / FOLDERS[step] if step in FOLDERS else root / "ledger" / step


def part_file(root: Path, step: str, part: Part) -> Path:
    """The file of a step for a part."""
    return step_folder(root, step) / f"{part.name}.parquet"


def part_key(key: str, part: Part) -> str:
    """The key of a part's file of a step over the whole run: one part's file cannot pass for another one's."""
    return fingerprint(key, part.index, part.digest)


def text_groups(file: Callable[[str], Path], edited: bool) -> Iterator[pa.Array]:
    """The text so far of a part, a row group at a time: as it was extracted, or, where it was edited, what is left of it.

    `file` gives the part's file of a step.
    """
    for group in row_groups(file("extract"), ["text"]) if not edited else ():
        yield group["text"].combine_chunks()
    if edited:
        sources = (row_groups(file(step), ["text"]) for step in ("quality.edit", "extract"))
        for group, whole in zip(*sources, strict=True):
            yield pc.coalesce(group["text"].combine_chunks(), whole["text"].combine_chunks())


@dataclass(frozen=True, slots=True)
class Job:
    """A step's work on one part: everything a worker needs to know."""

    root: Path
    step: str
    part: Part
    key: str
    config: Config
    first_row: int = 0
    """The place of the part's first row in its file; 0 while extracting, when it is not known yet."""

    def file(self, step: str) -> Path:
        """The part's file of another step."""
        return part_file(self.root, step, self.part)

    @property
    def out(self) -> Path:
        """The file to write."""
        return self.file(self.step)


@dataclass(frozen=True, slots=True)
class View:
    """A step's work on the whole run."""

    root: Path
    step: str
    parts: tuple[Part, ...]
    key: str
    config: Config
    on_train: Callable[[Any], None] | None = None
    note: Callable[[str], None] | None = None
    earlier: tuple[tuple[Path, tuple[Part, ...], bool], ...] = ()
    """Earlier runs to deduplicate against: directory, parts, and whether their texts are edited."""
    workers: int = 1
    """How many cores a step may use; what it writes does not depend on it."""

    def file(self, step: str, part: Part) -> Path:
        """A part's file of a step."""
        return part_file(self.root, step, part)

    @property
    def folder(self) -> Path:
        """The folder to write."""
        return step_folder(self.root, self.step)
