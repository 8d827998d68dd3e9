"""A run directory: its config, its parts, the keys that follow from them, and what is done.

A step's key is a hash of its name, version, options, the versions of the libraries that affect its output, and the keys of
what it reads. Work is done if the journal has it under that key with all its files unchanged; all other work is done again.
So a killed run continues where it stopped, a changed threshold decides again and measures nothing again, and the result
never depends on the history.
"""

import json
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config import Config
from pipeline.config_file import one_line, with_settings
from pipeline.core.fingerprint import fingerprint, fingerprints, plain
from pipeline.core.journal import Entry, Journal
from pipeline.core.ledger import Part, Piece, rows_in
from pipeline.core.part import EarlierRun, PartFiles, RunFiles, piece_rows
from pipeline.core.step import Step
from pipeline.errors import UserError
from pipeline.extract.inputs.forms import DATASET
from pipeline.extract.options import InputOptions
from pipeline.run.steps import (
    by_name,
    cut_steps,
    deciders,
    gate_of,
    layers_of,
    needed_steps,
    reads_of,
    stage_of,
    stages,
    upto,
)
from pipeline.stages.duplicates.signatures import SIGNATURES, signature_options
from pipeline.stages.duplicates.verify import DOCUMENTS
from pipeline.stages.extract import EXTRACT
from pipeline.stages.language import LANGUAGE
from pipeline.stages.quality import QUALITY

SUFFIXES = (".parquet", ".tokens")
"""Suffixes of the files that a step may have for a part."""
DIRECTORY = ".directory"
"""The file with the directory in which the run was last started: input paths may be relative to it."""
AGAINST = "against-"
"""Prefix of a whole step's files for parts of earlier runs."""


