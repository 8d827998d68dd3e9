"""One document: every number that a run has on it, the rules it fails, and its place in the products."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.core.ledger import Part
from pipeline.core.part import Origins
from pipeline.core.plain_values import OPTIONAL
from pipeline.core.step import Step
from pipeline.errors import UserError
from pipeline.extract.inputs.forms import form_of
from pipeline.extract.inputs.sources import raw_bytes
from pipeline.filters.rules import Reason
from pipeline.report.rows import Row, find, row_of, texts_of
from pipeline.report.tokens import TokenPlace
from pipeline.run.run import Run
from pipeline.run.steps import cut_steps, stage_of
from pipeline.stages.clean import CLEAN
from pipeline.stages.edit import EDIT
from pipeline.stages.extract import EXTRACT
from pipeline.stages.shards import SHARDS

NOT_SHOWN = ("dropped", "cuts", "text")
"""Columns of a step that are left out of the values of its stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the extract stage has on a record: the columns of ledger/extract, and where the record is."""

    id: str
    record_type: str
    url: str | None
    date: str | None
    offset: int
    """First byte in the archive."""
    length: int
    """Bytes in the archive."""
    inner_offset: int
    """Place in the decompressed gzip member; 0 unless a member holds several records."""
    http_status: int | None
    content_type: str | None
    encoding: str | None
    declared_encoding: str | None
    encoding_from: str | None
    """What the encoding was decided by."""
    title: str | None
    published: str | None
    text: str | None
    """As it was extracted."""
    text_from: list[str] | None
    """Where the text is from: "page", "noscript", "json-ld", "preloaded"."""
    html_bytes: int | None
    dropped: list[str] | None
    """Reasons of the extract stage."""
    refers_to: str | None
    """Of a revisit: date and URL of the record that has the page, or its URL alone."""
    detail: str | None
    """More on a reason."""
    file: str
    """The archive."""
    row: int
    """Place of the record in the archive; in its part, until the file's earlier parts are extracted."""
    kept: dict[str, str | None]
    """Columns of the input that `input.keep_columns` names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRule:
    """A rule that a document fails."""

    rule: str
    """Such as "quality.words.min"."""
    value: Any
    """What the rule saw; None where there is no value."""
    bound: str | None
    """Such as "min = 50"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a stage has on a document, and what it decided."""

    name: str
    values: Mapping[str, Any]
    """Signals and other columns of the stage's steps; those of edited text begin with "edited."."""
    dropped: list[FailedRule] | None
    """The rules it fails, none where it is kept; None where an earlier stage has dropped it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedLine:
    """A line that a line edit removed or changed."""

    rule: str
    line: str
    """Before the edit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What the edits did to a document."""

    text: str
    """What they have left."""
    removed: tuple[RemovedLine, ...]
    """What the line edits took out. What functions of plugins took out is counted in the values of the quality stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A span that a step takes out of the text so far."""

    rule: str
    """The step."""
    start: int
    """First byte of the text's UTF-8."""
    end: int
    """Byte behind the last."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlace:
    """Where a document's tokens are: its row of shards/documents.parquet."""

    split: str
    start: int
    """Position of its first token in the split."""
    length: int
    """Tokens, with the end-of-text."""
    id: str
    file: int
    """Number of its input file."""
    row: int
    """Its row in that file."""
    bytes: int
    """UTF-8 bytes of its text."""
    language: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """All that a run knows of one document."""

    record: Record
    stages: list[Verdict]
    """In order, as far as the run has come."""
    edit: Edited | None
    """None where nothing is edited, or the edits have not come to it."""
    cuts: list[Cut]
    """What the steps that cut within texts take out, in the order of the text."""
    clean: str | None
    """Its file in clean/, where it is kept."""
    shards: ShardPlace | None
    token: TokenPlace | None = field(default=None, metadata=OPTIONAL)
    """The token that was asked for."""


def why(run: Run, url_or_id: str) -> list[Why]:
    """All that the run knows of the documents with this URL or id."""
    return [why_row(run, part, row) for part, row in find(run, url_or_id)]


