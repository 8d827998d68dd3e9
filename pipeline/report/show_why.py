"""`why` and `sample` on the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from pipeline.config import Config
from pipeline.core.progress import safe
from pipeline.filters.rules import Reason, Rule
from pipeline.report.show_tokens import show_token
from pipeline.report.why import Cut, Edited, Verdict, Why
from pipeline.stages.edit import EDIT

SNIPPET = 300
"""Characters shown of a text."""
LINES = 20
"""Shown of removed lines and of cuts."""


def show_why(config: Config, document: Why, console: Console) -> None:
    """One document: where it is from, each stage with values and failed rules, its place in the products."""
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
        for name, value in stage.values.items():
            if name not in failed and value is not None:
                _show_line(name, _number(value) + (_limits(rules[name]) if name in rules else ""), console)
        if stage.name == "quality" and document.edit:
            _show_edit(document.edit, stage.values, config.edit.functions, console)
        if stage.name == "duplicates" and document.cuts:
            _show_cuts(document.cuts, console)
    if document.clean:
        console.print("[bold]products[/]")
        _show_line("clean", document.clean, console)
    if place := document.shards:
        tokens = f"{place.split} tokens {place.start:,} to {place.start + place.length:,}"
        _show_line("shards", tokens, console)


def show_sample(document: Why, console: Console) -> None:
    """A document in a few lines: where it is from, why it was dropped, how its text begins."""
    record = document.record
    console.print(f"[bold]{safe(str(record.url))}[/]   {safe(record.id)}", highlight=False, soft_wrap=True)
    for stage in document.stages:
        _show_failed(stage, console)
    text = (document.edit.text if document.edit else record.text) or ""
    shown = " ".join(text.split()) if record.text else ""
    console.print(f"  {safe(shown[:SNIPPET])}{'…' if len(shown) > SNIPPET else ''}\n", highlight=False, soft_wrap=True)


def _show_line(name: str, text: Any, console: Console) -> None:
    console.print(f"  {name:<33} {safe(str(text))}", highlight=False, soft_wrap=True)


def _show_record(document: Why, console: Console) -> None:
    record = document.record
    console.print(f"[bold]{safe(str(record.url or record.id))}[/]", highlight=False, soft_wrap=True)
    end = record.offset + record.length
    lines = [
        ("id", record.id),
        ("archive", f"{record.file}, bytes {record.offset:,} to {end:,} (record {record.row:,})"),
        ("record", f"{record.record_type}, {record.date}, HTTP {record.http_status}, {record.content_type}"),
    ]
    if record.encoding is not None:
        declared = f"(declared {record.declared_encoding}; by {record.encoding_from})"
        lines.append(("encoding", f"{record.encoding} {declared}"))
    lines.append(("title", str(record.title)))
    if record.published is not None:
        lines.append(("published", record.published))
    if record.text is not None:
        lines.append(("text", f"{len(record.text):,} characters: {record.text[:SNIPPET]!r}"))
    for name, text in lines:
        _show_line(name, text, console)


def _show_failed(stage: Verdict, console: Console) -> None:
    for failure in stage.dropped or ():
        value = "" if failure.value is None else f" = {_number(failure.value)}"
        bound = "" if failure.bound is None else f"   ({failure.bound})"
        console.print(f"  [red]✗[/] {safe(failure.rule + value + bound)}", highlight=False, soft_wrap=True)


def _show_edit(edit: Edited, values: Mapping[str, Any], functions: Sequence[str], console: Console) -> None:
    """The lines that line edits removed, and how much each function of a plugin removed: the ledger has only counts of it."""
    console.print(f"[bold]edit[/]: {len(edit.removed)} lines removed or changed, {len(edit.text):,} characters left")
    for removed in edit.removed[:LINES]:
        text = safe(removed.line.strip())
        console.print(f"  [red]-[/] {removed.rule:<31} {text}", highlight=False, soft_wrap=True)
    if len(edit.removed) > LINES:
        console.print(f"    … {len(edit.removed) - LINES:,} more (--json has all)", highlight=False)
    for name in functions:
        lines, words = (values[f"{EDIT.prefix}removed_{unit}.{name}"] for unit in ("lines", "words"))
        if lines or words:
            console.print(f"  [red]-[/] {name:<31} removed lines: {lines:,}, words: {words:,}", highlight=False)


def _show_cuts(cuts: Sequence[Cut], console: Console) -> None:
    console.print(f"[bold]cuts[/]: {len(cuts)} places, each with the step that cuts it", highlight=False)
    for cut in cuts[:LINES]:
        text = " ".join(cut.text.split())
        shown = safe(f"{cut.start:,}-{cut.end:,}  {text[:SNIPPET]}{'…' if len(text) > SNIPPET else ''}")
        console.print(f"  [red]-[/] {cut.rule:<31} {shown}", highlight=False, soft_wrap=True)
    if len(cuts) > LINES:
        console.print(f"    … {len(cuts) - LINES:,} more (--json has all)", highlight=False)


def _number(value: Any) -> str:
    if isinstance(value, list):  # evaluation items
        return ", ".join(f"{item['item']} ({item['share']:.0%})" for item in value) or "nothing"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)


def _limits(rule: Rule) -> str:
    limits = ", ".join(f"{name} {value:g}" for name, value in rule.limits())
    return f"   ({limits})" if limits else ""
