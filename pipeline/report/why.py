"""One document's whole story, and a look at what a rule removed or kept."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

from pipeline.core.ledger import Part, kept, read
from pipeline.core.progress import safe
from pipeline.core.step import Step
from pipeline.errors import UserError, did_you_mean
from pipeline.extract.inputs.sources import raw_bytes
from pipeline.filters.rules import Reason
from pipeline.run.run import Run
from pipeline.run.steps import cut_steps, layers_of, stage_of
from pipeline.stages.clean import CLEAN
from pipeline.stages.duplicates.verify import DOCUMENTS
from pipeline.stages.edit import EDIT
from pipeline.stages.extract import EXTRACT
from pipeline.stages.shards import SHARDS

SNIPPET = 300  # characters
LINES = 20  # of those an edit removed
NOT_SHOWN = ("dropped", "cuts", "text")


def find(run: Run, url_or_id: str) -> list[tuple[Part, int]]:
    """Every row (part, row) of the ledger with this URL or document id."""
    places = []
    for part in run.done_parts(EXTRACT):
        table = read(run.file(EXTRACT, part), ["id", "url"])
        same = pc.or_kleene(pc.equal(table["id"], url_or_id), pc.equal(table["url"], url_or_id))
        places += [(part, row) for row in pc.indices_nonzero(pc.fill_null(same, False)).to_pylist()]
    return places


def story(run: Run, part: Part, row: int) -> dict[str, Any]:
    """All that the ledger knows of a row: one entry a stage, and its place in clean/ and the shards.

    `{"record": {...}, "stages": [{"name", "values": {...}, "dropped": [{"rule", "value", "bound"}] | None}], "edit":
    {"text", "removed": [{"rule", "line"}]} | None, "cuts": [{"rule", "start", "end", "text"}], "clean", "shards"}`;
    `dropped` is None once an earlier stage has dropped the row, and "edit" where nothing is edited; the cuts' bytes are
    those of the text so far.
    """
    record = row_of(run, EXTRACT, part, row)
    assert record is not None
    place = row + run.first_row(part) if all(run.is_done(EXTRACT, p) for p in run.parts[: part.index]) else row
    stages: list[dict[str, Any]] = []
    seen: dict[str, Any] = {}
    for name, decider in run.deciders.items():
        decided = row_of(run, decider, part, row)
        if decided is None:
            break  # the run has not come so far
        shown: dict[str, Any] = {}
        for step in run.steps:
            if stage_of(step) == name and step.shows:
                values = row_of(run, step, part, row) or {}
                shown |= {f"{step.prefix}{key}": value for key, value in values.items() if key not in NOT_SHOWN}
        seen |= shown
        known = (record if stage_of(EXTRACT) == name else {}) | seen | decided
        dropped = decided["dropped"]
        failing = None if dropped is None else [_explain(run, part, name, decider, rule, known) for rule in dropped]
        stages.append({"name": name, "values": shown, "dropped": failing})
    told: dict[str, Any] = {
        "record": record | {"file": part.path, "row": place},
        "stages": stages,
        "edit": edit_of(run, part, row, record),
        "cuts": cuts_of(run, part, row),
        "clean": None,
        "shards": None,
    }
    if run.is_done(CLEAN, part) and len(stages) == len(run.deciders) and stages[-1]["dropped"] == []:
        told["clean"] = str(run.file(CLEAN, part))
        if run.is_done(SHARDS):
            table = run.root / "shards" / "documents.parquet"
            found = pq.read_table(table, filters=[("id", "==", record["id"]), ("row", "==", place)]).to_pylist()
            told["shards"] = found[0] if found else None
    return told


def edit_of(run: Run, part: Part, row: int, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The text that the edits have left of a row, and the lines they removed or changed; None where they have not seen it."""
    edited = row_of(run, EDIT, part, row)
    if edited is None or edited["words"] is None:
        return None
    from pipeline.filters.edits import removed_lines

    removed = [{"rule": rule, "line": line} for rule, line in removed_lines(record["text"], run.config.edit)]
    return {"text": record["text"] if edited["text"] is None else edited["text"], "removed": removed}


def cuts_of(run: Run, part: Part, row: int) -> list[dict[str, Any]]:
    """What each family of duplicates within texts cuts out of a row, in the order of the text."""
    found = []
    for step in cut_steps(run.config):
        values = row_of(run, step, part, row) or {}
        found += [{"rule": step.name, **cut} for cut in values.get("cuts") or ()]
    text = (text_of(run, part, row) or "").encode() if found else b""
    for cut in found:
        cut["text"] = text[cut["start"] : cut["end"]].decode()
    return sorted(found, key=lambda cut: (cut["start"], cut["end"]))


