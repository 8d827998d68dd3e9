"""Two runs over the same records: which documents they decide differently, and by which rules."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.ledger import DROPPED, read, row_groups
from pipeline.errors import UserError
from pipeline.run.run import Run
from pipeline.stages.clean import CLEAN
from pipeline.stages.extract import EXTRACT

NO_PAGE = "extract.record_type"
"""What drops requests and archive headers."""
EXAMPLES = 5
"""Documents listed of each kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A document that one run keeps and the other one drops."""

    id: str
    url: str | None
    dropped: list[str]
    """The rules of the run that drops it, such as "quality.words.min"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """At most `EXAMPLES` documents of each kind, in the order of the first run."""

    first: tuple[Example, ...]
    """Kept only by the first run."""
    second: tuple[Example, ...]
    """Kept only by the second run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """Counts over the records that both runs have, joined by document id."""

    both: int
    """Records that both runs keep."""
    neither: int
    """Records that both runs drop."""
    not_pages: int
    """Of those, requests and archive headers."""
    first: int
    """Records that only the first run keeps."""
    second: int
    """Records that only the second run keeps."""
    unmatched: int
    """Records of the first run that the second run does not have."""
    unmatched_second: int
    """Records of the second run that the first run does not have."""
    other_text: int | None = None
    """Documents that both keep with texts that differ, in more than case and white space; None before both have clean text."""
    first_because: dict[str, int]
    """Rule of the second run -> documents that only the first run keeps and this rule drops; the most frequent first."""
    second_because: dict[str, int]
    """Rule of the first run -> documents that only the second run keeps and this rule drops."""
    examples: Examples


def diff(first: Run, second: Run) -> Diff:
    """Compare two runs. UserError for one that has not finished all stages that drop, and where they share no record."""
    second_parts = dict(verdicts(second))
    of_second: tuple[pa.Array, pa.Array] | None = None
    totals = {"both": 0, "neither": 0, "first": 0, "second": 0}
    unmatched = not_pages = 0
    because: dict[str, dict[str, int]] = {"first": {}, "second": {}}
    examples: dict[str, list[Example]] = {"first": [], "second": []}
    for name, table in verdicts(first):
        same_part = second_parts.get(name)
        if same_part is not None and same_part["id"].equals(table["id"]):  # row by row the same records
            dropped_by_second = same_part["dropped"].combine_chunks()
            matched = np.ones(len(table), np.bool_)
        else:
            if of_second is None:
                joined = pa.concat_tables(second_parts.values()) if second_parts else table.slice(0, 0)
                of_second = joined["id"].combine_chunks(), joined["dropped"].combine_chunks()
            rows = pc.index_in(table["id"].combine_chunks(), of_second[0])
            dropped_by_second = of_second[1].take(rows)
            matched = rows.is_valid().to_numpy(zero_copy_only=False)
        dropped_by_first = table["dropped"].combine_chunks()
        first_keeps = pc.equal(pc.list_value_length(dropped_by_first), 0).to_numpy(zero_copy_only=False)
        second_keeps = pc.fill_null(pc.equal(pc.list_value_length(dropped_by_second), 0), False)
        second_keeps = second_keeps.to_numpy(zero_copy_only=False)
        unmatched += int((~matched).sum())
        no_page = pc.equal(pc.binary_join(dropped_by_first, ","), NO_PAGE).fill_null(False)
        no_page = no_page.to_numpy(zero_copy_only=False)
        not_pages += int((no_page & ~second_keeps & matched).sum())
        groups = {
            "both": first_keeps & second_keeps,
            "neither": ~first_keeps & ~second_keeps,
            "first": first_keeps & ~second_keeps,
            "second": second_keeps & ~first_keeps,
        }
        for group, mask in groups.items():
            chosen = pa.array(mask & matched)
            totals[group] += pc.sum(chosen).as_py() or 0
            if group not in because:
                continue
            reasons = (dropped_by_second if group == "first" else dropped_by_first).filter(chosen)
            for entry in pc.list_flatten(reasons).value_counts().to_pylist():
                because[group][entry["values"]] = because[group].get(entry["values"], 0) + entry["counts"]
            documents = table.select(["id", "url"]).filter(chosen).append_column("dropped", reasons)
            listed = documents.slice(0, EXAMPLES - len(examples[group])).to_pylist()
            examples[group] += [Example(**document) for document in listed]
    matched_rows = sum(totals.values())
    if not matched_rows:
        raise UserError(
            f"{first.root} and {second.root}: no record of the one is in the other; diff is for the same input"
        )
    return Diff(
        **totals,
        not_pages=not_pages,
        unmatched=unmatched,
        unmatched_second=sum(map(len, second_parts.values())) - matched_rows,
        other_text=_count_other_texts(first, second),
        first_because=_by_count(because["first"]),
        second_because=_by_count(because["second"]),
        examples=Examples(first=tuple(examples["first"]), second=tuple(examples["second"])),
    )


def _count_other_texts(first: Run, second: Run) -> int | None:
    if not (first.is_done(CLEAN) and second.is_done(CLEAN)):
        return None
    ids, hashes = _hashed_texts(first)
    other_ids, other_hashes = _hashed_texts(second)
    rows = pc.index_in(ids, other_ids)
    differs = pc.not_equal(hashes.filter(rows.is_valid()), other_hashes.take(rows.drop_null()))
    return int(pc.sum(differs).as_py() or 0)


def _hashed_texts(run: Run) -> tuple[pa.Array, pa.Array]:
    """Id and hash of each clean text of a run."""
    from pipeline.filters.dedup.exact import content_hashes

    ids, hashes = [pa.array([], pa.string())], [pa.array([], pa.binary(16))]
    for part in run.parts:
        for table in row_groups(run.file(CLEAN, part), ["id", "text"]):
            ids.append(table["id"].combine_chunks().cast(pa.string()))
            hashes.append(content_hashes(table["text"]))
    return pa.concat_arrays(ids), pa.concat_arrays(hashes)


def _by_count(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def verdicts(run: Run) -> Iterator[tuple[str, pa.Table]]:
    """For each part its name, and id, url and `dropped` of its rows: the failing rules ("quality.words.min") of the stage
    that dropped the row, none where it is kept."""
    for part in run.parts:
        for step in run.deciders.values():
            run.require(step, part)
        table = read(run.file(EXTRACT, part), ["id", "url"])
        dropped = pa.nulls(len(table), DROPPED)
        for stage, step in run.deciders.items():
            rules = read(run.file(step, part), ["dropped"])["dropped"].combine_chunks()
            full = pc.binary_join_element_wise(stage, rules.flatten(), ".") if len(rules.flatten()) else rules.flatten()
            named = pa.ListArray.from_arrays(_offsets(rules), full, type=DROPPED)
            dropped = pc.if_else(pc.is_null(rules), dropped, named)  # the last stage that the row came to decides
        yield part.name, table.append_column("dropped", dropped)


def _offsets(lists: pa.ListArray) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
