"""quality.decide: every rule of the config on its signal, and the evaluation texts that a document may not contain."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.deciding import DECISION, MEASURING_CRASHED, floats, write_decision
from pipeline.core.engines import Progress, Retry
from pipeline.core.ledger import read, writer
from pipeline.core.part import EarlierRun, PartFiles, RunFiles
from pipeline.core.step import Failing, Step, columns
from pipeline.extract.options import KEPT
from pipeline.filters.decisions import Mask, labelled
from pipeline.filters.decisions import decide as decide_rules
from pipeline.filters.quantiles import Bound
from pipeline.filters.rules import Reason, Rule
from pipeline.stages.decontaminate import FIND
from pipeline.stages.edit import EDIT
from pipeline.stages.extract import EXTRACT
from pipeline.stages.language import LANGUAGE
from pipeline.stages.quality import QUALITY
from pipeline.stages.scores import SCORES


def signals_of(
    file: Callable[[Step], Path], has: Callable[[Step], bool], scores: Sequence[str], names: Sequence[str]
) -> pa.Table:
    """Columns of a part's signals, named as rules name them, whichever step measured them, or kept columns of the input.

    The first column is "words". It is null where a step did not measure the row: it did not come in, or its worker crashed.
    """
    columns: dict[Step, list[str]] = {QUALITY: ["words"]}
    kept = [name for name in names if name.startswith(KEPT)]
    if has(EDIT):
        columns[EDIT] = ["words", "characters"]
    if has(SCORES):
        columns[SCORES] = list(scores)
    if has(FIND):
        columns[FIND] = ["contamination", "contamination_ngrams"]
    for name in names:
        if name not in scores and name not in kept:
            step = EDIT if name.startswith(EDIT.prefix) else QUALITY
            columns[step].append(name.removeprefix(step.prefix))
    table: dict[str, pa.Array] = {}
    measured = None
    for step, names_of_step in columns.items():
        stored = read(file(step), list(dict.fromkeys(names_of_step)))
        table |= {f"{step.prefix}{name}": stored[name].combine_chunks() for name in stored.column_names}
        valid = stored.column(0).combine_chunks().is_valid()
        measured = valid if measured is None else pc.and_(measured, valid)
    table["words"] = pc.if_else(measured, table["words"], None)
    if kept:
        stored = read(file(EXTRACT), kept)
        table |= {name: pa.array(map(_number, stored[name].to_pylist()), pa.float64()) for name in kept}
    return pa.table(table)


def _number(text: str | None) -> float:
    """The number in a kept column of the input; NaN, which fails no bound, where there is none."""
    try:
        return float(text or "nan")
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(text or "", math.nan)


BOUNDS = pa.schema(
    [("rule", pa.string()), ("language", pa.string()), ("value", pa.float64()), ("documents", pa.int64())]
)
"""Columns of ledger/quality.bounds: every part's file has the bounds of the whole run."""
COLUMNS = {
    "rule": "a rule on a share, such as `quality_score.top`",
    "language": "the language that the share is of; null: all documents",
    "value": "the signal of the last document that is kept",
    "documents": "how many documents the share is of",
}
REASONS = {
    "SIGNAL.min": "the signal is below `min`",
    "SIGNAL.max": "the signal is above `max`",
    "SIGNAL.above": "the signal is not above `above`",
    "SIGNAL.below": "the signal is not below `below`",
    "SIGNAL.top": "the document is not among this share of the highest",
    "SIGNAL.bottom": "the document is not among this share of the lowest",
    "SIGNAL.pareto": "the document was not drawn, with a probability that grows with the signal",
    "SIGNAL.language": "the signal is not defined for the document's language",
    "edited.empty": "the edits removed all of the text",
    "contamination": 'the text contains an evaluation text (`decontaminate`, with action = "drop")',
    **MEASURING_CRASHED,
}
"""SIGNAL is `edited.SIGNAL` for a rule in [edited], and the score's name for a rule on one of [scores]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The rules on shares of the run's documents, and the names of the scores, which rules may use."""

    rules: tuple[Rule, ...]
    scores: tuple[str, ...]


def find_bounds(files: RunFiles, options: Shares, progress: Progress) -> int:
    """Write the bounds that the rules' shares amount to over all parts, with one part in memory at a time."""
    from pipeline.filters.quantiles import Columns
    from pipeline.filters.quantiles import find_bounds as find

    def columns() -> Iterator[Columns]:
        for part in files.parts:
            file = partial(files.file, part=part)
            table = signals_of(file, files.has, options.scores, [rule.signal for rule in options.rules])
            labels = read(file(LANGUAGE), ["language"])["language"].combine_chunks()
            yield {rule.signal: floats(table[rule.signal]) for rule in options.rules}, labels

    bounds = find(options.rules, columns)
    rows = [{"rule": b.rule, "language": b.language, "value": b.value, "documents": b.documents} for b in bounds]
    for part in files.parts:
        with writer(files.out(part), BOUNDS, files.part_key(part)) as out:
            out.write_table(pa.Table.from_pylist(rows, BOUNDS))
    return files.rows(QUALITY)


def read_bounds(path: Path) -> list[Bound]:
    """The bounds that `find_bounds` wrote."""
    return [Bound(**row) for row in read(path, BOUNDS.names).to_pylist()]


def _shares(config: Config, earlier: Sequence[EarlierRun]) -> Shares:
    rules = [rule for rule in config.rules if rule.shares()]
    shares = [replace(rule, min=None, max=None, above=None, below=None, pareto=None) for rule in rules]
    return Shares(rules=tuple(shares), scores=tuple(config.scores))