def text_of(run: Run, part: Part, row: int) -> str | None:
    """The text so far: what the edits have left, or what was extracted."""
    found = (row_of(run, step, part, row) for step in layers_of(DOCUMENTS, run.config))
    return next((str(values["text"]) for values in found if values and values["text"] is not None), None)


def row_of(run: Run, step: Step, part: Part, row: int) -> dict[str, Any] | None:
    """All columns of one row of a step; None where the step has not done the part."""
    if not run.is_done(step, part):
        return None
    with pq.ParquetFile(run.file(step, part)) as file:
        for index in range(file.num_row_groups):
            count = file.metadata.row_group(index).num_rows
            if row < count:
                values: dict[str, Any] = file.read_row_group(index).slice(row, 1).to_pylist()[0]
                return values
            row -= count
    raise IndexError(f"{step.name} of {part.path} has no such row")


def _explain(run: Run, part: Part, stage: str, decider: Step, rule: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A failing rule with the value it saw and the bound it has: as the step that dropped the row explains it."""
    assert decider.drops is not None

    def file(step: Step) -> Path | None:
        return run.file(step, part) if run.is_done(step, part) else None

    failing = decider.drops(rule, row, run.options[decider.name], file)
    return {"rule": str(Reason.of(stage, rule)), "value": failing.value, "bound": failing.bound}


def show_story(run: Run, told: Mapping[str, Any], console: Console) -> None:
    """A story on the terminal."""
    record = told["record"]

    def line(name: str, text: Any) -> None:
        console.print(f"  {name:<33} {safe(str(text))}", highlight=False, soft_wrap=True)

    console.print(f"[bold]{safe(str(record['url'] or record['id']))}[/]", highlight=False, soft_wrap=True)
    line("id", record["id"])
    line(
        "archive",
        f"{record['file']}, bytes {record['offset']:,} to {record['offset'] + record['length']:,} (record {record['row']:,})",
    )
    line("record", f"{record['record_type']}, {record['date']}, HTTP {record['http_status']}, {record['content_type']}")
    if record["encoding"] is not None:
        line("encoding", f"{record['encoding']} (declared {record['declared_encoding']}; by {record['encoding_from']})")
    line("title", record["title"])
    if record["published"] is not None:
        line("published", record["published"])
    if record["text"] is not None:
        line("text", f"{len(record['text']):,} characters: {record['text'][:SNIPPET]!r}")
    for stage in told["stages"]:
        if stage["dropped"] is None:
            continue
        verdict = "[green]kept[/]" if not stage["dropped"] else "[red]dropped[/]"
        console.print(f"[bold]{stage['name']}[/]: {verdict}")
        for failing in stage["dropped"]:
            value = "" if failing["value"] is None else f" = {_number(failing['value'])}"
            bound = "" if failing["bound"] is None else f"   ({failing['bound']})"
            console.print(f"  [red]✗[/] {safe(failing['rule'] + value + bound)}", highlight=False, soft_wrap=True)
        failed = {Reason.parse(failing["rule"]).signal for failing in stage["dropped"]}
        rules = {rule.signal: rule for rule in run.config.rules} if stage["name"] == "quality" else {}
        for name, value in stage["values"].items():
            if name not in failed and value is not None:
                limits = (
                    ", ".join(f"{limit} {bound:g}" for limit, bound in rules[name].limits()) if name in rules else ""
                )
                line(name, _number(value) + (f"   ({limits})" if limits else ""))
        if stage["name"] == "quality" and told["edit"]:
            _show_edit(told["edit"], console)
        if stage["name"] == "duplicates" and told["cuts"]:
            _show_cuts(told["cuts"], console)
    if told["clean"]:
        console.print("[bold]products[/]")
        line("clean", told["clean"])
    if place := told["shards"]:
        line("shards", f"{place['split']} tokens {place['start']:,} to {place['start'] + place['length']:,}")


def _show_edit(edit: Mapping[str, Any], console: Console) -> None:
    console.print(
        f"[bold]edit[/]: {len(edit['removed'])} lines removed or changed, {len(edit['text']):,} characters left"
    )
    for gone in edit["removed"][:LINES]:
        text = safe(gone["line"].strip())
        console.print(f"  [red]-[/] {gone['rule']:<31} {text}", highlight=False, soft_wrap=True)
    if len(edit["removed"]) > LINES:
        console.print(f"    … {len(edit['removed']) - LINES:,} more (--json has all)", highlight=False)


def _show_cuts(cuts: Sequence[Mapping[str, Any]], console: Console) -> None:
    console.print(f"[bold]cuts[/]: {len(cuts)} places, each by the rule named", highlight=False)
    for cut in cuts[:LINES]:
        text = " ".join(cut["text"].split())
        shown = safe(f"{cut['start']:,}-{cut['end']:,}  {text[:SNIPPET]}{'…' if len(text) > SNIPPET else ''}")
        console.print(f"  [red]-[/] {cut['rule']:<31} {shown}", highlight=False, soft_wrap=True)
    if len(cuts) > LINES:
        console.print(f"    … {len(cuts) - LINES:,} more (--json has all)", highlight=False)


def _number(value: Any) -> str:
    if isinstance(value, list):  # evaluation items
        return ", ".join(f"{held['item']} ({held['share']:.0%})" for held in value) or "nothing"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)


def sample(run: Run, dropped_by: str | None, count: int) -> Iterator[tuple[Part, int]]:
    """`count` rows a rule dropped (or that are kept): a fixed choice by the hash of their ids, so that it can be shown again.

    `dropped_by` is a stage ("quality"), a signal ("quality.words") or a rule ("quality.words.min").
    """
    chosen: list[tuple[bytes, int, int]] = []
    seen: set[str] = set()
    stages = list(run.deciders) if dropped_by else list(run.deciders)[-1:]
    for part in run.done_parts(EXTRACT):
        ids = read(run.file(EXTRACT, part), ["id"])["id"]
        for stage in stages:
            step = run.deciders[stage]
            if not run.is_done(step, part):
                continue
            dropped = read(run.file(step, part), ["dropped"])["dropped"].combine_chunks()
            if dropped_by is None:
                rows = pc.indices_nonzero(kept(dropped)).to_pylist()
            else:
                rows = _rows_dropped(dropped, stage, dropped_by, seen)
            chosen += [(hashlib.blake2b(str(ids[row]).encode()).digest(), part.index, row) for row in rows]
            chosen = sorted(set(chosen))[:count]
    if dropped_by and not chosen:
        raise UserError(
            f"--dropped-by {dropped_by}: dropped nothing in this run{did_you_mean(dropped_by, sorted(seen))}; "
            f"rules that did: {', '.join(sorted(seen)) or 'none'}"
        )
    for _, index, row in chosen:
        yield run.parts[index], row


def _rows_dropped(dropped: pa.ListArray, stage: str, wanted: str, seen: set[str]) -> list[int]:
    rules = pc.list_flatten(dropped)
    parents = pc.list_parent_indices(dropped)
    names = {str(rule): str(Reason.of(stage, rule)) for rule in rules.unique().to_pylist()}
    seen.update(names.values())
    matching = [
        rule
        for rule, full in names.items()
        if f"{full}.".startswith(f"{wanted}.") or f"{rule}.".startswith(f"{wanted}.")
    ]
    found: list[int] = parents.filter(pc.is_in(rules, pa.array(matching, pa.string()))).to_pylist()
    return found


def raw_record(told: Mapping[str, Any]) -> bytes:
    """The bytes of a record in its archive, as they lie there: the range alone is a whole gzip member, record or line."""
    record = told["record"]
    return raw_bytes(record["file"], record["offset"], record["length"])


def show_sample(run: Run, part: Part, row: int, console: Console) -> None:
    """A document in a few lines: where it is from, why it was dropped, how its text begins."""
    told = story(run, part, row)
    record = told["record"]
    console.print(f"[bold]{safe(str(record['url']))}[/]   {safe(str(record['id']))}", highlight=False, soft_wrap=True)
    for stage in told["stages"]:
        for failing in stage["dropped"] or []:
            value = "" if failing["value"] is None else f" = {_number(failing['value'])}"
            bound = "" if failing["bound"] is None else f"   ({failing['bound']})"
            console.print(f"  [red]✗[/] {safe(failing['rule'] + value + bound)}", highlight=False, soft_wrap=True)
    text = " ".join((told["edit"] or record)["text"].split()) if record["text"] else ""
    console.print(f"  {safe(text[:SNIPPET])}{'…' if len(text) > SNIPPET else ''}\n", highlight=False, soft_wrap=True)
