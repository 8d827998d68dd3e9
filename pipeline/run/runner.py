"""Bringing a run directory up to date: find the input, then do the steps that are not done, one after another."""

import errno
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.core.engines import (
    Engine,
    InlineEngine,
    LocalEngine,
    Progress,
    RayEngine,
    Retry,
    Task,
    is_disk_error,
    place_of,
)
from pipeline.core.ledger import PART_FILE, Part, alive_rows, dropped_nulls, lock, rows_in
from pipeline.core.part import Origins, PartFiles
from pipeline.core.reporter import Reporter
from pipeline.core.step import Step
from pipeline.errors import UserError, did_you_mean, without_secrets
from pipeline.extract.options import InputOptions
from pipeline.files import sweep, write_text
from pipeline.run.inputs import check_documents, list_parts, list_shards, public_input
from pipeline.run.log import Log
from pipeline.run.nothing_left import check_something_left
from pipeline.run.run import AGAINST, DIRECTORY, SUFFIXES, Run, input_of, library_version, parts_from
from pipeline.run.steps import needed_steps, upto
from pipeline.run.warmup import WarmUp
from pipeline.stages.extract import EXTRACT


def plan(root: Path, config: Config, note: Callable[[str], None]) -> Run:
    """Find and fingerprint the input, and write config.json and parts.json; UserError if the directory holds something else."""
    planned, entries = find(root, config, note)
    write_text(root / DIRECTORY, f"{Path.cwd()}\n")
    stored = planned.config.model_copy(update={"input": public_input(planned.config.input)})
    write_text(root / "parts.json", json.dumps(entries, indent=1) + "\n")
    write_text(root / "config.json", stored.model_dump_json(indent=1) + "\n")  # last: it marks the directory as a run's
    return planned


def find(root: Path, config: Config, note: Callable[[str], None]) -> tuple[Run, list[dict[str, Any]]]:
    """Find and fingerprint the input: the run as it would be, and the entries of parts.json. Writes nothing."""
    from pipeline.extract.inputs.forms import KNOWN
    from pipeline.extract.inputs.kinds import left_out, why_not_read
    from pipeline.extract.inputs.sources import crawl_files, find_inputs

    config = claim(root, config)
    if os.path.realpath(root) in map(os.path.realpath, config.duplicates.against):
        raise UserError(f"duplicates.against: {root}: is this run itself")
    if (folder := config.input.dataset) and root.resolve().is_relative_to(Path(folder).resolve()):
        raise UserError(
            f"{root}: is inside of the dataset's folder {folder}, whose files it would change; choose another with --out"
        )
    files, ignored = find_inputs(config.input.paths, root, note)
    if crawl := config.input.common_crawl:
        files = crawl_files(crawl.crawl, crawl.files, crawl.kind, crawl.base)
    if not files and not config.input.dataset:
        reason = why_not_read(ignored[0]) if ignored else None
        mend = f"; {ignored[0]} is {reason}" if reason else ""
        raise UserError(
            f"input.paths: no file of a kind that is read in {config.input.described}{mend or f'; {KNOWN}'}"
        )
    for line in left_out(ignored):
        note(line)
    for name in files:
        if not name.isascii() and name.encode(errors="replace").decode() != name:
            raise UserError(f"{name}: the file's name is not UTF-8; rename it")
    known: list[dict[str, Any]] = []
    with suppress(OSError, ValueError, TypeError, LookupError, AttributeError):  # a damaged list is made again
        stored = json.loads((root / "parts.json").read_bytes())
        known = [entry for entry in stored if parts_from([entry])]
    if files and (gone := sorted({entry["path"] for entry in known} - set(map(without_secrets, files)))):
        first, more = gone[0], f" and {len(gone) - 1:,} more" if len(gone) > 1 else ""
        note(f"{first}{more}: in the input of the last run, and not there any more")
    for line in check_documents(files, config.input, known):
        note(line)
    entries = list_parts(files, config.input.part_bytes, known, config.input.text_unit, note)
    if config.input.dataset:
        entries = list_shards(config.input, config.input, note)

    shown = Counter(map(without_secrets, files))
    if same := [name for name, count in shown.items() if count > 1]:
        raise UserError(
            f"input.paths: {same[0]}: {shown[same[0]]} files differ only in what looks like a key or signature"
        )
    urls = {without_secrets(file): file for file in files}
    planned = Run(root, config, parts_from(entries, urls))
    _ = planned.keys  # raises UserError for a missing file named by an option, before anything is written
    return planned, entries


