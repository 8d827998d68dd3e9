"""`stats` on the terminal, and the summary at the end of a run."""

from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from pipeline.core.progress import safe
from pipeline.core.screen import byte_size, counted, paragraph, table
from pipeline.extract.options import NOT_PAGES
from pipeline.filters.rules import Reason
from pipeline.report.stats import RuleCounts, Stage, Stats

LANGUAGES = 40
"""Shown, the most frequent."""
WIDE = 120
"""Columns from which on a rule's meaning is beside it, not below."""
_TELLING = 10
"""Documents of a language from which its share says something."""


def show_stats(report: Stats, console: Console) -> None:
    """The funnel, the rules with their bounds, the edits, the cuts and the languages as tables."""
    show_funnel(report, console)
    for stage in report.stages:
        if any(rule not in NOT_PAGES for rule in stage.rules):
            _show_rules(stage, console)
    if any(edit.documents for edit in report.edits.values()):
        edits = table("documents", "lines", "words", "edit", right=("documents", "lines", "words"), title="edits")
        for name, edit in report.edits.items():
            if edit.documents:
                edits.add_row(f"{edit.documents:,}", f"{edit.lines:,}", f"{edit.words:,}", f"edit.{safe(name)}")
        console.print("\nedits: what each took out, of documents that came to the quality stage", highlight=False)
        console.print(edits)
    if report.cuts:
        console.print()
    for name, cut in report.cuts.items():
        places = f"{counted(cut.places, 'place')} of {counted(cut.documents, 'document')}"
        console.print(f"{name} cuts {cut.bytes:,} bytes in {places}", highlight=False)
    if report.languages:
        _show_languages(report, console)
    _show_low_scores(report, console)


def _show_languages(report: Stats, console: Console) -> None:
    languages = table("language", "in", "kept after quality", right=("in", "kept after quality"))
    for code, counts in list(report.languages.items())[:LANGUAGES]:
        languages.add_row(safe(code), f"{counts.entered:,}", f"{counts.kept:,}")
    console.print(f"\n{counted(len(report.languages), 'language')}", highlight=False)
    console.print(languages)
    if len(report.languages) > LANGUAGES:
        console.print(f"  and {len(report.languages) - LANGUAGES:,} more (--json has all)", highlight=False)


def _show_low_scores(report: Stats, console: Console) -> None:
    """A line for each kept language that loses most of its documents to its score."""
    for code, counts in report.languages.items():
        if counts.entered >= _TELLING and counts.low_score > counts.entered / 2:
            console.print(
                f"language {safe(code)}: {counts.low_score:,} of {counts.entered:,} documents are below its lowest score; "
                f"the model may be less sure of this language (language.min_scores.{safe(code)}) or confuse it with others "
                "(language.groups)",
                highlight=False,
                soft_wrap=True,
            )


def _show_rules(stage: Stage, console: Console) -> None:
    """A line for each rule, with its bound, the strictest first. Records that are not pages are no drops."""
    rules = {rule: counts for rule, counts in stage.rules.items() if rule not in NOT_PAGES}
    dropped = stage.dropped - sum(stage.rules[rule].failed for rule in NOT_PAGES if rule in stage.rules)
    console.print(f"\n[bold]{stage.name}[/]: {dropped:,} dropped", highlight=False)
    wide = console.width >= WIDE
    shown = table("failed", "only this", "rule", *(("meaning",) if wide else ()), right=("failed", "only this"))
    if wide:
        shown.columns[2].no_wrap = True
    for rule, counts in rules.items():
        name, meaning = _named(stage.name, rule, counts)
        lines = (name, meaning) if wide else (Group(name, Padding(meaning, (0, 0, 0, 2))),)
        shown.add_row(f"{counts.failed:,}", f"{counts.only:,}", *lines)
    console.print(shown)
    for bound in stage.bounds:
        language = f" {safe(bound.language)}" if bound.language else ""
        console.print(
            f"  {safe(bound.rule)}: bound {bound.value:.6g} among {bound.documents:,}{language} documents",
            highlight=False,
        )


def _named(stage: str, rule: str, counts: RuleCounts) -> tuple[Text, Text]:
    """A rule with its bound, as in a config, and what it looks at."""
    name = str(Reason.of(stage, rule))
    bound = counts.bound or ""
    key, _, value = bound.partition(" = ")
    if value and name.endswith(f".{key}"):
        name, bound = f"{name} = {value}", ""
    meaning = f"{counts.meaning}{'; ' * bool(counts.meaning and bound)}{bound}"
    return Text.from_markup(safe(name)), Text.from_markup(safe(meaning), style="dim")


