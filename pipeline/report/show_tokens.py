"""`tokens`, and the token of `why --token`, on the terminal."""

from rich.console import Console
from rich.table import Column, Table

from pipeline.core.progress import safe
from pipeline.report.tokens import LanguageFigures, SplitFigures, TokenPlace, Tokens


def show_tokens(report: Tokens, console: Console) -> None:
    """Splits, languages, the longest and the unused tokens, samples."""
    count = sum(split.tokens for split in report.splits.values())
    _line(f"{count:,} tokens of a vocabulary of {report.vocab_size:,}, as {report.dtype}", console)
    table = Table("split", *_right("shards", "documents", "tokens", "bytes", "bytes/token"))
    for name, split in report.splits.items():
        table.add_row(name, f"{split.shards:,}", *_figures(split))
    console.print(table)
    table = Table("language", *_right("documents", "tokens", "bytes", "bytes/token"))
    for name, language in report.languages.items():
        table.add_row(safe(name), *_figures(language))
    console.print(table)
    for title, entries in (
        ("longest tokens", report.longest),
        (f"unused tokens ({report.unused.count:,})", report.unused.first),
    ):
        shown = "  ".join(safe(repr(entry.token)) for entry in entries)
        _line(f"[bold]{title}[/] {shown or 'none'}", console)
    console.print("[bold]samples[/]")
    for sample in report.samples:
        text = safe(" ".join(sample.text.split()))
        _line(f"  token {sample.position:,} ({safe(sample.id)}): {text}", console)
    if report.samples:
        _line(f"next: python -m pipeline why {report.run} --token {report.samples[-1].position}", console)


def show_token(place: TokenPlace, console: Console) -> None:
    """Where a token is, to stand above its document."""
    token = safe(repr(place.bytes))
    _line(f"[bold]token {place.position:,} of {place.split}[/]: {token}, id {place.id}", console)
    _line(f"  {'shard':<33} {safe(place.shard)}, offset {place.offset:,}", console)
    index = place.position - place.document.start
    _line(f"  {'in its document':<33} token {index:,} of {place.document.length:,}", console)
    _line(f"  {'in its text':<33} UTF-8 bytes {place.text_start:,} to {place.text_end:,}", console)
    before, marked, after = (safe(repr(text)[1:-1]) for text in (place.before, place.bytes, place.after))
    _line(f"  {'around it':<33} {before}[reverse]{marked}[/]{after}", console)


def _line(text: str, console: Console) -> None:
    console.print(text, highlight=False, soft_wrap=True)


def _right(*names: str) -> list[Column]:
    return [Column(name, justify="right") for name in names]


def _figures(entry: SplitFigures | LanguageFigures) -> list[str]:
    density = "" if entry.bytes_per_token is None else f"{entry.bytes_per_token:.2f}"
    return [f"{entry.documents:,}", f"{entry.tokens:,}", f"{entry.bytes:,}", density]