@dataclass(frozen=True)
class Run:
    """A run directory."""

    root: Path
    config: Config
    parts: tuple[Part, ...]

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps that the config needs, in order."""
        return needed_steps(self.config)

    @cached_property
    def deciders(self) -> dict[str, Step]:
        """Stage -> the step whose `dropped` is final for it, of the stages that drop."""
        return deciders(self.config)

    @cached_property
    def directory(self) -> Path | None:
        """The directory in which the run was last started; None for a run of an earlier version."""
        try:
            return Path((self.root / DIRECTORY).read_text(encoding="utf-8").removesuffix("\n"))
        except OSError:
            return None

    @cached_property
    def journal(self) -> Journal:
        """The journal of finished work."""
        return Journal(self.root)

    @cached_property
    def earlier(self) -> tuple[EarlierRun, ...]:
        """The runs of `duplicates.against`, as steps see them."""
        return tuple(
            EarlierRun(
                root=run.root,
                parts=run.parts,
                layers=tuple(layer.name for layer in layers_of(DOCUMENTS, run.config)),
                key=run.keys[DOCUMENTS.name, None],
            )
            for run in earlier_runs(self.config)
        )

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """Step -> its options."""
        return {step.name: step.options(self.config, self.earlier) for step in self.steps}

    @cached_property
    def keys(self) -> Mapping[tuple[str, int | None], str]:
        """The key of each step for each part index, and for the whole run under None."""
        keys: dict[tuple[str, int | None], str] = {}
        for step in self.steps:
            reads = [other.name for other in reads_of(step, self.config)]
            common = [
                step.name,
                step.version,
                self.options[step.name],
                [library_version(name) for name in step.libraries],
            ]
            if step.whole:
                key = fingerprint(common, [keys[name, None] for name in reads])
                key_of = fingerprints(key)
                keys |= {(step.name, part.index): key_of(part.index, part.digest) for part in self.parts}
                keys[step.name, None] = key
                continue
            key_of = fingerprints(common)
            for part in self.parts:
                inputs = [keys[name, part.index] for name in reads]
                location = plain(step.location(part)) if step.location else None
                keys[step.name, part.index] = key_of(inputs, location)
            keys[step.name, None] = fingerprint([keys[step.name, part.index] for part in self.parts])
        return keys

    @cached_property
    def folders(self) -> Mapping[str, dict[str, Path]]:
        """Step -> the folders that it may open, by step: its own, and those of all steps that its key depends on."""
        folders: dict[str, dict[str, Path]] = {}
        for step in self.steps:  # in order: a step reads earlier ones
            folders[step.name] = {step.name: step.folder(self.root)}
            for other in reads_of(step, self.config):
                folders[step.name] |= folders[other.name]
        return folders

    def file(self, step: Step | str, part: Part) -> Path:
        """The file of a step for a part."""
        return _step(step).folder(self.root) / f"{part.name}.parquet"

    @cached_property
    def _views(self) -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Step -> its gates and layers, as its files name them."""
        views = {}
        for step in self.steps:
            gate = gate_of(step, self.config)
            layers = tuple(layer.name for layer in layers_of(step, self.config))
            views[step.name] = ((gate.name,) if gate else (), layers)
        return views

    @cached_property
    def _cuts(self) -> tuple[str, ...]:
        return tuple(other.name for other in cut_steps(self.config))

    def part_files(self, step: Step, part: Part) -> PartFiles:
        """What a step gets to work on a part."""
        gates, layers = self._views[step.name]
        return PartFiles(
            root=self.root,
            step=step.name,
            part=part,
            key=self.keys[step.name, part.index],
            folders=self.folders[step.name],
            cuts=self._cuts,
            first_row=0 if step is EXTRACT else self.first_row(part),
            gates=gates,
            layers=layers,
        )

    def run_files(self, step: Step, **more: Any) -> RunFiles:
        """What a step gets to work on the whole run."""
        gates, layers = self._views[step.name]
        return RunFiles(
            root=self.root,
            step=step.name,
            parts=self.parts,
            key=self.keys[step.name, None],
            folders=self.folders[step.name],
            earlier=self.earlier,
            gates=gates,
            layers=layers,
            **more,
        )

    @cached_property
    def parts_of_file(self) -> Mapping[int, list[Part]]:
        """Number of an input file -> the parts that hold it, in order."""
        of_file: dict[int, list[Part]] = {}
        for part in self.parts:
            for piece in part.pieces:
                of_file.setdefault(piece.file, []).append(part)
        return of_file

    def first_row(self, part: Part) -> int:
        """Row number, in the input file, of the part's first row; needs the file's earlier parts extracted."""
        if not part.pieces[0].start:
            return 0
        before = self.parts_of_file[part.pieces[0].file]
        return sum(rows_in(self.file(EXTRACT, p)) for p in before if p.index < part.index)

    def locate(self, file: int, row: int) -> tuple[Part, int]:
        """The part with row `row` of input file number `file`, and the row's number in the part; IndexError if none has it."""
        for part in self.parts_of_file.get(file, []):
            counts = piece_rows(part, self.file(EXTRACT, part))
            number = [piece.file for piece in part.pieces].index(file)
            if row < counts[number]:
                return part, sum(counts[:number]) + row
            row -= counts[number]
        raise IndexError(f"{self.root}: input file {file} has no such row")

    def entry(self, step: Step, part: Part | None = None) -> Entry | None:
        """The journal's line for a step's work under the current key, if there is one."""
        if not step.needed(self.config):
            return None
        of = None if step.whole else part
        return self._current(step, of, self.journal.entries(step.name))

    def entries(self, step: Step) -> list[tuple[Part | None, Entry | None]]:
        """`entry` of each part, or of the step as a whole (None)."""
        if not step.needed(self.config):
            return [(None, None)]
        units: tuple[Part | None, ...] = (None,) if step.whole else self.parts
        entries = self.journal.entries(step.name)
        return [(unit, self._current(step, unit, entries)) for unit in units]

    def _current(self, step: Step, part: Part | None, entries: Mapping[str | None, Entry]) -> Entry | None:
        entry = entries.get(part.name if part else None)
        return entry if entry and entry.key == self.keys[step.name, part.index if part else None] else None

    def outdated_parts(self, step: Step) -> int:
        """For how many parts a step's work was done under another key: other settings, code or libraries."""
        if not step.needed(self.config):
            return 0
        lines = self.journal.entries(step.name)
        outdated = [not entry and (part.name if part else None) in lines for part, entry in self.entries(step)]
        return len(self.parts) * outdated[0] if step.whole else sum(outdated)

    def is_outdated(self, step: Step, part: Part | None = None) -> bool:
        """Whether a step's work on a part, or on any part, was done under another key: other settings, code or libraries."""
        if part is None or step.whole:
            return self.outdated_parts(step) > 0
        is_recorded = part.name in self.journal.entries(step.name)
        return step.needed(self.config) and is_recorded and not self.entry(step, part)

    def last_stage(self) -> str | None:
        """The last stage that the run has come to, under whatever settings; None if it has done nothing."""
        reached = [step for step in self.steps if self.journal.entries(step.name)]
        return stage_of(reached[-1]) if reached else None

    def outdated_products(self) -> list[str]:
        """The stages whose products are there, but were made with other settings, code or libraries; in order."""
        return list(dict.fromkeys(stage_of(step) for step in self.steps if step.product and self.is_outdated(step)))

    def is_done(self, step: Step | str, part: Part | None = None) -> bool:
        """Whether a step's work on a part, or on all parts, is done under its key, with all files unchanged. False for a step
        that the config does not need."""
        step = _step(step)
        if part is not None:
            return self._has(step, part, self.entry(step, part))
        return all(entry and self.journal.changed(entry) is None for _, entry in self.entries(step))

    def _has(self, step: Step, part: Part, entry: Entry | None) -> bool:
        """Whether a step's files for a part are there as they were written; `entry` is the part's or the whole step's."""
        if entry is None:
            return False
        if not step.whole or step.makes_folder:
            return self.journal.changed(entry) is None
        folder = step.folder(self.root).relative_to(self.root)
        names = [name for suffix in SUFFIXES if (name := f"{folder}/{part.name}{suffix}") in entry.files]
        return bool(names) and self.journal.changed(entry, names) is None

    def require(self, step: Step | str, part: Part | None = None, advice: str = "run it again first") -> None:
        """UserError if a step is not done for a part, or for all parts; `advice` ends the message."""
        step = _step(step)
        if self.is_done(step, part):
            return
        stage = stage_of(step)
        if changed := self.changed(step):
            raise UserError(f"{self.root / changed[0]}: missing, or changed since it was written; {advice}")
        if self.is_outdated(step, part):
            raise UserError(f"{self.root}: its {stage} stage was made with other settings, code or libraries; {advice}")
        raise UserError(f"{self.root}: has not finished its {stage} stage; {advice}")

    def changed(self, step: Step) -> list[str]:
        """Files that were made under the current key and have changed since."""
        names = (self.journal.changed(entry) for _, entry in self.entries(step) if entry)
        return [name for name in names if name]

    def made(self, step: Step, part: Part | None = None) -> list[Path]:
        """The existing files of a step, for a part or for all parts."""
        folder = step.folder(self.root)
        if step.makes_folder:
            return [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.startswith(".")]
        parts = self.parts if part is None else (part,)
        files = [folder / f"{p.name}{suffix}" for p in parts for suffix in SUFFIXES]
        beside = [] if part else sorted(folder.glob(f"{AGAINST}*"))
        return [file for file in (*files, *beside) if file.is_file()]

    def done_parts(self, step: Step | str) -> tuple[Part, ...]:
        """The parts for which this step is done."""
        step = _step(step)
        if step.whole:
            entry = self.entry(step)
            return tuple(part for part in self.parts if self._has(step, part, entry))
        return tuple(part for part, entry in self.entries(step) if part and self._has(step, part, entry))

    def pending_parts(self, step: Step | str) -> list[Part]:
        """The parts for which this step is not done."""
        done = {part.index for part in self.done_parts(step)}
        return [part for part in self.parts if part.index not in done]

    def seconds(self) -> dict[str, float]:
        """CPU seconds of each stage, counting only the work that made the current files."""
        totals = dict.fromkeys(stages(), 0.0)
        for step in self.steps:
            totals[stage_of(step)] += sum(entry.seconds for _, entry in self.entries(step) if entry)
        return totals


