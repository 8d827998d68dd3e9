"""`mix` on the terminal."""

from rich.console import Console

from pipeline.core.progress import safe
from pipeline.core.screen import table
from pipeline.tokenize.shards import Shards

LANGUAGES = 4
"""Shown of each source."""


def show_mix(opened: Shards, console: Console) -> None:
    """What went in, as a table."""
    for split, sources in opened.manifest["mixture"].items():
        if split not in opened.splits:
            continue
        numbers = ("weight", "share", "tokens", "documents", "epochs")
        shown = table(split, *numbers, "languages", right=numbers)
        for name, entry in sources.items():
            ranked = sorted(entry["languages"].items(), key=lambda item: (-item[1], item[0]))
            languages = [f"{safe(code)} {tokens / max(1, entry['tokens']):.1%}" for code, tokens in ranked]
            more = f" and {len(languages) - LANGUAGES} more" if len(languages) > LANGUAGES else ""
            shares = [f"{entry[key]:.2%}" for key in ("weight", "share")]
            counts = [f"{entry[key]:,}" for key in ("tokens", "documents")]
            shown.add_row(
                safe(name), *shares, *counts, f"{entry['epochs']:.2f}", ", ".join(languages[:LANGUAGES]) + more
            )
        console.print(shown)
    console.print(f"shards: {safe(str(opened.directory))}", highlight=False, soft_wrap=True)