def claim(root: Path, config: Config) -> Config:
    """Make sure that `root` is new, or holds a run over the same input; its paths are then as that run has them, since keys
    depend on them."""
    from pipeline.extract.inputs.files import is_remote

    if not (root / "config.json").is_file():
        own = (".lock", "parts.json", DIRECTORY)  # and temporary files, of a run that was killed before its start
        names = [path.name for path in root.iterdir()] if root.is_dir() else []
        strangers = [name for name in names if name not in own and not name.endswith(".tmp")]
        if strangers:
            raise UserError(f"{root}: not empty and not a run directory ({strangers[0]}); choose another with --out")
        return config
    held = input_of(root)
    public = public_input(config.input)
    as_held = replace(public, paths=held.paths)
    if replace(held, part_bytes=public.part_bytes) != as_held or not _same_files(root, held, public):
        raise UserError(
            f"{root}: holds a run over other input ({_in_words(held, public)}); choose another directory with --out"
        )
    # The run's own spelling, so that keys and bytes stay; but URLs as they are given, with their signatures.
    paths = config.input.paths if any(map(is_remote, config.input.paths)) else held.paths
    return config.model_copy(update={"input": replace(config.input, paths=paths)})


def _same_files(root: Path, held: InputOptions, given: InputOptions) -> bool:
    """Whether two inputs name the same files in the same order; UserError where the run's own names only lead there from the
    directory in which it was started."""
    from pipeline.extract.inputs.files import is_remote
    from pipeline.extract.inputs.sources import find_inputs

    def resolved(paths: Sequence[str], directory: Path) -> list[str]:
        return [path if is_remote(path) else os.path.realpath(directory / path) for path in paths]

    def found(paths: Sequence[str]) -> list[str] | None:
        with suppress(UserError):
            return resolved(find_inputs(paths, root)[0], Path.cwd())
        return None

    here = Path.cwd()
    if held.paths == given.paths or resolved(held.paths, here) == resolved(given.paths, here):
        return True
    started = Run(root, Config(input=held), ()).directory
    if started and resolved(held.paths, started) == resolved(given.paths, here):
        raise UserError(
            f"{root}: was made in {started}, and its input has relative paths ({held.described}); "
            f"run it there again: cd {started}"
        )
    return not any(map(is_remote, (*held.paths, *given.paths))) and found(held.paths) == found(given.paths) is not None


def _in_words(held: InputOptions, given: InputOptions) -> str:
    """How the input of a run differs from the one that is given."""
    if held.described != given.described:
        return f"{held.described}, not {given.described}"
    names = [field.name for field in fields(held) if getattr(held, field.name) != getattr(given, field.name)]
    name = next(name for name in names if name != "part_bytes")
    return f"{held.described}, with input.{name} = {getattr(held, name)!r}, not {getattr(given, name)!r}"


def check_steps(config: Config, until: str, engine: str, note: Callable[[str], None]) -> tuple[Step, ...]:
    """The steps up to a stage that the config needs, in order; UserError for a config or an engine that cannot work."""
    if engine not in ("local", "ray"):
        raise UserError(f"--engine {engine}: unknown{did_you_mean(engine, ('local', 'ray'))}; known: local, ray")
    requested = tuple(step for step in upto(until) if step.needed(config))
    for step in needed_steps(config):
        if step.check and (step in requested or not step.product):  # a product that is not asked for may lack its extra
            for line in step.check(config):
                note(line)
    return requested