def _step(step: Step | str) -> Step:
    return by_name(step) if isinstance(step, str) else step


def library_version(library: str) -> str:
    """A distribution and its version, as keys and the log have it: "pyarrow 25.0.1"."""
    if library == "unicode":
        return f"unicode {unicodedata.unidata_version}"  # Python's tables decide what a letter is
    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        return f"{library} absent"


def earlier_runs(config: Config) -> tuple[Run, ...]:
    """The runs of `duplicates.against`; raises UserError for one that is unfinished or has other signature options."""
    _refuse_circles(config, ())
    runs = []
    for name in config.duplicates.against:
        run = open_run(Path(name))
        if not run.is_done(DOCUMENTS):
            raise UserError(f"duplicates.against: {name}: its duplicates stage is not finished; run it first")
        options, earlier = signature_options(config), signature_options(run.config)
        for option in fields(options):
            value, earlier_value = getattr(options, option.name), getattr(earlier, option.name)
            if value != earlier_value:
                raise UserError(f"duplicates.against: {name}: signed with {option.name} = {earlier_value}, not {value}")
        for step in (*layers_of(DOCUMENTS, run.config), LANGUAGE, QUALITY, SIGNATURES):
            if missing := run.pending_parts(step):
                raise UserError(
                    f"duplicates.against: {name}: {step.name} of {missing[0].title} is missing or of another version"
                )
        runs.append(run)
    return tuple(runs)


