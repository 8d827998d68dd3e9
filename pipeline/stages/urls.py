"""extract.urls: of the pages that have one URL, one goes on. Needs all parts at once, over one small column."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.engines import Tick
from pipeline.core.ledger import DROPPED, alive_rows, row_groups, rows_in, writer
from pipeline.stages.choice import of_documents
from pipeline.stages.duplicates import Roots, Source
from pipeline.stages.job import View, part_key

KEYS = pa.binary(16)
SCHEMA = pa.schema([("dropped", DROPPED), ("kept", pa.string())])
REASON = "url_duplicate"


def drop_repeated(view: View, tick: Tick) -> int:
    """Write for each extracted row why it goes so far, and the id of the page with its URL that stays in its place.

    Only pages with text count: one that failed takes the place of none. `url.duplicates` says which stays: the first in
    the order of the input, or the latest by the date of its capture (of those of one date, the smallest id).
    """
    from pipeline.filters.dedup.clusters import best_of, join_column, members_of, settle
    from pipeline.filters.dedup.keep_policy import best_first, parse_keep
    from pipeline.filters.url import page_key

    everything = tuple(Source(view.root, part, False, False) for part in view.parts)
    alive = np.concatenate([np.zeros(0, np.bool_), *(alive_rows(source.file("extract")) for source in everything)])

    def keys(column: str) -> Iterator[pa.Array]:
        done = 0
        for source in everything:
            for group in row_groups(source.file("extract"), [column]):
                urls = group[column].to_pylist()
                here = alive[done : done + len(urls)]
                wanted = [page_key(url) if url and live else None for url, live in zip(urls, here, strict=True)]
                yield pa.array(wanted, KEYS)
                done += len(urls)
                tick(done, done)

    roots: Roots = np.arange(alive.size, dtype=np.int32 if alive.size < 2**31 else np.int64)
    join_column(keys, "url", alive, view.config.duplicates.memory_bytes, roots)
    settle(roots)
    files = [source.file("extract") for source in everything]
    policy = view.config.url.duplicates
    assert policy is not None
    best = roots  # the smallest place of a group
    if policy != "first":
        members = members_of(roots)
        dates, ids = (of_documents(files, name, members) for name in ("date", "id"))
        best = best_of(roots, best_first(members, parse_keep([policy], ()), lambda name: dates, ids))
    goes = best != np.arange(alive.size)
    chosen = np.unique(best[goes]).astype(np.int64)
    names = of_documents(files, "id", chosen).combine_chunks().cast(pa.string())
    start = 0
    for source in everything:
        with writer(view.file(view.step, source.part), SCHEMA, part_key(view.key, source.part)) as out:
            for group in row_groups(source.file("extract"), ["dropped"]):
                rows = slice(start, start + len(group))
                gone = pa.array(goes[rows])
                kept = names.take(pa.array(np.searchsorted(chosen, best[rows]), mask=~goes[rows]))
                dropped = pc.if_else(gone, pa.scalar([REASON], DROPPED), group["dropped"].combine_chunks())
                out.write_table(pa.Table.from_arrays([dropped, kept], schema=SCHEMA))
                start += len(group)
    return sum(rows_in(source.file("extract")) for source in everything)
