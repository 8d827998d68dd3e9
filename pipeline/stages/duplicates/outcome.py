"""duplicates: which copies are dropped, what is cut out of the others, and which are dropped because too little is left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.deciding import MEASURING_CRASHED
from pipeline.core.engines import Progress, Retry
from pipeline.core.ledger import DROPPED, reasons_to_dropped, row_groups, writer
from pipeline.core.part import EarlierRun, PartFiles
from pipeline.core.step import Failing, Step, columns
from pipeline.filters.decisions import failing_rules
from pipeline.stages.decontaminate import CUT, fate
from pipeline.stages.duplicates.signatures import SIGNATURES
from pipeline.stages.duplicates.spans import CUTS, CUTS_MEANING, SPANS
from pipeline.stages.duplicates.verify import CLUSTERS, DOCUMENTS

SCHEMA = pa.schema(
    [
        ("cluster", pa.string()),
        ("cluster_size", pa.int32()),
        ("similarity", pa.float32()),
        ("cuts", CUTS),
        ("dropped", DROPPED),
    ]
)


def cut_reason(step: str) -> str:
    """The reason for dropping a document of which a step's cuts leave too little."""
    return "contamination" if step == CUT.name else step.partition(".")[2]


COLUMNS = CLUSTERS | {"cuts": CUTS_MEANING}
REASONS = {
    "exact": "an exact copy of the document in `cluster`",
    "minhash": "a near copy of the document in `cluster`",
    **{cut_reason(step.name): f"too little is left once `{step.name}` has cut out repeats" for step in SPANS},
    "contamination": (
        "too little is left once evaluation texts are cut out, or the text is in too many pieces "
        '(`decontaminate`, with action = "cut")'
    ),
    **MEASURING_CRASHED,
}
"""Too little: fewer words than `duplicates.min_words`, or fewer sentences than `duplicates.min_sentences`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much of a document must be left."""

    min_words: int
    min_sentences: int | None
    keep: tuple[str, ...]
    fate: str
    """What happens to documents out of which evaluation texts are cut, in words."""

    def hashed(self) -> object:
        """What keys hash: `keep` and `fate` only explain."""
        return [self.min_words, self.min_sentences]


def decide(files: PartFiles, options: Options, progress: Progress, retry: Retry) -> int:
    """Write which copies are dropped, what is cut out of the others, and which of those are left too short."""
    from pipeline.filters.batch import Batch
    from pipeline.filters.kernels.spans import apply, ranges_of, union

    sources = [
        row_groups(files.file(DOCUMENTS), ["cluster", "cluster_size", "similarity", "reason"]),
        row_groups(files.file(SIGNATURES), ["content_hash"]),
        *(row_groups(files.file(step), ["cuts"]) for step in files.cuts),
    ]
    texts = files.texts() if files.cuts else iter(())
    row = 0
    with writer(files.out, SCHEMA, files.key) as out:
        for documents, hashes, *cut_tables in zip(*sources, strict=True):
            size = len(documents)
            alive = pc.is_valid(documents["cluster"]).combine_chunks()
            reason = pc.if_else(pc.is_null(hashes["content_hash"]), "crashed", documents["reason"])
            masks = {
                name: np.asarray(pc.fill_null(pc.equal(reason, name), False).to_numpy(), np.bool_)
                for name in ("exact", "minhash", "crashed")
            }
            cuts = pa.nulls(size, CUTS)
            if files.cuts:
                ranges_by_step = [ranges_of(table["cuts"]) for table in cut_tables]
                joined = union(ranges_by_step)
                stays = np.asarray(alive) & ~np.logical_or.reduce(list(masks.values()))
                cuts = joined.column(stays)
                counts = Batch.from_arrow(apply(next(texts), joined)).words
                short = (counts.words < options.min_words) | (counts.sentences < (options.min_sentences or 0))
                for name, ranges in zip(map(cut_reason, files.cuts), ranges_by_step, strict=True):
                    masks[name] = stays & short & (np.diff(ranges.offsets) > 0)
            columns = [documents[name].combine_chunks() for name in ("cluster", "cluster_size", "similarity")]
            dropped = reasons_to_dropped(alive, failing_rules(masks, size))
            out.write_table(pa.Table.from_arrays([*columns, cuts, dropped], schema=SCHEMA))
            row += size
            progress(row, row)
    return row


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
    options = config.duplicates
    return Options(
        min_words=options.min_words,
        min_sentences=options.min_sentences,
        keep=options.keep,
        fate=fate(config.decontaminate),
    )


def similarity_in_words(rule: str, similarity: float | None) -> str:
    """How a dropped document resembles the kept one; empty where nothing was compared.

    An exact copy has a similarity where the text that it repeats was dropped as similar to the kept one.
    """
    if similarity is None:
        return ""
    if rule == "exact" and similarity < 1.0:
        return f"exact copy of another document, whose similarity with the kept one is {similarity:.3f}"
    return f"similarity {similarity:.3f}"


def _kept(keep: Sequence[str]) -> str:
    """Which copy stays, in words."""
    if len(keep) == 1 and " " not in keep[0]:
        return "no copy is kept" if keep[0] == "none" else f"kept the {keep[0]} copy"
    return f"kept by {', then '.join(keep)}"


def _explain(rule: str, row: Mapping[str, Any], options: Options, file: Callable[[Step], Path | None]) -> Failing:
    if rule == "crashed":
        return Failing(None, None)
    if rule in ("exact", "minhash"):
        shown = similarity_in_words(rule, row["similarity"])
        return Failing(row["cluster"], f"{shown}{', ' if shown else ''}{_kept(options.keep)}")
    sentences = f" or min_sentences = {options.min_sentences}" if options.min_sentences else ""
    bound = f"too little is left: min_words = {options.min_words}{sentences}"
    return Failing(None, bound + (options.fate if rule == "contamination" else ""))


DUPLICATES = Step(
    name="duplicates",
    title="decide on duplicates",
    version=3,
    run=decide,
    options=_options,
    reads=(DOCUMENTS, SIGNATURES, *SPANS, CUT),
    quick=True,
    text=True,
    libraries=("regex",),
    drops=_explain,
    columns=lambda: columns(SCHEMA, COLUMNS),
    reasons=lambda: REASONS,
)
