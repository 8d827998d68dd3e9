"""Which evaluation items are in which documents, from the ledger."""

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.ledger import Part, kept, read
from pipeline.core.plain_values import key
from pipeline.errors import UserError
from pipeline.run.run import Run
from pipeline.stages.decontaminate import CUT, FIND, open_index
from pipeline.stages.duplicates.outcome import DUPLICATES
from pipeline.stages.extract import EXTRACT
from pipeline.stages.quality_rules import QUALITY_DECIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A document that has n-grams of an item."""

    id: str
    url: str | None
    share: float
    """Of the item's n-grams, those that the document has."""
    kept: bool
    """Whether the document stays all the same."""
    cut: bool
    """Whether something is cut out of it, which the duplicates stage does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContaminatingItem:
    """An evaluation item that is in documents."""

    item: str
    """Its name: file and id, such as "eval.jsonl#q1"."""
    documents: tuple[Holder, ...]
    """The largest share first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contamination:
    """What [decontaminate] found in a run."""

    items: int
    """Evaluation items looked for."""
    short: int
    """Of those, the ones too short to be found: they have no n-gram."""
    ngram: int
    """Words of an n-gram."""
    documents: int
    """Documents that have n-grams of at least one item."""
    matches: tuple[ContaminatingItem, ...] = field(metadata=key("found"))
    """The items found, the largest share first."""


def contamination(run: Run) -> Contamination:
    """Which items were found where. UserError for a run without [decontaminate], or not finished with its quality stage."""
    if run.config.contamination is None:
        raise UserError(
            f'{run.root}: this run has no [decontaminate] section; add [decontaminate] against = ["eval.jsonl"] and run again'
        )
    holders: dict[str, list[Holder]] = {}
    documents = 0
    for part in run.parts:
        for step in (FIND, QUALITY_DECIDE):
            run.require(step, part)
        items_by_row = read(run.file(FIND, part), ["contaminated_by"])["contaminated_by"].combine_chunks()
        rows = pc.indices_nonzero(pc.fill_null(pc.greater(pc.list_value_length(items_by_row), 0), False))
        if not len(rows):
            continue
        documents += len(rows)
        names = read(run.file(EXTRACT, part), ["id", "url"]).take(rows).to_pylist()
        outcomes = zip(*_outcomes(run, part, rows), strict=True)
        for items, name, (stays, cut) in zip(items_by_row.take(rows).to_pylist(), names, outcomes, strict=True):
            for item in items:
                holder = Holder(**name, share=item["share"], kept=stays, cut=cut)
                holders.setdefault(item["item"], []).append(holder)
    for documents_of_item in holders.values():
        documents_of_item.sort(key=lambda holder: (-holder.share, str(holder.id)))
    ranked = sorted(holders.items(), key=lambda entry: (-entry[1][0].share, -len(entry[1]), entry[0]))
    index, item_names = open_index(run.config.decontaminate)
    return Contamination(
        items=len(item_names),
        short=index.short,
        ngram=index.ngram,
        documents=documents,
        matches=tuple(ContaminatingItem(item=item, documents=tuple(found_in)) for item, found_in in ranked),
    )


def _outcomes(run: Run, part: Part, rows: pa.Array) -> tuple[list[bool], list[bool]]:
    """Which of the rows stay, and out of which something is cut."""
    cuts = run.config.contamination == "cut" and run.is_done(DUPLICATES, part)
    stays = kept(read(run.file(DUPLICATES if cuts else QUALITY_DECIDE, part), ["dropped"])["dropped"]).take(rows)
    if not cuts:
        return stays.to_pylist(), [False] * len(rows)
    spans = read(run.file(CUT, part), ["cuts"])["cuts"].combine_chunks()
    return stays.to_pylist(), pc.greater(pc.list_value_length(spans), 0).fill_null(False).take(rows).to_pylist()
