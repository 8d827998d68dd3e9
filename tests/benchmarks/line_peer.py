"""datatrove's side of line.py, run by a Python that has datatrove and not this project: its FineWeb line in one process.

    python line_peer.py ARCHIVE.warc.gz OUT MODEL.ftz LIMIT

The steps are those of datatrove's examples/fineweb.py up to its deduplication, for English, without files of what is
dropped, and without a limit on the time of a page, which a busy machine would exceed. Prints {"pages", "kept", "seconds": {step: CPU seconds}}.
The text of a page is extracted in a child process, as datatrove does it.
"""

import json
import resource
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from datatrove.pipeline.extractors import Trafilatura  # type: ignore[import-not-found]
from datatrove.pipeline.filters import (  # type: ignore[import-not-found]
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
)
from datatrove.pipeline.readers import WarcReader  # type: ignore[import-not-found]
from datatrove.pipeline.writers.jsonl import JsonlWriter  # type: ignore[import-not-found]
from datatrove.utils import lid, stats  # type: ignore[import-not-found]

PATIENCE = 60


def main() -> None:
    archive, out, model = map(Path, sys.argv[1:4])
    stats.time = SimpleNamespace(perf_counter=time.process_time)  # CPU seconds, not those of the clock
    lid.cached_asset_path_or_download = lambda *_, **__: str(model)  # no download
    reader = WarcReader(str(archive.parent), glob_pattern=archive.name, limit=int(sys.argv[4]))
    pipeline = [
        reader,
        URLFilter(),
        Trafilatura(favour_precision=True, timeout=PATIENCE),
        LanguageFilter("en"),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
        JsonlWriter(str(out / "output")),
    ]
    documents: Any = None
    for step in pipeline:
        documents = step.run(documents, 0, 1)
    for _ in documents:
        pass
    seconds = {type(step).__name__: step.stats.time_stats.total for step in pipeline}
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds["Trafilatura"] += children.ru_utime + children.ru_stime
    pages, kept = (step.stats.stats for step in (reader, pipeline[-1]))
    print(json.dumps({"pages": pages["documents"].total, "kept": kept["total"].total, "seconds": seconds}))


if __name__ == "__main__":
    main()
