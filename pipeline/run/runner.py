"""Bringing a run directory up to date: find the input, do the steps that are not done, one after the other."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pipeline.config import Config
from pipeline.core.engines import Engine, InlineEngine, LocalEngine, RayEngine, Task
from pipeline.core.ledger import append_json, lock, rows_in
from pipeline.errors import UserError, did_you_mean
from pipeline.files import sweep, write_text
from pipeline.run.inputs import list_parts, list_shards
from pipeline.run.run import Run, Step, earlier_runs, open_run, part_from, upto
from pipeline.run.warmup import cold, compiled_ahead, warm_up
from pipeline.stages.evaluations import check_evaluations
from pipeline.stages.extract import prepare_urls
from pipeline.stages.job import Job, View, step_folder
from pipeline.stages.models import check_languages, check_scores, undefined_scores
from pipeline.stages.products import check_tokens


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


def plan(root: Path, config: Config, note: Callable[[str], None]) -> Run:
    """Find the input, fingerprint it, and write down config and parts; refuses a directory that holds something else."""
    from pipeline.extract.inputs.sources import crawl_files, find_inputs

    claim(root, config)
    if root.resolve() in {Path(name).resolve() for name in config.duplicates.against}:
        raise UserError(f"duplicates.against: {root}: is this very run")
    earlier_runs(config)
    check_languages(config)
    for line in (*check_scores(config), *(check_evaluations(config.decontaminate) if config.contamination else ())):
        note(line)
    files, ignored = find_inputs(config.input.paths)
    if crawl := config.input.common_crawl:
        files = crawl_files(crawl.crawl, crawl.files, crawl.kind, crawl.base)
    if not files and not config.input.dataset:
        raise UserError(f"input.paths: no archive (.warc, .arc, .wet), .jsonl or .parquet file in {config.input.named}")
    if ignored:
        note(f"{len(ignored)} other files are left out, {ignored[0]} first")
    known = json.loads((root / "parts.json").read_text()) if (root / "parts.json").is_file() else []
    entries = list_parts(files, config.input.part_size, known)
    if config.input.wanted:
        entries = list_shards(config.input.wanted)

    write_text(root / "config.json", config.model_dump_json(indent=1) + "\n")
    write_text(root / "parts.json", json.dumps(entries, indent=1) + "\n")
    return Run(root, config, tuple(part_from(index, entry) for index, entry in enumerate(entries)))


def claim(root: Path, config: Config) -> None:
    """Make sure that `root` is new, or holds a run over the same input."""
    if not (root / "config.json").is_file():
        strangers = [path.name for path in root.iterdir() if path.name != ".lock"] if root.is_dir() else []
        if strangers:
            raise UserError(f"{root}: not empty and not a run directory ({strangers[0]}); choose another with --out")
        return
    held = open_run(root).config
    if held.input.model_copy(update={"part_bytes": config.input.part_bytes}) != config.input:
        raise UserError(
            f"{root}: holds a run over other input ({held.input.named}, not {config.input.named}); "
            f"choose another directory with --out, or delete this one"
        )


def run(root: Path, config: Config, *, workers: int, engine: str, until: str, reporter: Reporter) -> Run:
    """Bring a run directory up to date. Raises UserError; a bug in a step raises RuntimeError with its traceback."""
    wanted = tuple(step for step in upto(until) if step.needed(config))
    if any(step.name == "train" for step in wanted) and find_spec("torch") is None:
        raise UserError(
            "training needs the extra: pip install 'corpus-pipeline[train]', or stop before it with --until shards"
        )
    if engine not in ("local", "ray"):
        raise UserError(f"--engine {engine}: unknown{did_you_mean(engine, ('local', 'ray'))}; known: local, ray")
    if any(step.name == "tokenizer" for step in wanted):
        check_tokens(config)
    with lock(root), ExitStack() as stack:
        planned = plan(root, config, reporter.note)
        sweep(root)
        crew: Engine | None = None
        finished = [step.name for step in wanted if planned.is_done(step)]
        if finished:
            reporter.note(f"up to date, not done again: {', '.join(finished)}")
        todo = [step for step in wanted if step.name not in finished]
        if waiting := cold(step.name for step in todo):
            reporter.note("the first run of this version here compiles its kernels on the way: a minute of one core")
            if workers > 1:
                stack.enter_context(compiled_ahead(waiting[1:], config))
        for step in todo:
            if step.whole:
                _run_whole(planned, step, workers, reporter)
                continue
            if crew is None and not step.quick:
                crew = LocalEngine(workers) if engine == "local" else RayEngine(workers)
                stack.callback(crew.close)
            _run_parts(planned, step, crew or InlineEngine(), reporter)
            if step.name == "quality.scores":
                for line in undefined_scores(config, (planned.file(step.name, part) for part in planned.parts)):
                    reporter.note(line)
    return planned


def _run_parts(run: Run, step: Step, engine: Engine, reporter: Reporter) -> None:
    """Do the parts of a step that are not done yet, and clear away files of parts that are no more."""
    assert step.part is not None
    folder = step_folder(run.root, step.name)
    pending = [part for part in run.parts if not run.is_done(step, part)]
    sizes = {
        part.index: part.size if step.name == "extract" else rows_in(run.file("extract", part)) for part in pending
    }
    unit = "bytes" if step.name == "extract" else "rows"
    reporter.begin(step.name, sum(sizes.values()), unit, len(pending), len(run.parts))
    if step.name == "extract":
        prepare_urls(run.root, run.config.url)
    if not step.quick:
        warm_up(step.name, run.config)
    tasks = []
    for part in pending:
        first = 0 if step.name == "extract" else run.first_row(part)
        job = Job(run.root, step.name, part, run.keys[step.name, part.index], run.config, first)
        tasks.append(Task(f"{step.name} of {part.title}", step.part, (job,)))
    rows = units = 0
    began = time.perf_counter()

    def report(more_rows: int, more_units: int) -> None:
        reporter.advance(rows + more_rows, units + more_units)

    for done in engine.run(tasks, report, reporter.note):
        part = done.task.args[0].part
        rows += rows_in(run.file("extract", part))
        units += sizes[part.index]
        _log(run, step, part.index, done.seconds)
        reporter.advance(rows, units)
    wanted = {run.file(step.name, part).name for part in run.parts}
    if folder.is_dir():
        for stale in sorted(folder.glob("*.parquet")):
            if stale.name not in wanted:
                stale.unlink()
    reporter.end(step.name, rows, time.perf_counter() - began)


def _run_whole(run: Run, step: Step, workers: int, reporter: Reporter) -> None:
    assert step.whole is not None
    key = run.keys[step.name, None]
    earlier = (
        tuple((old.root, old.parts, old.config.edits) for old in earlier_runs(run.config))
        if step.stage == "duplicates"
        else ()
    )
    view = View(run.root, step.name, run.parts, key, run.config, reporter.on_train, reporter.note, earlier, workers)
    total = 0
    if step.stage in ("duplicates", "tokenizer"):
        source = "extract" if step.stage == "duplicates" else "clean"
        passes = 2 if step.stage == "tokenizer" else 1  # one to count the words, one to measure what it has learned
        total = passes * sum(rows_in(run.file(source, part)) for part in run.parts)
    reporter.begin(step.name, total, "rows", len(run.parts), len(run.parts))
    warm_up(step.name, run.config)
    if step.makes_folder:
        (step_folder(run.root, step.name) / ".key").unlink(missing_ok=True)
    began, cpu = time.perf_counter(), time.process_time()
    rows = step.whole(view, reporter.advance)
    if step.makes_folder:
        write_text(step_folder(run.root, step.name) / ".key", key)
    _log(run, step, None, time.process_time() - cpu)
    reporter.end(step.name, rows, time.perf_counter() - began)


def _log(run: Run, step: Step, part: int | None, seconds: float) -> None:
    record = {"step": step.name, "part": part, "key": run.keys[step.name, part], "seconds": round(seconds, 3)}
    append_json(run.root / "timings.jsonl", record)
