"""`stats` on the terminal, and the summary at the end of a run."""

from rich.console import Console
from rich.table import Table

from pipeline.core.progress import safe
from pipeline.report.stats import Stage, Stats

LANGUAGES = 15
"""Shown, the most frequent."""
_TELLING = 10
"""Documents of a language from which its share says something."""


def show_stats(report: Stats, console: Console) -> None:
    """The funnel, the rules, the cuts and the languages as tables."""
    show_funnel(report, console)
    for stage in report.stages:
        if stage.rules:
            _show_rules(stage, console)
    for name, cut in report.cuts.items():
        console.print(
            f"{name} cuts {cut.bytes:,} bytes in {cut.places:,} places of {cut.documents:,} documents",
            highlight=False,
        )
    if report.languages:
        table = Table("language", "in", "kept after quality", title="languages", title_justify="left")
        for code, counts in list(report.languages.items())[:LANGUAGES]:
            table.add_row(safe(code), f"{counts.entered:,}", f"{counts.kept:,}")
        console.print(table)
    _show_low_scores(report, console)


def _show_low_scores(report: Stats, console: Console) -> None:
    """A line for each kept language that loses most of its documents to its score."""
    for code, counts in report.languages.items():
        if counts.entered >= _TELLING and counts.low_score > counts.entered / 2:
            console.print(
                f"language {safe(code)}: {counts.low_score:,} of {counts.entered:,} documents are below language.min_score; "
                f"the model may be less sure of this language (language.min_scores.{safe(code)}) or confuse it with others "
                "(language.groups)",
                highlight=False,
                soft_wrap=True,
            )


def _show_rules(stage: Stage, console: Console) -> None:
    title = f"{stage.name}: dropped {stage.dropped:,}"
    table = Table("rule", "failed", "by this alone", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for rule, counts in stage.rules.items():
        table.add_row(safe(f"{stage.name}.{rule}"), f"{counts.failed:,}", f"{counts.only:,}")
    console.print(table)
    for bound in stage.bounds:
        language = f" {safe(bound.language)}" if bound.language else ""
        console.print(
            f"  {safe(bound.rule)}: bound {bound.value:.6g} among {bound.documents:,}{language} documents",
            highlight=False,
        )


def show_funnel(report: Stats, console: Console) -> None:
    """A line for each stage: what came in, what stayed, and a bar."""
    table = Table("stage", "in", "kept", "dropped", "of input", "CPU s", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    whole = all(stage.parts.done == stage.parts.total for stage in report.stages[:1])
    for stage in report.stages:
        share = stage.kept / max(1, report.pages)
        parts = stage.parts
        outdated = f", {parts.outdated} outdated" if parts.outdated else ""
        unfinished = "" if parts.done == parts.total else f" ({parts.done} of {parts.total} parts{outdated})"
        table.add_row(
            stage.name + unfinished,
            f"{stage.entered:,}",
            f"{stage.kept:,}",
            f"{stage.dropped:,}",
            f"{'█' * round(20 * share):<20} {share:6.1%}" if whole and not unfinished else "unknown",
            f"{stage.seconds:,.1f}",
        )
    others = report.input - report.pages
    console.print(
        f"[bold]{report.input:,} records[/]: {report.pages:,} pages and {others:,} requests and archive headers"
    )
    console.print(table)


def show_summary(report: Stats, console: Console) -> None:
    """The end of a run: the funnel, the strictest rules, tokens, loss, where the products are, what to type next."""
    console.print()
    show_funnel(report, console)
    strictest = report.strictest_rules(3)
    if strictest:
        shown = ", ".join(f"{safe(rule)} ({count:,})" for rule, count in strictest)
        console.print(f"removed most      {shown}", highlight=False)
    _show_low_scores(report, console)
    for name, text in _products(report):
        console.print(f"{name:<17} {text}", highlight=False, soft_wrap=True)
    commands = [f"python -m pipeline stats {report.run}"]
    if strictest:
        commands.append(f"python -m pipeline sample {report.run} --dropped-by {strictest[0][0]}")
    if report.train:
        commands.append(f'python -m pipeline generate {report.run} --prompt "The module"')
    console.print("\nnext: " + "\n      ".join(commands), highlight=False, soft_wrap=True)


def _products(report: Stats) -> list[tuple[str, str]]:
    """The products that are there: (name, figures and place)."""
    clean = report.clean
    lines = [
        ("clean text", f"{clean.documents:,} documents, {clean.bytes / 1e6:,.1f} MB   {report.run}/clean/*.parquet")
    ]
    if report.tokenizer:
        bytes_per_token = report.tokenizer["bytes_per_token"]
        lines.append(("tokenizer", f"{bytes_per_token:.2f} bytes per token   {report.run}/tokenizer/tokenizer.json"))
    if report.shards and report.tokens:
        held_out = report.shards.get("validation", {}).get("tokens", 0)
        lines.append(("tokens", f"{report.tokens:,} ({held_out:,} held out)   {report.run}/shards/"))
    if report.train:
        loss = f"{report.train['validation_loss']:.3f} nats per token"
        if report.train["bits_per_byte"] is not None:
            loss += f", {report.train['bits_per_byte']:.3f} bits per byte"
        lines.append(("validation loss", f"{loss}   {report.run}/train/loss.png"))
    return lines
