"""One document's whole story, and a look at what a rule removed or kept."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

from pipeline.config import Range
from pipeline.core.ledger import Part, kept, read
from pipeline.core.progress import safe
from pipeline.errors import UserError, did_you_mean
from pipeline.extract.inputs.sources import raw_bytes
from pipeline.report.stats import decisions
from pipeline.run.run import STEP, Run
from pipeline.stages.decide import read_bounds

SNIPPET = 300  # characters
LINES = 20  # of those an edit removed


def find(run: Run, url_or_id: str) -> list[tuple[Part, int]]:
    """Every row (part, row) of the ledger with this URL or document id."""
    places = []
    for part in run.done_parts("extract"):
        table = read(run.file("extract", part), ["id", "url"])
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
    record = row_of(run, "extract", part, row)
    assert record is not None
    place = row + run.first_row(part) if all(run.is_done(STEP["extract"], p) for p in run.parts[: part.index]) else row
    stages: list[dict[str, Any]] = []
    label: str | None = None
    sources = {"extract": "extract", "language": "language", "quality": "quality", "duplicates": "duplicates"}
    for name, step in sources.items():
        values = record if name == "extract" else row_of(run, step, part, row)
        decided = row_of(run, decisions(run.config)[name], part, row)
        if values is None or decided is None:
            break  # the run has not come so far
        label = values.get("language", label)
        if name == "quality" and run.config.edits:
            edited = row_of(run, "quality.edit", part, row) or {}
            values = values | {f"edited.{key}": value for key, value in edited.items() if key != "text"}
        for wanted in ("quality.scores", "quality.contamination") if name == "quality" else ():
            values = values | (row_of(run, wanted, part, row) or {})
        dropped = decided["dropped"]
        shown = {key: value for key, value in values.items() if key not in ("dropped", "cuts") and name != "extract"}
        failing = (
            None if dropped is None else [_explain(run, part, name, rule, values | decided, label) for rule in dropped]
        )
        stages.append({"name": name, "values": shown, "dropped": failing})
    told: dict[str, Any] = {
        "record": record | {"file": part.path, "row": place},
        "stages": stages,
        "edit": edit_of(run, part, row, record),
        "cuts": cuts_of(run, part, row),
        "clean": None,
        "shards": None,
    }
    if run.is_done(STEP["clean"], part) and stages[-1]["name"] == "duplicates" and stages[-1]["dropped"] == []:
        told["clean"] = str(run.file("clean", part))
        if run.is_done(STEP["shards"]):
            table = run.root / "shards" / "documents.parquet"
            found = pq.read_table(table, filters=[("id", "==", record["id"]), ("row", "==", place)]).to_pylist()
            told["shards"] = found[0] if found else None
    return told


def edit_of(run: Run, part: Part, row: int, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The text that the edits have left of a row, and the lines they removed or changed; None where they have not seen it."""
    edited = row_of(run, "quality.edit", part, row)
    if edited is None or edited["words"] is None:
        return None
    from pipeline.filters.edits import LineRules, removed_lines

    rules = LineRules(**run.config.edit.line_rules())
    removed = [{"rule": rule, "line": line} for rule, line in removed_lines(record["text"], rules)]
    return {"text": record["text"] if edited["text"] is None else edited["text"], "removed": removed}


def cuts_of(run: Run, part: Part, row: int) -> list[dict[str, Any]]:
    """What each family of duplicates within texts cuts out of a row, in the order of the text."""
    found = []
    for family in run.config.cuts:
        values = row_of(run, f"duplicates.{family}", part, row) or {}
        found += [{"rule": f"duplicates.{family}", **cut} for cut in values.get("cuts") or ()]
    text = (text_of(run, part, row) or "").encode() if found else b""
    for cut in found:
        cut["text"] = text[cut["start"] : cut["end"]].decode()
    return sorted(found, key=lambda cut: (cut["start"], cut["end"]))


def text_of(run: Run, part: Part, row: int) -> str | None:
    """The text so far: what the edits have left, or what was extracted."""
    found = (row_of(run, step, part, row) for step in ("quality.edit", "extract"))
    return next((str(values["text"]) for values in found if values and values["text"] is not None), None)


def row_of(run: Run, step: str, part: Part, row: int) -> dict[str, Any] | None:
    """All columns of one row of a step; None where the step has not done the part."""
    if not run.is_done(STEP[step], part):
        return None
    with pq.ParquetFile(run.file(step, part)) as file:
        for index in range(file.num_row_groups):
            count = file.metadata.row_group(index).num_rows
            if row < count:
                values: dict[str, Any] = file.read_row_group(index).slice(row, 1).to_pylist()[0]
                return values
            row -= count
    raise IndexError(f"{step} of {part.path} has no row {row}")


