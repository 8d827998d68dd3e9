"""What commands share: their common options, and how they print."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pipeline.core.plain_text import is_unicode

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key: --set quality.words.min=100. Repeatable."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
AsJson = Annotated[bool, typer.Option("--json", help="All figures as JSON.")]
Workers = Annotated[int | None, typer.Option(metavar="N", min=1, help="Worker processes. Default: one per core.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, such as runs/quickstart.")]


def console(*, stderr: bool = False, quiet: bool = False) -> "Console":
    """Standard output, or standard error, 160 characters wide where it is no terminal; with `quiet` it prints nothing."""
    from rich.console import Console

    return Console(stderr=stderr, quiet=quiet, width=None if (sys.stderr if stderr else sys.stdout).isatty() else 160)


def noting(screen: "Console") -> Callable[[str], None]:
    """A function that prints a line of text, which may name files."""
    from pipeline.core.progress import safe

    return lambda text: screen.print(safe(text), highlight=False, soft_wrap=True)


def report(result: T, show: Callable[[T, "Console"], None], *, as_json: bool) -> None:
    """Show a result, or print it as JSON."""
    if not as_json:
        show(result, console())
        return
    import json

    from pipeline.core.plain_values import plain_values

    text = json.dumps(plain_values(result), indent=1, ensure_ascii=not is_unicode(sys.stdout))
    # Readable in any script, but without what a terminal obeys; JSON itself escapes only what is below a space.
    print("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))  # noqa: T201 (the output itself)