def run(root: Path, config: Config, *, workers: int, engine: str, until: str, reporter: Reporter) -> Run:
    """Bring a run directory up to date. Raises UserError; a bug in a step raises RuntimeError with its traceback."""
    from pipeline.kernel_cache import compiling

    reporter = log = Log(root, reporter)
    with log.errors(), ExitStack() as stack:
        requested = check_steps(config, until, engine, reporter.note)
        stack.enter_context(lock(root))
        planned = plan(root, config, reporter.note)
        libraries = dict.fromkeys(["corpus-pipeline", *(name for step in requested for name in step.libraries)])
        log.open([library_version(name) for name in libraries])
        sweep(root)
        pool: Engine | None = None
        finished = [step for step in requested if planned.is_done(step)]
        planned.journal.seal()
        if finished:
            reporter.note(f"up to date, not done again: {', '.join(step.name for step in finished)}")
        todo = [step for step in requested if step not in finished]
        for step in todo:
            if changed := planned.changed(step):
                more = f" and {len(changed) - 1:,} more" if len(changed) > 1 else ""
                reporter.note(f"{root / changed[0]}{more}: changed since it was written; made again")
        warm_up = WarmUp(todo, planned.options, workers, reporter.compiling)
        if todo:
            stack.callback(warm_up.close)
            stack.enter_context(compiling(warm_up.count))
        stack.callback(_tell_outdated, planned, reporter.note)  # also where nothing is left
        deciders = planned.deciders.values()
        for step in requested:
            if step in finished:
                if step in deciders:
                    check_something_left(planned, step)
                continue
            if step.whole:
                _run_whole(planned, step, workers, warm_up, reporter)
            else:
                if pool is None and not step.quick:
                    pool = LocalEngine(workers) if engine == "local" else RayEngine(workers)
                    stack.callback(pool.close)
                _run_parts(planned, step, pool or InlineEngine(), warm_up, reporter)
            for line in step.remarks(planned.run_files(step), planned.options[step.name]) if step.remarks else ():
                reporter.note(line)
            planned.journal.seal()
            if step in deciders:
                check_something_left(planned, step)
        for step in requested:
            _tell_foreign(planned, step, reporter.note)
    return planned


def _tell_outdated(run: Run, note: Callable[[str], None]) -> None:
    """Say which products are of other settings: they look finished, and whoever opens them would not know."""
    if outdated := run.outdated_products():
        note(
            f"outdated, made with other settings, code or libraries: {', '.join(outdated)}; "
            f"python -m pipeline run {run.root} --until {outdated[-1]} makes {'it' if len(outdated) == 1 else 'them'} again"
        )


def work_on_part(
    function: Callable[..., int], decides: bool, files: PartFiles, options: Any, progress: Progress, retry: Retry
) -> int:
    """A task of an engine: a step's work on a part; returns the rows of the part.

    The output of a dropping step is checked against its gate, so kept + dropped = input whoever wrote the step.
    """
    try:
        function(files, options, progress, retry)
    except OSError as error:
        if is_disk_error(error) and error.filename is None:  # from a write; the task's name is that of the input
            raise OSError(error.errno or errno.ENOSPC, str(error), str(files.out)) from error
        raise
    if decides and files.gates:
        _check_dropped(files.step, files.gate, files.out)
    return rows_in(files.out)


def place_in_words(part: Part, extracted: Path | None, number: int) -> str:
    """Where a row of a part with several files is, from its number in `Progress`; `extracted`: its file of the extract step,
    None while that is written."""
    if extracted:
        piece, row = Origins.of(part, extracted, 0).place(number)
        return f"record {row} of {piece.path}"
    index, row = place_of(number)
    return f"record {row} of {part.pieces[index].path}"


def _check_dropped(step: str, gate: Path, out: Path) -> None:
    alive, decided = alive_rows(gate), ~dropped_nulls(out)
    if len(alive) != len(decided) or (alive != decided).any():
        raise RuntimeError(f"{step}: {out}: `dropped` must be a list for the rows that came in and null for the others")


