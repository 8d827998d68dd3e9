"""Which evaluation items were found in which documents, from the ledger."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from pipeline.core.ledger import Part, kept, read
from pipeline.core.progress import safe
from pipeline.errors import UserError
from pipeline.run.run import Run
from pipeline.stages.decontaminate import CUT, FIND, open_index
from pipeline.stages.duplicates.outcome import DUPLICATES
from pipeline.stages.extract import EXTRACT
from pipeline.stages.quality_rules import QUALITY_DECIDE

DOCUMENTS = 3
"""Of an item, shown on the terminal."""


def collect(run: Run) -> dict[str, Any]:
    """`{"items", "short", "documents", "found": [{"item", "documents": [{"url", "id", "share", "kept", "cut"}]}]}`: items
    found, the most completely held first; `share` is that of the item's n-grams, `kept` whether the document stays for all
    that, and `cut` whether something is cut out of it, which the duplicates stage does."""
    if run.config.contamination is None:
        raise UserError(
            f'{run.root}: looks for no evaluation texts; add [decontaminate] against = ["eval.jsonl"] and run again'
        )
    found: dict[str, list[dict[str, Any]]] = {}
    documents = 0
    for part in run.parts:
        for step in (FIND, QUALITY_DECIDE):
            if not run.is_done(step, part):
                raise UserError(f"{run.root}: has not finished its quality stage; run it again first")
        held = read(run.file(FIND, part), ["contaminated_by"])["contaminated_by"].combine_chunks()
        rows = pc.indices_nonzero(pc.fill_null(pc.greater(pc.list_value_length(held), 0), False))
        if not len(rows):
            continue
        documents += len(rows)
        origin = read(run.file(EXTRACT, part), ["id", "url"]).take(rows).to_pylist()
        verdicts = zip(*_verdicts(run, part, rows), strict=True)
        for items, record, (stays, cut) in zip(held.take(rows).to_pylist(), origin, verdicts, strict=True):
            for item in items:
                found.setdefault(item["item"], []).append(record | {"share": item["share"], "kept": stays, "cut": cut})
    for places in found.values():
        places.sort(key=lambda place: (-place["share"], str(place["id"])))
    ranked = sorted(found.items(), key=lambda entry: (-entry[1][0]["share"], -len(entry[1]), entry[0]))
    index, names = open_index(run.config.decontaminate)
    return {
        "items": len(names),
        "short": index.short,
        "ngram": index.ngram,
        "documents": documents,
        "found": [{"item": name, "documents": places} for name, places in ranked],
    }


def _verdicts(run: Run, part: Part, rows: pa.Array) -> tuple[list[bool], list[bool]]:
    """Which of the rows stay, and out of which something is cut."""
    cuts = run.config.contamination == "cut" and run.is_done(DUPLICATES, part)
    stays = kept(read(run.file(DUPLICATES if cuts else QUALITY_DECIDE, part), ["dropped"])["dropped"]).take(rows)
    if not cuts:
        return stays.to_pylist(), [False] * len(rows)
    places = read(run.file(CUT, part), ["cuts"])["cuts"].combine_chunks()
    return stays.to_pylist(), pc.greater(pc.list_value_length(places), 0).fill_null(False).take(rows).to_pylist()


def show(account: Mapping[str, Any], console: Console) -> None:
    """The items, and a few documents of each."""
    console.print(
        f"{len(account['found']):,} of {account['items']:,} items have {account['ngram']}-grams in "
        f"{account['documents']:,} documents; {account['short']:,} are too short to be found",
        highlight=False,
    )
    if not account["found"]:
        return
    table = Table("item", "share of its n-grams", "document", "")
    table.columns[1].justify = "right"
    for entry in account["found"]:
        for place in entry["documents"][:DOCUMENTS]:
            verdict = "dropped" if not place["kept"] else "cut out" if place["cut"] else "kept"
            table.add_row(safe(entry["item"]), f"{place['share']:.0%}", safe(str(place["url"] or place["id"])), verdict)
        if (more := len(entry["documents"]) - DOCUMENTS) > 0:
            table.add_row("", "", f"and {more:,} more (--json has all)", "")
    console.print(table)
