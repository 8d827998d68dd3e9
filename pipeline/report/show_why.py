"""`why` and `sample` on the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.config import Config
from pipeline.core.progress import safe
from pipeline.core.screen import counted, field, paragraph
from pipeline.filters.rules import Reason, Rule
from pipeline.report.show_tokens import show_token
from pipeline.report.why import Cut, Edited, Verdict, Why
from pipeline.run.steps import deciders
from pipeline.stages.edit import EDIT

SNIPPET = 300
"""Characters shown of a text."""
LINES = 20
"""Shown of removed lines and of cuts."""


def show_why(config: Config, document: Why, console: Console, *, everything: bool = False) -> None:
    """One document: where it is from, each stage with values and failed rules, its place in the products.

    Of the signals, those that a rule is on; with `everything`, all.
    """
    if document.token:
        show_token(document.token, console)
    _show_record(document, console)
    for stage in document.stages:
        if stage.dropped is None:
            continue
        console.print(f"[bold]{stage.name}[/]: {'[red]dropped[/]' if stage.dropped else '[green]kept[/]'}")
        _show_failed(stage, console)
        failed = {Reason.parse(failure.rule).signal for failure in stage.dropped}
        rules = {rule.signal: rule for rule in config.rules} if stage.name == "quality" else {}
        language = document_language(document)
        values = {name: value for name, value in stage.values.items() if name not in failed and value is not None}
        shown = values if everything or not rules else {name: value for name, value in values.items() if name in rules}
        for name, value in shown.items():
            limits = _limits(rules[name], language) if name in rules else ""
            _show_line(name, _number(value) + limits, console)
        if hidden := len(values) - len(shown):
            console.print(f"  and {counted(hidden, 'more value')} without a rule (--all shows them)", highlight=False)
        if stage.name == "quality" and document.edit:
            _show_edit(document.edit, stage.values, config.edit.functions, console)
        if stage.name == "duplicates" and document.cuts:
            _show_cuts(document.cuts, console)
    if waiting := list(deciders(config))[len(document.stages) :]:
        console.print(f"not decided yet: {', '.join(waiting)}; run it again", highlight=False)
    if document.clean:
        console.print("[bold]products[/]")
        _show_line("clean", document.clean, console)
    if place := document.shards:
        tokens = f"{place.split} tokens {place.start:,} to {place.start + place.length:,}"
        _show_line("shards", tokens, console)


def show_sample(document: Why, console: Console) -> None:
    """A document in a few lines: where it is from, why it was dropped, how its text begins."""
    record = document.record
    console.print(f"[bold]{safe(record.url or record.id)}[/]", highlight=False, soft_wrap=True)
    if record.url:
        console.print(f"  {safe(record.id)}", highlight=False)
    for stage in document.stages:
        _show_failed(stage, console)
    text = (document.edit.text if document.edit else record.text) or ""
    shown = " ".join(text.split()) if record.text else ""
    if shown:
        cut = f"{safe(shown[:SNIPPET])}{'…' if len(shown) > SNIPPET else ''}"
        paragraph(Text.from_markup(cut), console)
    console.print()


def _show_line(name: str, text: Any, console: Console) -> None:
    field(name, Text.from_markup(safe(str(text))), console)


def _show_record(document: Why, console: Console) -> None:
    record = document.record
    console.print(f"[bold]{safe(str(record.url or record.id))}[/]", highlight=False, soft_wrap=True)
    end = record.offset + record.length
    lines = [
        ("id", record.id),
        ("archive", f"{record.file}, bytes {record.offset:,} to {end:,} (record {record.row:,})"),
        ("record", ", ".join(str(part) for part in _described(document) if part is not None)),
    ]
    if record.encoding is not None:
        declared = f"declared {record.declared_encoding}; " if record.declared_encoding else "none declared; "
        lines.append(("encoding", f"{record.encoding} ({declared}by {record.encoding_from})"))
    if record.title is not None:
        lines.append(("title", record.title))
    if record.refers_to is not None:
        lines.append(("same as", record.refers_to))
    if record.published is not None:
        lines.append(("published", record.published))
    if record.text_from is not None:
        lines.append(("text from", ", ".join(record.text_from)))
    lines += [(name, repr(value[:SNIPPET])) for name, value in record.kept.items() if value is not None]
    if record.text is not None:
        lines.append(("text", f"{len(record.text):,} characters: {record.text[:SNIPPET]!r}"))
    for name, text in lines:
        _show_line(name, text, console)


def _described(document: Why) -> tuple[str | None, ...]:
    """Type, date, status and content type, as far as the record has them."""
    record = document.record
    status = None if record.http_status is None else f"HTTP {record.http_status}"
    return record.record_type, record.date, status, record.content_type


def document_language(document: Why) -> str | None:
    """The label that the run gave it."""
    return next((stage.values["language"] for stage in document.stages if stage.values.get("language")), None)


def _show_failed(stage: Verdict, console: Console) -> None:
    for failure in stage.dropped or ():
        value = "" if failure.value is None else f" = {_number(failure.value)}"
        bound = "" if failure.bound is None else f"   ({failure.bound})"
        console.print(f"  [red]✗[/] {safe(failure.rule + value + bound)}", highlight=False, soft_wrap=True)


def _show_edit(edit: Edited, values: Mapping[str, Any], functions: Sequence[str], console: Console) -> None:
    """The lines that line edits removed, and how much each function of a plugin removed: the ledger has only counts of it."""
    console.print(
        f"[bold]edit[/]: {counted(len(edit.removed), 'line')} removed or changed, {len(edit.text):,} characters left"
    )
    for removed in edit.removed[:LINES]:
        text = safe(removed.line.strip())
        field(f"- {removed.rule}", Text.from_markup(text), console)
    if len(edit.removed) > LINES:
        console.print(f"    … {len(edit.removed) - LINES:,} more (--json has all)", highlight=False)
    for name in functions:
        lines, words = (values[f"{EDIT.prefix}removed_{unit}.{name}"] for unit in ("lines", "words"))
        if lines or words:
            field(f"- {name}", Text(f"removed lines: {lines:,}, words: {words:,}"), console)


def _show_cuts(cuts: Sequence[Cut], console: Console) -> None:
    console.print(f"[bold]cuts[/]: {counted(len(cuts), 'place')}, each with the step that cuts it", highlight=False)
    for cut in cuts[:LINES]:
        text = " ".join(cut.text.split())
        shown = safe(f"{cut.start:,}-{cut.end:,}  {text[:SNIPPET]}{'…' if len(text) > SNIPPET else ''}")
        field(f"- {cut.rule}", Text.from_markup(shown), console)
    if len(cuts) > LINES:
        console.print(f"    … {len(cuts) - LINES:,} more (--json has all)", highlight=False)


def _number(value: Any) -> str:
    if isinstance(value, list):  # evaluation items
        return ", ".join(f"{item['item']} ({item['share']:.0%})" for item in value) or "nothing"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)


def _limits(rule: Rule, language: str | None) -> str:
    """The bounds of a rule, and where it does not apply to the document, to what it does."""
    limits = ", ".join(f"{name} {value:g}" for name, value in rule.limits())
    if rule.languages and language and language not in rule.languages:
        limits += f"; {', '.join(rule.languages)} only"
    return f"   ({limits})"
