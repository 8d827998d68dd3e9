"""Two runs over the same records: which documents they decide differently, and by which rules."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from pipeline.core.ledger import DROPPED, read
from pipeline.core.progress import safe
from pipeline.errors import UserError
from pipeline.run.run import Run
from pipeline.stages.extract import EXTRACT

EXAMPLES = 5


def verdicts(run: Run) -> Iterator[tuple[str, pa.Table]]:
    """For each part its name, and id, url and `dropped` of its rows: the failing rules ("quality.words.min") of the stage
    that dropped the row, none where it is kept."""
    for part in run.parts:
        for stage, step in run.deciders.items():
            if not run.is_done(step, part):
                raise UserError(f"{run.root}: has not finished its {stage} stage; run it again first")
        table = read(run.file(EXTRACT, part), ["id", "url"])
        dropped = pa.nulls(len(table), DROPPED)
        for stage, step in run.deciders.items():
            rules = read(run.file(step, part), ["dropped"])["dropped"].combine_chunks()
            full = pc.binary_join_element_wise(stage, rules.flatten(), ".") if len(rules.flatten()) else rules.flatten()
            named = pa.ListArray.from_arrays(_offsets(rules), full, type=DROPPED)
            dropped = pc.if_else(pc.is_null(rules), dropped, named)  # the last stage that saw the row has the last word
        yield part.name, table.append_column("dropped", dropped)


def _offsets(lists: pa.ListArray) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def compare(first: Run, second: Run) -> dict[str, Any]:
    """Counts over the records that both runs have, joined by document id.

    `{"both", "neither", "first", "second", "unmatched", "first_because": {rule of the second run: documents}, ...,
    "examples": {"first": [...], "second": [...]}}`: "first" counts what only the first run keeps, and "first_because" the
    rules by which the second run drops it.
    """
    others = dict(verdicts(second))
    totals = {"both": 0, "neither": 0, "first": 0, "second": 0, "unmatched": 0}
    because: dict[str, dict[str, int]] = {"first": {}, "second": {}}
    examples: dict[str, list[dict[str, Any]]] = {"first": [], "second": []}
    everything: dict[str, Any] | None = None
    for name, mine in verdicts(first):
        theirs = others.get(name)
        if theirs is not None and theirs["id"].equals(mine["id"]):  # the same part: its rows stand side by side
            there = theirs["dropped"].combine_chunks()
            matched = np.ones(len(mine), np.bool_)
        else:
            if everything is None:
                whole = pa.concat_tables(others.values()) if others else mine.slice(0, 0)
                everything = {"ids": whole["id"].combine_chunks(), "dropped": whole["dropped"].combine_chunks()}
            places = pc.index_in(mine["id"].combine_chunks(), everything["ids"])
            there = everything["dropped"].take(places)
            matched = places.is_valid().to_numpy(zero_copy_only=False)
        here = mine["dropped"].combine_chunks()
        keeps = pc.equal(pc.list_value_length(here), 0).to_numpy(zero_copy_only=False)
        keeps_too = pc.fill_null(pc.equal(pc.list_value_length(there), 0), False).to_numpy(zero_copy_only=False)
        groups = {"both": keeps & keeps_too, "neither": ~keeps & ~keeps_too, "first": keeps & ~keeps_too}
        groups["second"] = keeps_too & ~keeps
        totals["unmatched"] += int((~matched).sum())
        for group, mask in groups.items():
            mask &= matched
            totals[group] += int(mask.sum())
            if group not in because:
                continue
            reasons = (there if group == "first" else here).filter(pa.array(mask))
            for entry in pc.list_flatten(reasons).value_counts().to_pylist():
                because[group][entry["values"]] = because[group].get(entry["values"], 0) + entry["counts"]
            rows = mine.select(["id", "url"]).filter(pa.array(mask)).append_column("dropped", reasons)
            examples[group] += rows.slice(0, EXAMPLES - len(examples[group])).to_pylist()
    ordered = {group: dict(sorted(rules.items(), key=lambda e: (-e[1], e[0]))) for group, rules in because.items()}
    return totals | {f"{group}_because": rules for group, rules in ordered.items()} | {"examples": examples}


def show_comparison(first: Run, second: Run, found: Mapping[str, Any], console: Console) -> None:
    """The counts, the rules that make the difference, and a few documents of each kind."""
    names = {"first": str(first.root), "second": str(second.root)}
    console.print(f"kept by both {found['both']:,}, by neither {found['neither']:,}", highlight=False)
    if found["unmatched"]:
        console.print(
            f"{found['unmatched']:,} records of {names['first']} are not in {names['second']}", highlight=False
        )
    for group, other in (("first", "second"), ("second", "first")):
        console.print(f"\n[bold]kept only by {names[group]}: {found[group]:,}[/]", highlight=False, soft_wrap=True)
        if not found[group]:
            continue
        table = Table(f"rule of {names[other]} that drops it", "documents")
        table.columns[1].justify = "right"
        for rule, count in found[f"{group}_because"].items():
            table.add_row(safe(rule), f"{count:,}")
        console.print(table)
        for row in found["examples"][group]:
            reasons = safe(", ".join(row["dropped"]))
            console.print(f"  {safe(str(row['url']))}   {reasons}", highlight=False, soft_wrap=True)
