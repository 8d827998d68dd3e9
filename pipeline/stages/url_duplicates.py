"""extract.urls: keep one page per URL. Reads one small column of all parts at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.engines import Progress
from pipeline.core.fingerprint import unhashed
from pipeline.core.ledger import DROPPED, alive_rows, row_groups, rows_in, writer
from pipeline.core.part import EarlierRun, RunFiles
from pipeline.core.step import Failing, Step, columns
from pipeline.stages.duplicates.candidates import Roots
from pipeline.stages.duplicates.verify import of_documents
from pipeline.stages.extract import EXTRACT

KEYS = pa.binary(16)
SCHEMA = pa.schema([("dropped", DROPPED), ("kept", pa.string())])
COLUMNS = {"kept": "id of the page with the same URL that is kept instead; null where the row is not dropped for it"}
REASON = "url_duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Which page of a URL is kept."""

    policy: str
    memory: int = unhashed()


def drop_repeated(files: RunFiles, options: Options, progress: Progress) -> int:
    """Write for each extracted row why it is dropped so far, and the id of the page with its URL that is kept instead.

    Only pages with text count, so a failed page never replaces another. `url.duplicates` says which page is kept: the first
    in input order, or the latest by capture date (of pages with the same date, the smallest id). Returns the rows.
    """
    from pipeline.filters.dedup.clusters import best_of, join_column, members_of, settle
    from pipeline.filters.dedup.keep_policy import best_first, parse_keep
    from pipeline.filters.url import page_key

    extracts = [files.file(EXTRACT, part) for part in files.parts]
    alive = np.concatenate([np.zeros(0, np.bool_), *map(alive_rows, extracts)])

    def keys(column: str) -> Iterator[pa.Array]:
        done = 0
        for extract in extracts:
            for group in row_groups(extract, [column]):
                urls = group[column].to_pylist()
                keeps = alive[done : done + len(urls)]
                hashes = [page_key(url) if url and keep else None for url, keep in zip(urls, keeps, strict=True)]
                yield pa.array(hashes, KEYS)
                done += len(urls)
                progress(done, done)

    roots: Roots = np.arange(alive.size, dtype=np.int32 if alive.size < 2**31 else np.int64)
    join_column(keys, "url", alive, options.memory, roots)
    settle(roots)
    best = roots  # the first of each group
    if options.policy != "first":
        members = members_of(roots)
        dates, ids = (of_documents(extracts, name, members) for name in ("date", "id"))
        best = best_of(roots, best_first(members, parse_keep([options.policy], ()), lambda name: dates, ids))
    goes = best != np.arange(alive.size)
    chosen = np.unique(best[goes]).astype(np.int64)
    names = of_documents(extracts, "id", chosen).combine_chunks().cast(pa.string())
    start = 0
    for part, extract in zip(files.parts, extracts, strict=True):
        with writer(files.out(part), SCHEMA, files.part_key(part)) as out:
            for group in row_groups(extract, ["dropped"]):
                rows = slice(start, start + len(group))
                repeated = pa.array(goes[rows])
                kept = names.take(pa.array(np.searchsorted(chosen, best[rows]), mask=~goes[rows]))
                dropped = pc.if_else(repeated, pa.scalar([REASON], DROPPED), group["dropped"].combine_chunks())
                out.write_table(pa.Table.from_arrays([dropped, kept], schema=SCHEMA))
                start += len(group)
    return sum(map(rows_in, extracts))


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
    return Options(policy=config.url.duplicates or "first", memory=config.duplicates.memory)


def _explain(rule: str, row: Mapping[str, Any], options: Options, file: Callable[[Step], Path | None]) -> Failing:
    if rule == REASON:
        return Failing(row["kept"], f"duplicates = {options.policy}")
    return Failing(row.get("detail"), None)


URLS = Step(
    name="extract.urls",
    title="find repeated URLs",
    version=1,
    run=drop_repeated,
    options=_options,
    reads=(EXTRACT,),
    whole=True,
    gated=False,
    needed=lambda config: config.url.duplicates is not None,
    drops=_explain,
    shows=False,
    columns=lambda: columns(SCHEMA, COLUMNS),
    reasons=lambda: {REASON: "another page with text has the same URL, and `url.duplicates` keeps that page"},
)
