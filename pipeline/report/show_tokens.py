"""`tokens`, and the token of `why --token`, on the terminal."""

from rich.console import Console
from rich.text import Text

from pipeline.core.progress import safe
from pipeline.core.screen import field, paragraph, table
from pipeline.report.tokens import LanguageFigures, SplitFigures, TokenPlace, Tokens

_FIGURES = ("documents", "tokens", "bytes", "bytes per token")


def show_tokens(report: Tokens, console: Console) -> None:
    """Splits, languages, the longest and the unused tokens, samples."""
    count = sum(split.tokens for split in report.splits.values())
    _line(f"{count:,} tokens of a vocabulary of {report.vocab_size:,}, as {report.dtype}", console)
    splits = table("split", "shards", *_FIGURES, right=("shards", *_FIGURES))
    for name, split in report.splits.items():
        splits.add_row(name, f"{split.shards:,}", *_figures(split))
    console.print(splits)
    console.print()
    languages = table("language", *_FIGURES, right=_FIGURES)
    for name, language in report.languages.items():
        languages.add_row(safe(name), *_figures(language))
    console.print(languages)
    console.print()
    for title, entries in (
        ("longest tokens", report.longest),
        (f"unused tokens ({report.unused.count:,})", report.unused.first),
    ):
        shown = "  ".join(safe(repr(entry.token)) for entry in entries)
        _line(f"[bold]{title}[/]", console)
        paragraph(Text.from_markup(shown or "none"), console)
    console.print("[bold]samples[/]")
    for sample in report.samples:
        text = safe(" ".join(sample.text.split()))
        paragraph(Text.from_markup(f"token {sample.position:,} ({safe(sample.id)}): {text}"), console)
    if report.samples:
        _line(f"next: python -m pipeline why {safe(str(report.run))} --token {report.samples[-1].position}", console)


def show_token(place: TokenPlace, console: Console) -> None:
    """Where a token is, to stand above its document."""
    token = safe(repr(place.bytes))
    _line(f"[bold]token {place.position:,} of {place.split}[/]: {token}, id {place.id}", console)
    index = place.position - place.document.start
    before, marked, after = (safe(repr(text)[1:-1]) for text in (place.before, place.bytes, place.after))
    for name, text in (
        ("shard", f"{safe(place.shard)}, offset {place.offset:,}"),
        ("in its document", f"token {index:,} of {place.document.length:,}"),
        ("in its text", f"UTF-8 bytes {place.text_start:,} to {place.text_end:,}"),
        ("around it", f"{before}[reverse]{marked}[/]{after}"),
    ):
        field(name, Text.from_markup(text), console)


def _line(text: str, console: Console) -> None:
    console.print(text, highlight=False, soft_wrap=True)


def _figures(entry: SplitFigures | LanguageFigures) -> list[str]:
    density = "" if entry.bytes_per_token is None else f"{entry.bytes_per_token:.2f}"
    return [f"{entry.documents:,}", f"{entry.tokens:,}", f"{entry.bytes:,}", density]