def _listed(report: Stats, noun: str) -> str:
    """How many records are pages, and what the others are."""
    unchanged = report.revisits.total if report.revisits else 0
    others = report.input - report.pages - unchanged
    kinds = [counted(report.pages, noun)]
    kinds += [counted(unchanged, "unchanged page")] if unchanged else []
    kinds += [f"{others:,} requests and archive headers"] if others else []
    return " and ".join([", ".join(kinds[:-1]), kinds[-1]] if len(kinds) > 1 else kinds)


def show_funnel(report: Stats, console: Console) -> None:
    """A line for each stage that ran: what came in, what stayed, and a bar."""
    numbers = ("in", "kept", "dropped", "CPU s")
    noun = "document" if "document" in report.records and not {*report.records} - {"document", "unreadable"} else "page"
    funnel = table("stage", "in", "kept", "dropped", f"of {noun}s", "CPU s", right=numbers)
    funnel.columns[4].no_wrap = True
    others = report.input - report.pages
    whole = all(stage.parts.done == stage.parts.total for stage in report.stages[:1])
    waiting = []
    for index, stage in enumerate(report.stages):
        parts = stage.parts
        if not parts.done and not parts.outdated:
            waiting.append(stage.name)
            continue
        not_pages = 0 if index else others
        share = stage.kept / max(1, report.pages)
        outdated = f", {parts.outdated} outdated" if parts.outdated else ""
        unfinished = "" if parts.done == parts.total else f" ({parts.done} of {parts.total} parts{outdated})"
        funnel.add_row(
            stage.name + unfinished,
            f"{stage.entered - not_pages:,}",
            f"{stage.kept:,}",
            f"{stage.dropped - not_pages:,}",
            f"{'█' * round(20 * share):<20} {share:6.1%}" if whole and not unfinished else "unknown",
            f"{stage.seconds:,.1f}",
        )
    console.print(f"[bold]{counted(report.input, 'record')}[/]: {_listed(report, noun)}", highlight=False)
    if report.revisits:
        text = (
            f"unchanged pages (revisits) are in earlier records: {report.revisits.here:,} of them among the inputs, "
            f"{report.revisits.total - report.revisits.here:,} elsewhere"
        )
        paragraph(Text(text), console)
    console.print(funnel)
    if report.changed:
        more = f" and {len(report.changed) - 1:,} more" if len(report.changed) > 1 else ""
        text = f"{safe(report.changed[0])}{more}: missing, or changed since it was written; the next run makes it again"
        paragraph(Text.from_markup(text, style="red"), console)
    if waiting:
        console.print(f"  not run yet: {', '.join(waiting)}", highlight=False)
    if report.outdated:
        console.print(
            f"  outdated, made with other settings, code or libraries: {', '.join(report.outdated)}", highlight=False
        )


def show_summary(report: Stats, console: Console) -> None:
    """The end of a run: the funnel, the strictest rules, tokens, loss, where the products are, what to type next."""
    console.print()
    show_funnel(report, console)
    strictest = report.strictest_rules(3)
    if strictest:
        shown = table("", "")
        shown.show_header, shown.padding = False, (0, 2, 0, 0)
        shown.add_row(f"{'removed most':<16}", ", ".join(f"{safe(rule)} ({count:,})" for rule, count in strictest))
        console.print(shown)
    _show_low_scores(report, console)
    for name, text in _products(report):
        console.print(f"{name:<17} {safe(text)}", highlight=False, soft_wrap=True)
    run = safe(str(report.run))
    commands = [f"python -m pipeline stats {run}"]
    if strictest:
        commands.append(f"python -m pipeline sample {run} --dropped-by {safe(strictest[0][0])}")
    if report.train:
        commands.append(f'python -m pipeline generate {run} --prompt "The module"')
    console.print("\nnext: " + "\n      ".join(commands), highlight=False, soft_wrap=True)


def _products(report: Stats) -> list[tuple[str, str]]:
    """The products that are there: (name, figures and place)."""
    clean = report.clean
    lines = []
    if clean.documents:
        size = f"{counted(clean.documents, 'document')}, {byte_size(clean.bytes)}"
        lines.append(("clean text", f"{size}   {report.run}/clean/*.parquet"))
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
