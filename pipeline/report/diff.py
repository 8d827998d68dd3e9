"""Two runs over the same records: which documents they decide differently, and by which rules."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.ledger import DROPPED, alive_rows, read, row_groups
from pipeline.errors import UserError
from pipeline.extract.options import NOT_PAGES
from pipeline.run.run import Run
from pipeline.stages.clean import CLEAN
from pipeline.stages.extract import EXTRACT

NO_PAGES = [f"extract.{reason}" for reason in NOT_PAGES]
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
    """Counts over the records that both runs have. The rows of a part that both have match one by one; of other parts the
    first record with an id matches the first with this id, the second the second, and so on."""

    both: int
    """Records that both runs keep."""
    neither: int
    """Records that both runs drop."""
    not_pages: int
    """Of those, requests, archive headers and revisits."""
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
    of_second = [table for _, table in verdicts(second)]
    dropped_in_second = pa.concat_arrays([pa.array([], DROPPED), *(t["dropped"].combine_chunks() for t in of_second)])
    matches = match_rows(first, second)
    totals = {"both": 0, "neither": 0, "first": 0, "second": 0}
    unmatched = not_pages = 0
    because: dict[str, dict[str, int]] = {"first": {}, "second": {}}
    examples: dict[str, list[Example]] = {"first": [], "second": []}
    for (_, table), rows in zip(verdicts(first), matches, strict=True):
        matched = rows >= 0
        dropped_by_second = dropped_in_second.take(pa.array(rows, mask=~matched))
        dropped_by_first = table["dropped"].combine_chunks()
        first_keeps = pc.equal(pc.list_value_length(dropped_by_first), 0).to_numpy(zero_copy_only=False)
        second_keeps = pc.fill_null(pc.equal(pc.list_value_length(dropped_by_second), 0), False)
        second_keeps = second_keeps.to_numpy(zero_copy_only=False)
        unmatched += int((~matched).sum())
        no_page = pc.is_in(pc.binary_join(dropped_by_first, ","), pa.array(NO_PAGES))
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
        unmatched_second=len(dropped_in_second) - matched_rows,
        other_text=_count_other_texts(first, second, np.concatenate([np.zeros(0, np.int64), *matches])),
        first_because=_by_count(because["first"]),
        second_because=_by_count(because["second"]),
        examples=Examples(first=tuple(examples["first"]), second=tuple(examples["second"])),
    )


def match_rows(first: Run, second: Run) -> list[npt.NDArray[np.int64]]:
    """For each part of the first run, the row of the second run that each of its rows matches, counted over all parts; -1
    where there is none."""
    ids = [read(first.file(EXTRACT, part), ["id"])["id"].combine_chunks() for part in first.parts]
    other_ids = [read(second.file(EXTRACT, part), ["id"])["id"].combine_chunks() for part in second.parts]
    starts = np.cumsum([0, *map(len, other_ids)])
    numbers = {part.name: number for number, part in enumerate(second.parts)}
    same: dict[int, int] = {}  # number of a part of the first run -> of the second run
    for number, part in enumerate(first.parts):
        other = numbers.get(part.name)
        if other is not None and other_ids[other].equals(ids[number]):
            same[number] = other
    left = [number for number in range(len(ids)) if number not in same]
    other_left = [number for number in range(len(other_ids)) if number not in same.values()]
    found = _nth_of_nth(
        pa.concat_arrays([pa.array([], pa.string()), *(ids[number] for number in left)]),
        pa.concat_arrays([pa.array([], pa.string()), *(other_ids[number] for number in other_left)]),
    )
    rows_left = np.concatenate(
        [np.zeros(0, np.int64), *(np.arange(starts[n], starts[n + 1]) for n in other_left), [-1]]  # of -1: -1
    )
    cuts = np.cumsum([0, *(len(ids[number]) for number in left)])
    matches = {number: np.arange(starts[other], starts[other + 1]) for number, other in same.items()}
    matches |= {number: rows_left[found[a:b]] for number, a, b in zip(left, cuts[:-1], cuts[1:], strict=True)}
    return [matches[number] for number in range(len(ids))]


def _nth_of_nth(ids: pa.Array, other_ids: pa.Array) -> npt.NDArray[np.int64]:
    """For each id its place among the others: of its n-th occurrence the n-th; -1 where there is none."""
    encoded = other_ids.dictionary_encode()
    codes = encoded.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=len(encoded.dictionary) + 1)
    starts = np.cumsum(counts) - counts
    own = pc.fill_null(pc.index_in(ids, encoded.dictionary), len(encoded.dictionary)).to_numpy()
    own_order = np.argsort(own, kind="stable")
    own_counts = np.bincount(own, minlength=counts.size)
    nth = np.empty(own.size, np.int64)
    nth[own_order] = np.arange(own.size) - np.repeat(np.cumsum(own_counts) - own_counts, own_counts)
    there = nth < counts[own]
    found = np.full(own.size, -1, np.int64)
    found[there] = order[(starts[own] + nth)[there]]
    return found


def _count_other_texts(first: Run, second: Run, matches: npt.NDArray[np.int64]) -> int | None:
    """Matching documents that both keep with other texts; None where a run has no clean text yet."""
    if not (first.is_done(CLEAN) and second.is_done(CLEAN)):
        return None
    places, hashes = _hashed_texts(first)
    other_places, other_hashes = _hashed_texts(second)
    rows = pc.index_in(pa.array(matches[places]), pa.array(other_places))
    differs = pc.not_equal(hashes.filter(rows.is_valid()), other_hashes.take(rows.drop_null()))
    return int(pc.sum(differs).as_py() or 0)


def _hashed_texts(run: Run) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """The row of each clean text of a run, counted over all parts, and the hash of the text."""
    from pipeline.filters.dedup.exact import content_hashes

    places, hashes = [np.zeros(0, np.int64)], [pa.array([], pa.binary(16))]
    last = list(run.deciders.values())[-1]
    start = 0
    for part in run.parts:
        stays = alive_rows(run.file(last, part))
        places.append(start + np.flatnonzero(stays))
        start += stays.size
        hashes += [content_hashes(table["text"]) for table in row_groups(run.file(CLEAN, part), ["text"])]
    return np.concatenate(places), pa.concat_arrays(hashes)


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
