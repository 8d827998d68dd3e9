"""What a run did, computed from the files on disk and from nothing else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.ledger import kept, read, rows_in
from pipeline.core.plain_values import OPTIONAL, key
from pipeline.core.step import Step
from pipeline.extract.options import NOT_PAGES
from pipeline.filters.quantiles import Bound
from pipeline.report.meanings import bound_of, meaning_of, signal_meanings
from pipeline.report.revisits import Revisits, find_revisits
from pipeline.run.run import Run
from pipeline.run.steps import cut_steps, stage_of
from pipeline.stages.clean import CLEAN
from pipeline.stages.edit import EDIT
from pipeline.stages.extract import EXTRACT
from pipeline.stages.language import LANGUAGE, LANGUAGE_DECIDE
from pipeline.stages.quality_rules import QUALITY_DECIDE, SHARES, read_bounds
from pipeline.stages.shards import SHARDS
from pipeline.stages.tokenizer import TOKENIZER
from pipeline.stages.train import TRAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCounts:
    """How many documents a rule drops."""

    failed: int
    """Documents that fail the rule."""
    only: int
    """Of those, the documents that fail no other rule of the stage."""
    bound: str | None = field(default=None, compare=False)
    """Such as "min = 50", or "min = 2 (en only)"; None for a rule without a bound."""
    meaning: str = field(default="", compare=False)
    """What the rule looks at, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCounts:
    """How far a stage has come."""

    done: int
    total: int
    outdated: int = 0
    """Parts made with other settings, code or libraries: the next run makes them again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage, over the parts it has done: entered = kept + dropped."""

    name: str
    entered: int = field(metadata=key("in"))
    """Documents that came to the stage (records, to the first one)."""
    kept: int
    dropped: int
    rules: dict[str, RuleCounts]
    """Rule -> what it drops, the strictest rule first; none for a stage that makes a product."""
    bounds: tuple[Bound, ...] = field(default=(), metadata=OPTIONAL)
    """What rules on shares (`top`, `bottom`) came to."""
    seconds: float
    """CPU seconds."""
    parts: PartCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageCounts:
    """Documents of a language."""

    entered: int = field(metadata=key("in"))
    """Documents that came to the language stage."""
    kept: int
    """Documents that are kept at the end of the quality stage."""
    low_score: int = field(default=0, metadata=OPTIONAL)
    """Documents of a kept language that its score drops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutCounts:
    """What a step takes out of texts."""

    documents: int
    """Documents that it takes something out of."""
    places: int
    """Spans taken out."""
    bytes: int
    """UTF-8 bytes of all spans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditCounts:
    """What an edit takes out of the documents that come to the quality stage."""

    documents: int
    """Documents that it takes something out of."""
    lines: int
    words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanText:
    """The clean text."""

    documents: int
    bytes: int
    """UTF-8 bytes."""
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The whole account of a run; a stage that is not finished counts the parts it has done."""

    run: str
    """The run directory."""
    input: int
    """Records."""
    changed: tuple[str, ...] = ()
    """Files of this run that are missing, or changed since they were written; the next run makes them again."""
    pages: int
    """Records without the requests, archive headers and revisits."""
    revisits: Revisits | None = field(default=None, metadata=OPTIONAL)
    """Pages that were unchanged when they were fetched again, if there are any."""
    kept: int
    """Documents kept by the last stage that drops."""
    records: dict[str, int]
    """Record type -> records, the most frequent first."""
    stages: tuple[Stage, ...]
    outdated: tuple[str, ...] = ()
    """Stages whose products are there, but were made with other settings, code or libraries."""
    languages: dict[str, LanguageCounts]
    """Language code -> documents, the most frequent first."""
    edits: dict[str, EditCounts] = field(default_factory=dict)
    """Edit of [edit] -> what it takes out, the most lines first."""
    cuts: dict[str, CutCounts]
    """Step -> what it takes out of texts."""
    clean: CleanText
    tokenizer: Mapping[str, Any] | None = field(default=None, metadata=OPTIONAL)
    """tokenizer/report.json, once there is one."""
    tokens: int
    """In all splits of the shards; 0 before there are any."""
    shards: dict[str, Mapping[str, Any]] | None = field(default=None, metadata=OPTIONAL)
    """Split -> its entry in shards/manifest.json, without its list of files."""
    train: Mapping[str, Any] | None = field(default=None, metadata=OPTIONAL)
    """train/result.json, and the CPU seconds of the stage."""

    def strictest_rules(self, count: int) -> list[tuple[str, int]]:
        """The rules that dropped most pages, whatever their stage: ("quality.words.min", documents)."""
        failed = [
            (f"{stage.name}.{rule}", counts.failed)
            for stage in self.stages
            for rule, counts in stage.rules.items()
            if rule not in NOT_PAGES
        ]
        return sorted(failed, key=lambda entry: (-entry[1], entry[0]))[:count]


def stats(run: Run) -> Stats:
    """The account of a run, finished or not."""
    seconds = run.seconds()
    dropping = [_dropping_stage(run, name, step, seconds[name]) for name, step in run.deciders.items()]
    first, last = dropping[0], dropping[-1]
    no_pages = sum(first.rules[rule].failed for rule in NOT_PAGES if rule in first.rules)
    clean_files = [run.file(CLEAN, part) for part in run.done_parts(CLEAN)]
    clean = CleanText(
        documents=sum(rows_in(file) for file in clean_files),
        bytes=sum(_text_bytes(file) for file in clean_files),
        folder=str(run.root / "clean"),
    )
    splits = _read_json(run.root / "shards" / "manifest.json")["splits"] if run.is_done(SHARDS) else None
    train = _read_json(run.root / "train" / "result.json") if run.is_done(TRAIN) else None
    return Stats(
        run=str(run.root),
        input=first.entered,
        changed=tuple(str(run.root / name) for step in run.steps for name in run.changed(step)),
        pages=first.entered - no_pages,
        revisits=find_revisits(run) if "revisit" in first.rules else None,
        kept=last.kept,
        records=_value_counts(run, EXTRACT, "record_type"),
        stages=(*dropping, *_making_stages(run, clean.documents, seconds)),
        outdated=tuple(run.outdated_products()),
        languages=_languages(run),
        edits=_edits(run),
        cuts={step.name: _cuts(run, step) for step in cut_steps(run.config)},
        clean=clean,
        tokenizer=_read_json(run.root / "tokenizer" / "report.json") if run.is_done(TOKENIZER) else None,
        tokens=sum(split["tokens"] for split in splits.values()) if splits else 0,
        shards=splits and {name: _without_files(split) for name, split in splits.items()},
        train=train and {**train, "seconds": seconds["train"]},
    )


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _without_files(split: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in split.items() if name != "shards"}


def _dropping_stage(run: Run, name: str, step: Step, seconds: float) -> Stage:
    parts = run.done_parts(step)
    meanings = signal_meanings(run.config)
    entered = stayed = 0
    failed: dict[str, int] = {}
    only: dict[str, int] = {}
    for part in parts:
        dropped = read(run.file(step, part), ["dropped"])["dropped"].combine_chunks()
        entered += len(dropped) - dropped.null_count
        stayed += int(pc.sum(kept(dropped)).as_py() or 0)
        _count(failed, pc.list_flatten(dropped))
        _count(only, pc.list_flatten(dropped.filter(pc.fill_null(pc.equal(pc.list_value_length(dropped), 1), False))))
    return Stage(
        name=name,
        entered=entered,
        kept=stayed,
        dropped=entered - stayed,
        rules={
            rule: RuleCounts(
                failed=count,
                only=only.get(rule, 0),
                bound=bound_of(run, name, rule),
                meaning=meaning_of(run, name, rule, meanings),
            )
            for rule, count in _by_count(failed).items()
        },
        bounds=_bounds_of_shares(run) if step is QUALITY_DECIDE else (),
        seconds=round(seconds, 3),
        parts=_part_counts(run, step),
    )


def _part_counts(run: Run, step: Step) -> PartCounts:
    return PartCounts(done=len(run.done_parts(step)), total=len(run.parts), outdated=run.outdated_parts(step))


def _bounds_of_shares(run: Run) -> tuple[Bound, ...]:
    done = run.done_parts(SHARES)
    return tuple(read_bounds(run.file(SHARES, done[0]))) if done else ()  # each part's file has all of them


def _making_stages(run: Run, clean_documents: int, seconds: Mapping[str, float]) -> list[Stage]:
    """The stages that make a product, and drop nothing."""
    stages = []
    for step in run.steps:
        waits = [other for other in (step, *step.reads) if other.needed(run.config) and not run.is_done(other)]
        if step.documents is None or (step.whole and waits):
            continue
        parts = PartCounts(done=1, total=1)
        if not step.whole:
            parts = _part_counts(run, step)
        documents = clean_documents if step is CLEAN else step.documents(run.run_files(step))
        stages.append(
            Stage(
                name=step.name,
                entered=documents,
                kept=documents,
                dropped=0,
                rules={},
                seconds=round(seconds[stage_of(step)], 3),
                parts=parts,
            )
        )
    return stages


def _count(totals: dict[str, int], values: pa.Array) -> None:
    for entry in values.value_counts().to_pylist():
        totals[str(entry["values"])] = totals.get(str(entry["values"]), 0) + entry["counts"]


def _by_count(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _value_counts(run: Run, step: Step, column: str) -> dict[str, int]:
    totals: dict[str, int] = {}
    for part in run.done_parts(step):
        _count(totals, read(run.file(step, part), [column])[column].combine_chunks())
    return _by_count(totals)


def _languages(run: Run) -> dict[str, LanguageCounts]:
    entered: dict[str, int] = {}
    stayed: dict[str, int] = {}
    low: dict[str, int] = {}
    lost = {part.index for step in (LANGUAGE, LANGUAGE_DECIDE) for part in run.pending_parts(step)}
    for part in run.done_parts(QUALITY_DECIDE):
        if part.index in lost:
            continue
        labels = read(run.file(LANGUAGE, part), ["language"])["language"].combine_chunks()
        _count(entered, labels.drop_null())
        _count(stayed, labels.filter(kept(read(run.file(QUALITY_DECIDE, part), ["dropped"])["dropped"])))
        dropped = read(run.file(LANGUAGE_DECIDE, part), ["dropped"])["dropped"].combine_chunks()
        only_score = pc.equal(pc.binary_join(dropped, "+"), "min_score")  # not of a language that is not kept
        _count(low, labels.filter(pc.fill_null(only_score, False)))
    return {
        code: LanguageCounts(entered=count, kept=stayed.get(code, 0), low_score=low.get(code, 0))
        for code, count in _by_count(entered).items()
    }


def _text_bytes(path: Path) -> int:
    text = read(path, ["text"])["text"]
    return int(pc.sum(pc.binary_length(text)).as_py() or 0)


def _cuts(run: Run, step: Step) -> CutCounts:
    documents = places = size = 0
    for part in run.done_parts(step):
        column = read(run.file(step, part), ["cuts"])["cuts"].combine_chunks()
        spans = column.flatten()
        documents += pc.sum(pc.greater(pc.list_value_length(column), 0)).as_py() or 0
        places += len(spans)
        size += pc.sum(pc.subtract(spans.field("end"), spans.field("start"))).as_py() or 0
    return CutCounts(documents=documents, places=places, bytes=size)


def _edits(run: Run) -> dict[str, EditCounts]:
    """What the edits took out, from the ledger."""
    if not run.config.edits:
        return {}
    names = (*run.config.edit.reasons, *run.config.edit.functions)
    totals = {name: [0, 0, 0] for name in names}
    for part in run.done_parts(EDIT):
        columns = [f"removed_{unit}.{name}" for name in names for unit in ("lines", "words")]
        table = read(run.file(EDIT, part), columns)
        for name, counts in totals.items():
            lines, words = (table[f"removed_{unit}.{name}"] for unit in ("lines", "words"))
            touched = pc.greater(pc.add(lines, words), 0)
            for index, column in enumerate((touched, lines, words)):
                counts[index] += pc.sum(column).as_py() or 0
    ranked = sorted(totals.items(), key=lambda entry: (-entry[1][1], -entry[1][2], entry[0]))
    return {name: EditCounts(documents=counts[0], lines=counts[1], words=counts[2]) for name, counts in ranked}