def _run_parts(run: Run, step: Step, engine: Engine, warm_up: WarmUp, reporter: Reporter) -> None:
    """Do the parts of a step that are not done yet, and delete other files in its folder."""
    folder = step.folder(run.root)
    pending = run.pending_parts(step)
    sizes = {part.index: part.size if step is EXTRACT else rows_in(run.file(EXTRACT, part)) for part in pending}
    reporter.begin(step, sum(sizes.values()), len(pending), len(run.parts))
    options = run.options[step.name]
    if step.prepare:
        step.prepare(folder, options)
    if not step.quick:
        warm_up(step)
    tasks = []
    for part in pending:
        arguments = (step.run, step.drops is not None, run.part_files(step, part), options)
        task = Task(f"{step.name} of {part.title}", work_on_part, arguments)
        if len(part.pieces) > 1:
            extracted = None if step is EXTRACT else run.file(EXTRACT, part)
            task = replace(task, where=partial(place_in_words, part, extracted))
        tasks.append(task)
    rows = units = 0
    began = time.perf_counter()

    def report(more_rows: int, more_units: int) -> None:
        reporter.advance(rows + more_rows, units + more_units)

    for done in engine.run(tasks, report, reporter.note):
        part = done.task.args[2].part
        rows += rows_in(run.file(step, part))
        units += sizes[part.index]
        key = run.keys[step.name, part.index]
        run.journal.record(step.name, part.name, key, done.seconds, run.made(step, part))
        reporter.advance(rows, units)
    _clear(run, step)
    reporter.end(step, rows, time.perf_counter() - began)


def _clear(run: Run, step: Step) -> None:
    """Delete the files of former parts: a step owns its folder. Of a product, only files that are named as parts are."""
    for name in _not_of_parts(run, step):
        if not step.product or PART_FILE.fullmatch(name):
            (step.folder(run.root) / name).unlink()


def _not_of_parts(run: Run, step: Step) -> list[str]:
    """The files in the folder of a step that works by parts that are of no part of the run, by name."""
    owned = {f"{part.name}{suffix}" for part in run.parts for suffix in SUFFIXES} | set(step.shared)
    folder = step.folder(run.root)
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted(name for name in {*names} - owned if (folder / name).is_file() and not name.startswith(AGAINST))


def _tell_foreign(run: Run, step: Step, note: Callable[[str], None]) -> None:
    """Name the files in a product's folder that are not the run's: whoever reads the whole folder would read them too."""
    if step.makes_folder or not step.product:
        return
    if names := [name for name in _not_of_parts(run, step) if not name.startswith(".")]:
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        note(f"{step.folder(run.root) / names[0]}{more}: not written by this run, and left as it is; move it elsewhere")


def _run_whole(run: Run, step: Step, workers: int, warm_up: WarmUp, reporter: Reporter) -> None:
    files = run.run_files(step, on_train=reporter.on_train, note=reporter.note, workers=workers)
    options = run.options[step.name]
    source = next((other for other in step.reads if not other.makes_folder), EXTRACT)
    reporter.begin(step, step.passes * files.rows(source), len(run.parts), len(run.parts))
    warm_up(step)
    if step.makes_folder and run.changed(step):
        _discard(run, step)
    began, cpu = time.perf_counter(), time.process_time()
    rows = step.run(files, options, reporter.advance)
    if step.drops is not None and files.gates:
        for part in files.parts:
            _check_dropped(step.name, files.file(files.gates[0], part), files.out(part))
    if step.makes_folder:
        write_text(step.folder(run.root) / ".key", files.key)
    else:
        _clear(run, step)
    run.journal.record(step.name, None, files.key, time.process_time() - cpu, run.made(step))
    reporter.end(step, rows, time.perf_counter() - began)


def _discard(run: Run, step: Step) -> None:
    """Delete the rest of a product that has changed: the step might take it for its own finished work."""
    entry = run.entry(step)
    for name in entry.files if entry else ():
        (run.root / name).unlink(missing_ok=True)
    run.journal.record(step.name, None, "", 0.0, ())  # otherwise a half-made product would be deleted after a kill
