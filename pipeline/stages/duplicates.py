"""duplicates: the one step that needs all parts at once, over small columns and within a memory budget."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engines import Tick
from pipeline.ledger import DROPPED, alive_rows, read, reasons_to_dropped, row_groups, writer
from pipeline.stages.job import View
from pipeline.stages.measure import band_names


def cluster_all(view: View, tick: Tick) -> int:
    """Clusters over the whole run: for each row that came in, the kept document's id and the size of the cluster."""
    from pipeline.filters.clusters import choose, cluster

    options = view.config.duplicates
    alive = np.concatenate([np.zeros(0, np.bool_), *(alive_rows(view.file("quality.decide", p)) for p in view.parts)])

    def column(name: str, step: str = "duplicates.signatures") -> Iterator[pa.ChunkedArray]:
        for part in view.parts:
            yield read(view.file(step, part), [name])[name]

    exact, roots = cluster(column, "content_hash", band_names(options.bands), alive, options.memory_bytes)
    sizes = np.bincount(roots[alive], minlength=len(alive)).astype(np.int32)[roots]
    shared = alive & (sizes > 1)

    def of_shared(name: str, step: str) -> pa.ChunkedArray:
        """A column with nulls where a document stands alone: only the duplicates' values take memory."""
        chunks, start = [], 0
        for chunk in column(name, step):
            chunks.append(pc.if_else(pa.array(shared[start : start + len(chunk)]), chunk, None).combine_chunks())
            start += len(chunk)
        return pa.chunked_array(chunks)

    ids = of_shared("id", "extract")
    choice = choose(
        roots,
        exact,
        options.keep,
        ids=ids,
        lengths=of_shared("text_bytes", "duplicates.signatures") if options.keep in ("longest", "shortest") else None,
        dates=of_shared("date", "extract") if options.keep in ("earliest", "latest") else None,
    )
    schema = pa.schema([("cluster", pa.string()), ("cluster_size", pa.int32()), ("dropped", DROPPED)])
    start = 0
    for part in view.parts:
        with writer(view.file("duplicates", part), schema, view.key) as out:
            signed = row_groups(view.file("duplicates.signatures", part), ["content_hash"])
            for group, hashes in zip(row_groups(view.file("extract", part), ["id"]), signed, strict=True):
                rows = slice(start, start + len(group))
                here = pa.array(alive[rows])
                other = ids.take(pa.array(choice.kept[rows])).combine_chunks()  # null where the document stands alone
                reason = choice.reasons[start : start + len(group)].cast(pa.string())
                reason = pc.if_else(pc.is_null(hashes["content_hash"].combine_chunks()), "crashed", reason)
                lists = pa.ListArray.from_arrays(list_offsets(reason), reason.drop_null(), type=DROPPED)
                columns = [
                    pc.if_else(here, pc.coalesce(other, group["id"].combine_chunks()), None),
                    pa.array(sizes[rows], mask=~alive[rows]),
                    reasons_to_dropped(here, lists),
                ]
                out.write_table(pa.Table.from_arrays(columns, schema=schema))
                start += len(group)
                tick(start, start)
    return len(alive)


def list_offsets(values: pa.Array) -> pa.Array:
    """Offsets of lists that hold each value of an array alone, and nothing for a null."""
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(values.is_valid().to_numpy(zero_copy_only=False), out=offsets[1:])
    return pa.array(offsets)
