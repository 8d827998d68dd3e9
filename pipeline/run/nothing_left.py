"""A run that read nothing, or of which a stage dropped everything, ends with an error that says why."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.ledger import alive_rows, read, rows_in
from pipeline.core.step import Step
from pipeline.errors import UserError
from pipeline.extract.inputs.forms import form_of
from pipeline.extract.options import NOT_PAGES
from pipeline.run.run import Run
from pipeline.run.steps import stage_of
from pipeline.stages.extract import EXTRACT

_NOT_AN_ARCHIVE = "the files are damaged, or not of the kind that their names say"
_MISTAKES = {
    "extract.record_type": "extract.record_types does not name the types of these records",
    "extract.revisit": "the pages are in archives that were recorded before; add them to input.paths",
    "extract.http_status": "the archives hold errors or redirects instead of pages",
    "extract.not_html": "the archives hold pictures, scripts or PDF instead of pages",
    "extract.too_large": "extract.max_record_bytes is too small for this input",
    "extract.too_deep": "extract.max_depth is too small for this input",
    "extract.bad_record": _NOT_AN_ARCHIVE,
    "extract.bad_gzip": _NOT_AN_ARCHIVE,
    "extract.truncated": _NOT_AN_ARCHIVE,
    "extract.bad_coding": _NOT_AN_ARCHIVE,
    "extract.extractor_failed": "extract.extractor cannot read these pages",
    "extract.prescreen_language": "language.keep does not name the languages of this input",
    "extract.crashed": "the workers lack memory",
    "language.keep": "language.keep does not name the languages of this input",
    "language.min_score": "language.min_score is too high for this input",
    "duplicates.exact": "the input, or a copy of it, is also in a run of duplicates.against",
    "duplicates.minhash": "the input, or a copy of it, is also in a run of duplicates.against",
    "duplicates.contamination": "decontaminate.against names the input itself, or texts as common as its own",
    "quality.contamination": "decontaminate.against names the input itself, or texts as common as its own",
}
"""stage.rule -> the likely mistake where the rule drops everything; `_likely_mistake` has the other rules."""


def check_something_left(run: Run, step: Step) -> None:
    """UserError if no row is kept by `step`, the last dropping step of its stage, which is done.

    The message names the rule that dropped most, its share, and the likely mistake. Files are read only up to the first one
    with a kept row.
    """
    files = [run.file(step, part) for part in run.parts]
    if any(alive_rows(file).any() for file in files):
        return
    stage = stage_of(step)
    reading = stage == stage_of(EXTRACT)
    if reading and not any(rows_in(file) for file in files):
        raise UserError(
            f"{run.root}: nothing was read: {run.config.input.described} has no record; is the input empty?"
        )
    reasons: Counter[str] = Counter()
    entered = 0
    for file in files:
        dropped = read(file, ["dropped"])["dropped"].combine_chunks()
        entered += len(dropped) - dropped.null_count
        for count in pc.value_counts(pc.list_flatten(dropped)).to_pylist():
            reasons[count["values"]] += count["counts"]
    skipped = 0
    for reason in NOT_PAGES if reading else ():  # named only where there is no other
        if skipped + reasons[reason] < entered:
            skipped += reasons.pop(reason, 0)
    rule, failed = min(reasons.items(), key=lambda item: (-item[1], item[0]))
    pages = entered - skipped
    share = f"{failed:,} of {pages:,} ({failed / pages:.0%})"
    if failed == pages:
        share = "the only" if pages == 1 else f"all {pages:,}"
    noun = ("record" if reading else "document") + "s" * (pages != 1)
    others = ", other rules the rest" if failed < pages else ""
    raise UserError(
        f"{run.root}: nothing is left after the {stage} stage: {stage}.{rule} dropped {share} {noun}{others}"
        f"{_first_detail(run, rule) if reading else ''}. Likely, {_likely_mistake(run, stage, rule)}; "
        f"python -m pipeline stats {run.root} counts every reason"
    )


def _first_detail(run: Run, rule: str) -> str:
    """What the extract stage says of the first row that `rule` dropped, in brackets; empty if it says nothing."""
    for part in run.parts:
        table = read(run.file(EXTRACT, part), ["dropped", "detail"])
        for reasons, detail in zip(table["dropped"].to_pylist(), table["detail"].to_pylist(), strict=True):
            if rule in reasons:
                return f" (the first: {detail})" if detail else ""
    return ""


def _likely_mistake(run: Run, stage: str, rule: str) -> str:
    """The likely reason why `rule` drops everything, as a clause."""
    other_type = rule == "bad_record" and _first_detail(run, rule).endswith(", not text)")
    if (known := _MISTAKES.get(f"{stage}.{rule}")) and not other_type:
        return known
    if rule in ("empty_text", "empty_body") or other_type:
        table = _holds_documents(run)
        column, key = (run.config.input.html, "html") if run.config.input.html else (run.config.input.text, "text")
        return f"{column!r} is not the right key for input.{key}" if table else "the pages have no text of their own"
    if rule.startswith("url_"):
        return "the rules in [url] match every address"
    if stage == "quality":
        name = rule if rule.startswith("edited.") else f"quality.{rule}"
        return f"{name} is too strict, or is made for another kind of text"
    return f"[{stage}] is too strict for this input"


def _holds_documents(run: Run) -> bool:
    """Whether the first row is a document of a table, not a record of an archive nor a file."""
    if run.parts and form_of(run.parts[0].pieces[0].path) in ("text", "html"):
        return False
    for part in run.parts:
        types = read(run.file(EXTRACT, part), ["record_type"])["record_type"]
        if len(types):
            return bool(pa.scalar("document") == types[0])
    return False