def _refuse_circles(config: Config, above: tuple[Path, ...]) -> None:
    for name in config.duplicates.against:
        root = Path(os.path.realpath(name))
        if root in above:
            raise UserError(f"duplicates.against: {name}: was itself run against this one")
        _refuse_circles(open_run(root).config, (*above, root))


def open_run(root: Path) -> Run:
    """The run in a directory; UserError if it is not a run directory of this version."""
    config_json, parts_json = _stored(root, "config.json"), _stored(root, "parts.json")
    try:
        config = Config.model_validate_json(config_json)
    except ValidationError as error:
        raise UserError(f"{root}/config.json: not of this version ({one_line(error, Config)}); run it again") from None
    try:
        parts = parts_from(json.loads(parts_json))
    except json.JSONDecodeError as error:
        raise UserError(f"{root}/parts.json: damaged: {error}; run it again") from None
    except (ValueError, TypeError, LookupError, AttributeError):
        parts = ()
    if not parts:
        raise UserError(f"{root}/parts.json: damaged: not a list of parts; run it again")
    return Run(root, config, parts)


def _stored(root: Path, name: str) -> str:
    try:
        return (root / name).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise UserError(f"{root}: not a run directory (no {name}); python -m pipeline run makes one") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{root}/{name}: damaged: {error}") from None


_ENTRY: Mapping[str, Any] = {
    "path": str,
    "size": int,
    "digest": str,
    "start": int,
    "end": int | None,
    "file": int,
    "file_bytes": int,
    "modified": str | int,
    "part_bytes": int,
}
"""What an entry of parts.json has."""


def input_of(root: Path) -> InputOptions:
    """The input of the run in a directory, also of a run whose other tables are of another version."""
    try:
        stored = json.loads((root / "config.json").read_text(encoding="utf-8"))
        return Config.model_validate({"input": stored["input"]}).input
    except (ValidationError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise UserError(
            f"{root}/config.json: damaged, or not of this version; delete {root}, or choose another directory"
        ) from None


def parts_from(entries: Sequence[Mapping[str, Any]], urls: Mapping[str, str] | None = None) -> tuple[Part, ...]:
    """The entries of parts.json as parts: each is a piece, of the part that it names, or of a part of its own. ValueError for
    anything else. `urls`: for the path of a file, the URL with secrets that it is read from."""
    pieces: dict[int, list[Piece]] = {}
    for number, entry in enumerate(entries if isinstance(entries, list) else [None]):
        if not isinstance(entry, dict) or any(not isinstance(entry.get(name), kind) for name, kind in _ENTRY.items()):
            raise ValueError("not a list of parts")
        path = entry["path"]
        url = (urls or {}).get(path, path)
        piece = Piece(
            **{name: entry[name] for name in ("path", "size", "digest", "start", "end", "file")},
            state=None if path.startswith(DATASET) else (entry["file_bytes"], entry["modified"]),
            url=url if url != path else None,
        )
        pieces.setdefault(entry.get("part", number), []).append(piece)
    return tuple(Part(index, tuple(of_part)) for index, of_part in enumerate(pieces.values()))


def check_shards(root: Path) -> None:
    """UserError that says what to run first, where a run has not finished all steps up to its shards."""
    opened = open_run(root)
    for step in upto("shards"):
        if step.needed(opened.config):
            opened.require(step, advice=f"run first: python -m pipeline run {root} --until shards")


def retrained(root: Path, settings: Sequence[str]) -> Config:
    """A run's config with changed train.* settings; UserError for any other key."""
    for setting in settings:
        if not setting.startswith("train."):
            raise UserError(f"--set {setting}: only train.* can be set here; use python -m pipeline run for other keys")
    return own_config(root, settings)


def own_config(root: Path, settings: Sequence[str]) -> Config:
    """The config that the run in a directory was made with, and changed settings."""
    raw = open_run(root).config.model_dump(mode="json", exclude_none=True)
    return with_settings(raw, settings, str(root))