def _bound_found(run: Run, part: Part, rule: str, language: str | None) -> str:
    """What a share came to for a document's language."""
    if not run.is_done(STEP["quality.bounds"], part):
        return ""
    for bound in read_bounds(run.file("quality.bounds", part)):
        if bound.rule == rule and bound.language in (None, language):
            whose = f"{bound.language} " if bound.language else ""
            return f": bound {bound.value:.4g} among {bound.documents:,} {whose}documents"
    return ""


def _explain(
    run: Run, part: Part, stage: str, rule: str, values: Mapping[str, Any], language: str | None
) -> dict[str, Any]:
    """A failing rule with the value it saw and the bound it has."""
    config = run.config
    if stage == "quality" and rule != "crashed":
        if rule == "contamination":
            held = values["contaminated_by"] or []
            return {
                "rule": "quality.contamination",
                "value": values["contamination"],
                "bound": f"of {held[0]['item']}" if held else None,
            }
        signal, _, side = rule.rpartition(".")
        bound = getattr(_range(run, signal) or Range(), side)
        more = _bound_found(run, part, rule, language)
        return {"rule": f"quality.{rule}", "value": values[signal], "bound": f"{side} = {bound:g}{more}"}
    if stage == "language" and rule == "keep":
        return {
            "rule": "language.keep",
            "value": values["language"],
            "bound": f"keep = {', '.join(config.language.keep or ())}",
        }
    if stage == "language" and rule == "min_score":
        return {
            "rule": "language.min_score",
            "value": values["language_score"],
            "bound": f"min_score = {config.language.min_score:g}",
        }
    if stage == "duplicates" and rule in config.cuts:
        options = config.duplicates
        sentences = f" and min_sentences = {options.min_sentences}" if options.min_sentences else ""
        left = f"what is left has not min_words = {options.min_words}{sentences}"
        if rule == "contamination":
            pieces, characters = config.decontaminate.max_pieces, config.decontaminate.min_characters
            left += f"; more than {pieces} pieces go, and those of fewer than {characters} characters"
        return {"rule": f"duplicates.{rule}", "value": None, "bound": left}
    if stage == "duplicates" and rule != "crashed":
        similarity = values["similarity"]
        alike = "" if similarity is None else f"similarity {similarity:.3f}, "
        keep = f"kept by {', '.join(config.duplicates.keep)}"
        return {"rule": f"duplicates.{rule}", "value": values["cluster"], "bound": alike + keep}
    if rule == "url_duplicate":
        return {"rule": f"{stage}.{rule}", "value": values["kept"], "bound": f"duplicates = {config.url.duplicates}"}
    return {"rule": f"{stage}.{rule}", "value": values.get("detail"), "bound": None}


def _range(run: Run, signal: str) -> Range | None:
    """What the config keeps of a signal, of the edited text ("edited.words") or of the extracted one."""
    if signal.startswith("edited."):
        return run.config.edited.get(signal.removeprefix("edited."))
    return run.config.quality.get(signal)


def show_story(run: Run, told: Mapping[str, Any], console: Console) -> None:
    """A story on the terminal."""
    record = told["record"]

    def line(name: str, text: Any) -> None:
        console.print(f"  {name:<33} {safe(str(text))}", highlight=False, soft_wrap=True)

    console.print(f"[bold]{safe(str(record['url']))}[/]", highlight=False, soft_wrap=True)
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
        ruled = {failing["rule"].partition(".")[2].rpartition(".")[0] for failing in stage["dropped"]}
        for name, value in stage["values"].items():
            if name not in ruled and value is not None:
                bounds = _range(run, name) if stage["name"] == "quality" else None
                line(name, _number(value) + (f"   ({_bounds(bounds)})" if bounds else ""))
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


def _bounds(bounds: Range) -> str:
    return ", ".join(
        f"{name} {value:g}"
        for name, value in bounds.model_dump(exclude_none=True, exclude={"languages", "by", "seed"}).items()
    )


def sample(run: Run, dropped_by: str | None, count: int) -> Iterator[tuple[Part, int]]:
    """`count` rows a rule dropped (or that are kept): a fixed choice by the hash of their ids, so that it can be shown again.

    `dropped_by` is a stage ("quality"), a signal ("quality.words") or a rule ("quality.words.min").
    """
    chosen: list[tuple[bytes, int, int]] = []
    seen: set[str] = set()
    steps = decisions(run.config)
    stages = list(steps) if dropped_by else ["duplicates"]
    for part in run.done_parts("extract"):
        ids = read(run.file("extract", part), ["id"])["id"]
        for stage in stages:
            if not run.is_done(STEP[steps[stage]], part):
                continue
            dropped = read(run.file(steps[stage], part), ["dropped"])["dropped"].combine_chunks()
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
    names = {str(rule): f"{stage}.{rule}" for rule in rules.unique().to_pylist()}
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
