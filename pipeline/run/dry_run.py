"""What a run would do, before any work: which steps are up to date, which would be done again, and why. Writes nothing."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.core.fingerprint import plain
from pipeline.core.step import Step
from pipeline.errors import UserError
from pipeline.run.run import Run, open_run
from pipeline.run.runner import check_steps, find
from pipeline.run.steps import reads_of


@dataclass(frozen=True, slots=True)
class Planned:
    """What would become of one step."""

    step: str
    parts: int
    """Parts of the input still to do; 0: the step is up to date."""
    reason: str
    """Why it would be done; empty where it is up to date."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would do."""

    root: Path
    parts: int
    settings: Mapping[str, tuple[Any, Any]]
    """Config key -> its value in the last run, and now, of those that differ; None: absent."""
    steps: tuple[Planned, ...]
    notes: tuple[str, ...]
    """What a run would say before it starts."""


def dry_run(root: Path, config: Config, until: str, engine: str) -> DryRun:
    """What `run` would do up to this stage; UserError for every mistake that `run` finds before it works."""
    notes: list[str] = []
    requested = check_steps(config, until, engine, notes.append)
    run, _ = find(root, config, notes.append)
    last: Run | None = None
    with suppress(UserError):  # the first run here, or one of another version
        last = open_run(root)
    steps: list[Planned] = []
    outdated: set[str] = set()
    for step in requested:
        parts = run.pending_parts(step)
        reason = _reason(run, last, step, outdated) if parts else ""
        if run.is_outdated(step):
            outdated.add(step.name)
        steps.append(Planned(step.name, len(parts), reason))
    settings = _changes(last.config, run.config) if last else {}
    return DryRun(root, len(run.parts), settings, tuple(steps), tuple(notes))


def _reason(run: Run, last: Run | None, step: Step, outdated: set[str]) -> str:
    if changed := run.changed(step):
        more = f" and {len(changed) - 1:,} more" if len(changed) > 1 else ""
        return f"{changed[0]}{more}: changed since it was written"
    if not run.is_outdated(step):
        return "not done yet"
    if last and step in last.steps and plain(last.options[step.name]) != plain(run.options[step.name]):
        return "its settings changed"
    if earlier := [other.name for other in reads_of(step, run.config) if other.name in outdated]:
        return f"follows from {earlier[0]}"
    return "made from other input, or with other settings, code or libraries"


def _changes(last: Config, now: Config) -> dict[str, tuple[Any, Any]]:
    before, after = (dict(_flat(config.model_dump(exclude_none=True))) for config in (last, now))
    keys = dict.fromkeys([*before, *after])
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        elif name != "signal" or above.count(".") != 2:  # of a rule: the name of its table
            yield f"{above}{name}", value