def why_row(run: Run, part: Part, row: int, token: TokenPlace | None = None) -> Why:
    """All that the run knows of a row of its ledger. IndexError where the part has no such row."""
    extracted = row_of(run, EXTRACT, part, row)
    if extracted is None:
        raise UserError(f"{run.root}: has not extracted {part.title}; run it again first")
    before = [other for other in run.parts_of_file[part.pieces[0].file] if other.index < part.index]
    first_row = run.first_row(part) if all(run.is_done(EXTRACT, other) for other in before) else 0
    piece, row_in_file = Origins.of(part, run.file(EXTRACT, part), first_row).place(row)
    stages = _verdicts(run, part, row, extracted)
    clean = shards = None
    if run.is_done(CLEAN, part) and len(stages) == len(run.deciders) and stages[-1].dropped == []:
        clean = str(run.file(CLEAN, part))
        shards = _shard_place(run, extracted["id"], piece.file, row_in_file) if run.is_done(SHARDS) else None
    return Why(
        record=Record(
            **{name: value for name, value in extracted.items() if name not in run.config.input.kept},
            kept=_kept(run, extracted),
            file=piece.path,
            row=row_in_file,
        ),
        stages=stages,
        edit=_edited(run, part, row, extracted),
        cuts=_cuts(run, part, row),
        clean=clean,
        shards=shards,
        token=token,
    )


def why_token(run: Run, place: TokenPlace) -> Why:
    """All that the run knows of the document that a token of its shards comes from."""
    part, row = run.locate(place.document.file, place.document.row)
    return why_row(run, part, row, place)


def raw_record(document: Why, directory: Path | None = None) -> bytes:
    """The bytes of a record as they are in its archive: this range alone is a whole gzip member, record or line.

    A relative path of the archive is looked up in `directory`, such as `Run.directory`, and then in the current directory.
    """
    record = document.record
    there = directory / record.file if directory else None
    path = str(there) if there and form_of(record.file) != "dataset" and there.is_file() else record.file
    return raw_bytes(path, record.offset, record.length)


def _verdicts(run: Run, part: Part, row: int, extracted: Row) -> list[Verdict]:
    verdicts: list[Verdict] = []
    measured: dict[str, Any] = {}
    for name, decider in run.deciders.items():
        decided = row_of(run, decider, part, row)
        if decided is None:
            break  # the run has not come so far
        values: dict[str, Any] = {}
        for step in run.steps:
            if stage_of(step) == name and step.shows:
                columns = row_of(run, step, part, row) or {}
                values |= {f"{step.prefix}{key}": value for key, value in columns.items() if key not in NOT_SHOWN}
        measured |= values
        known = {**(extracted if stage_of(EXTRACT) == name else _kept(run, extracted)), **measured, **decided}
        rules = decided["dropped"]
        failed = None if rules is None else [_explain(run, part, name, decider, rule, known) for rule in rules]
        verdicts.append(Verdict(name=name, values=values, dropped=failed))
    return verdicts


def _kept(run: Run, extracted: Row) -> dict[str, str | None]:
    """The kept columns of the input."""
    return {name: extracted[name] for name in run.config.input.kept}


def _explain(run: Run, part: Part, stage: str, decider: Step, rule: str, row: Row) -> FailedRule:
    """A failing rule with its value and bound, as the step that dropped the row explains it."""
    assert decider.drops is not None

    def file(step: Step) -> Path | None:
        return run.file(step, part) if run.is_done(step, part) else None

    failing = decider.drops(rule, row, run.options[decider.name], file)
    return FailedRule(rule=str(Reason.of(stage, rule)), value=failing.value, bound=failing.bound)


def _shard_place(run: Run, document: str, file: int, row: int) -> ShardPlace | None:
    table = run.root / "shards" / "documents.parquet"
    same = [("id", "==", document), ("file", "==", file), ("row", "==", row)]
    rows = pq.read_table(table, filters=same).to_pylist()
    return ShardPlace(**rows[0]) if rows else None


def _edited(run: Run, part: Part, row: int, extracted: Row) -> Edited | None:
    edited = row_of(run, EDIT, part, row)
    if edited is None or edited["words"] is None:
        return None
    from pipeline.filters.edits import removed_lines

    lines = removed_lines(extracted["text"], run.config.edit)
    removed = tuple(RemovedLine(rule=rule, line=line) for rule, line in lines)
    return Edited(text=extracted["text"] if edited["text"] is None else edited["text"], removed=removed)


def _cuts(run: Run, part: Part, row: int) -> list[Cut]:
    spans: list[tuple[int, int, str]] = []
    for step in cut_steps(run.config):
        columns = row_of(run, step, part, row) or {}
        spans += [(span["start"], span["end"], step.name) for span in columns.get("cuts") or ()]
    text = (texts_of(run, part, [row])[0] or "").encode() if spans else b""
    spans.sort(key=lambda span: span[:2])
    return [Cut(rule=rule, start=start, end=end, text=text[start:end].decode()) for start, end, rule in spans]