SHARES = Step(
    name="quality.bounds",
    title="find shares",
    version=2,
    run=find_bounds,
    options=_shares,
    reads=(EXTRACT, QUALITY, LANGUAGE, EDIT, SCORES, FIND),
    whole=True,
    quick=True,
    needed=lambda config: any(rule.shares() for rule in config.rules),
    shows=False,
    columns=lambda: columns(BOUNDS, COLUMNS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The rules on the text and on the edited text, and what is done about evaluation texts."""

    rules: tuple[Rule, ...]
    scores: tuple[str, ...]
    contamination: Literal["drop", "flag", "cut"] | None
    threshold: float | None
    defined_for: tuple[tuple[str, tuple[str, ...]], ...]
    """(signal of a rule, its languages), for signals that are not defined for every language."""


def _decision(config: Config, earlier: Sequence[EarlierRun]) -> Decision:
    from pipeline.filters.signals import all_signals

    known = all_signals(config.plugged.signals)
    signals = {rule.signal: known.get(rule.measured) for rule in config.rules if rule.bounds()}
    limited = {name: signal.languages for name, signal in signals.items() if signal}
    return Decision(
        rules=config.rules,
        scores=tuple(config.scores),
        contamination=config.contamination,
        threshold=config.decontaminate.threshold if config.contamination else None,
        defined_for=tuple((name, tuple(labels)) for name, labels in limited.items() if labels is not None),
    )


def decide(files: PartFiles, options: Decision, progress: Progress, retry: Retry) -> int:
    """Decide on each row that comes in."""
    from pipeline.filters.quantiles import failures

    fixed = [rule for rule in options.rules if rule.bounds()]
    relative = [rule for rule in options.rules if len(rule.limits()) > len(rule.bounds())]
    defined_for = dict(options.defined_for)
    table = signals_of(files.file, files.has, options.scores, [rule.signal for rule in options.rules])
    labels = read(files.file(LANGUAGE), ["language"])["language"].combine_chunks()

    def failing(table: pa.Table) -> pa.Array:
        values = {name: table[name].combine_chunks() for name in table.column_names}
        others: dict[str, Mask] = {}
        if relative:
            ids = read(files.file(EXTRACT), ["id"])["id"].combine_chunks()
            numbers = {rule.signal: floats(values[rule.signal]) for rule in relative}
            bounds = read_bounds(files.file(SHARES)) if files.has(SHARES) else []
            others |= failures(relative, bounds, numbers, labels, ids)
        if files.has(EDIT):
            others["edited.empty"] = floats(values["edited.characters"]) == 0
        if options.contamination == "drop":
            ngrams, share = floats(values["contamination_ngrams"]), floats(values["contamination"])
            others["contamination"] = (ngrams > 0) & (share >= (options.threshold or 0))
        for rule in fixed:
            if rule.signal in defined_for:
                undefined = ~labelled(labels, defined_for[rule.signal]) & labelled(labels, rule.languages)
                others[f"{rule.signal}.language"] = np.broadcast_to(undefined, len(table))
        signals = {name: values[name] for name in ("words", *(rule.signal for rule in fixed))}
        return decide_rules(fixed, signals, labels, others)

    return write_decision(files, table, failing)


def columns_without_numbers(files: RunFiles, options: Decision) -> list[str]:
    """Notes on kept columns of the input in which no row has a number: rules on them drop nothing."""
    empty = [rule.signal for rule in options.rules if rule.signal.startswith(KEPT)]
    for part in files.parts:
        if not empty:
            break
        stored = read(files.file(EXTRACT, part), empty)
        empty = [name for name in empty if all(map(math.isnan, map(_number, stored[name].to_pylist())))]
    return [f"quality.{name}: no row has a number there, so the rule drops nothing" for name in empty]


def _explain(rule: str, row: Mapping[str, Any], options: Decision, file: Callable[[Step], Path | None]) -> Failing:
    if rule in ("crashed", "edited.empty"):
        return Failing(None, None)
    if rule == "contamination":
        items = row["contaminated_by"] or []
        return Failing(row["contamination"], f"of {items[0]['item']}" if items else None)
    reason = Reason.of("quality", rule)
    if reason.bound == "language":
        return Failing(row["language"], "has no value for this language")
    limits = next(dict(other.limits()) for other in options.rules if other.signal == reason.signal)
    bound = f"{reason.bound} = {limits[str(reason.bound)]:g}"
    return Failing(row[reason.signal], f"{bound}{_bound_in_words(rule, row['language'], file(SHARES))}")


def _bound_in_words(rule: str, language: str | None, file: Path | None) -> str:
    """The bound that a share amounts to for a document's language, in words."""
    for bound in read_bounds(file) if file else ():
        if bound.rule == rule and bound.language in (None, language):
            language_name = f"{bound.language} " if bound.language else ""
            return f": bound {bound.value:.4g} among {bound.documents:,} {language_name}documents"
    return ""


QUALITY_DECIDE = Step(
    name="quality.decide",
    title="decide on quality",
    version=2,
    run=decide,
    options=_decision,
    reads=(EXTRACT, LANGUAGE, QUALITY, EDIT, SCORES, FIND, SHARES),
    quick=True,
    drops=_explain,
    remarks=columns_without_numbers,
    columns=lambda: columns(DECISION, {}),
    reasons=lambda: REASONS,
)
