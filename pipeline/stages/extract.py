"""extract: read the archive; one row a record."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pipeline.config import Url
from pipeline.core.engines import Care, Tick
from pipeline.core.ledger import rows_in, writer
from pipeline.files import atomic
from pipeline.stages.job import Job
from pipeline.stages.prescreen import prescreen


def extract(job: Job, tick: Tick, care: Care) -> int:
    """Read the archive; one row a record, with its text or the reasons why it has none."""
    from pipeline.extract.inputs.archive import Record
    from pipeline.extract.inputs.sources import DATASET, read
    from pipeline.extract.page import SCHEMA, ExtractOptions, rows, to_batches

    wanted = job.config.extract
    options = ExtractOptions(**wanted.model_dump(exclude={"prescreen"}))
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
        found = rows(
            located(),
            options,
            archive=name,
            at=lambda row: tick(row, position),
            url_reasons=url_rules(job.config.url, url_hashes(job.root)),
            prescreen=prescreen(job.config),
            skip=care.skip,
        )
        for batch in to_batches(found):
            out.write_batch(batch)
    return rows_in(job.out)


def url_hashes(root: Path) -> Path:
    """Where a run keeps its blocklists: made by the runner, mapped into memory by every worker."""
    return root / "ledger" / "blocklists.npy"


def prepare_urls(root: Path, options: Url) -> None:
    """Read the blocklists, where there are any, into one array on disk."""
    if options.blocklists:
        from pipeline.filters.url import read_blocklists

        with atomic(url_hashes(root)) as temporary, open(temporary, "wb") as file:
            np.save(file, read_blocklists(options.blocklists))


def url_rules(options: Url, hashes: Path) -> Callable[[str], list[str]] | None:
    """The function that says why a URL is dropped; None where there are no rules."""
    if not options.rules:
        return None
    from pipeline.filters.url import UrlRules, curated, read_words

    def words(path: str | None) -> list[str]:
        return read_words(path) if path else []

    return UrlRules(
        blocked=np.load(hashes, mmap_mode="r") if options.blocklists else None,
        hard=frozenset(words(options.hard_words)),
        soft=frozenset(words(options.soft_words)),
        substrings=tuple(words(options.substrings)),
        curated=curated(options.curated),
    ).reasons
