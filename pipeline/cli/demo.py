"""The command that makes something to try the others on: crawl."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import Quiet, console
from pipeline.errors import UserError


def crawl(
    out: Annotated[Path, typer.Argument(metavar="OUT.warc.gz", help="The archive to write.")],
    quiet: Quiet = False,
) -> None:
    """Create a sample archive to try the pipeline on.

    It holds our sample pages and your Python's documentation, served and recorded over HTTP.
    """
    from rich.progress import Progress

    from pipeline.core.progress import safe
    from pipeline.core.screen import byte_size, counted
    from pipeline.demo.crawl import ENDING, crawl
    from pipeline.extract.inputs.files import local_directory

    screen = console(quiet=quiet)
    if not out.name.endswith(ENDING):
        raise UserError(f"{out}: the archive's name must end in {ENDING}")
    local_directory(out.parent)
    screen.print("rendering your Python's documentation, then crawling it", highlight=False)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out.parent}: cannot be made: {error.strerror}") from None
    with Progress(console=screen, transient=True, disable=quiet or not screen.is_terminal) as bar:
        task = bar.add_task("crawl", total=None)
        summary = crawl(out, progress=lambda done, total: bar.update(task, completed=done, total=total))
    screen.print(
        f"{counted(summary.pages, 'page')}, {byte_size(summary.bytes)} in {safe(str(summary.path))}",
        highlight=False,
        soft_wrap=True,
    )
    screen.print("next: python -m pipeline run quickstart", highlight=False)
