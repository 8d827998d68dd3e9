"""extract: read the archive; one row a record."""

from collections.abc import Iterator

from pipeline.engines import Care, Tick
from pipeline.ledger import rows_in, writer
from pipeline.stages.job import Job


def extract(job: Job, tick: Tick, care: Care) -> int:
    """Read the archive; one row a record, with its text or the reasons why it has none."""
    from pipeline.extract.archive import Record, read_records
    from pipeline.extract.page import SCHEMA, ExtractOptions, rows, to_batches

    wanted = job.config.extract
    options = ExtractOptions(**wanted.model_dump())
    position = 0

    def located() -> Iterator[Record]:
        nonlocal position
        part = job.part
        for record in read_records(part.path, part.start, part.end, max_record_bytes=wanted.max_record_bytes):
            position = record.offset - part.start
            yield record

    with writer(job.out, SCHEMA, job.key) as out:
        found = rows(located(), options, archive=job.part.path, at=lambda row: tick(row, position), skip=care.skip)
        for batch in to_batches(found):
            out.write_batch(batch)
    return rows_in(job.out)
