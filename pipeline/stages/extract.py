"""extract: read the archive; one row a record."""

from collections.abc import Iterator

from pipeline.engines import Care, Tick
from pipeline.ledger import rows_in, writer
from pipeline.stages.job import Job


def extract(job: Job, tick: Tick, care: Care) -> int:
    """Read the archive; one row a record, with its text or the reasons why it has none."""
    from pipeline.extract.archive import Record
    from pipeline.extract.page import SCHEMA, ExtractOptions, rows, to_batches
    from pipeline.extract.sources import DATASET, read

    wanted = job.config.extract
    options = ExtractOptions(**wanted.model_dump())
    position = 0

    def located() -> Iterator[Record]:
        nonlocal position
        part = job.part
        source = job.config.input
        for record in read(
            part.path,
            part.start,
            part.end,
            columns=source.columns,
            dataset=source.wanted,
            max_record_bytes=wanted.max_record_bytes,
        ):
            position = max(record.offset - part.start, 0)
            yield record

    with writer(job.out, SCHEMA, job.key) as out:
        name = f"{job.part.path}#{job.part.start}" if job.part.path.startswith(DATASET) else job.part.path
        found = rows(located(), options, archive=name, at=lambda row: tick(row, position), skip=care.skip)
        for batch in to_batches(found):
            out.write_batch(batch)
    return rows_in(job.out)
