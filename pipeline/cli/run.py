"""Commands that do work: run, train."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.console import Sets, Workers, console
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.config import Config


def run(
    config: Annotated[
        Path, typer.Argument(help="A config file (configs/quickstart.toml explains every key), or a recipe.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Run directory. Default: the config's `out`, or runs/ and its name.")
    ] = None,
    set_: Sets = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE",
            help="Stop after this stage, such as clean or shards; an unknown one lists all.",
        ),
    ] = None,
    workers: Workers = None,
    engine: Annotated[str, typer.Option(help="local (this machine) or ray (a cluster).")] = "local",
) -> None:
    """Read archives, clean, deduplicate, tokenize, train.

    You can stop it at any time and run the same command again: finished work is kept. After a change of a threshold it
    decides again in seconds, without measuring again; add --until clean to see the effect before training on it.
    """
    from pipeline.config_file import load
    from pipeline.report.recipes import config_path

    loaded = load(config_path(config), set_ or [])
    root = out or Path(loaded.out or Path("runs") / config.stem)
    _run(root, loaded, until or loaded.until, workers, engine)


def train(
    source: Annotated[
        Path, typer.Argument(metavar="CONFIG|RUN", help="A config file, or a run directory that has shards.")
    ],
    set_: Sets = None,
    out: Annotated[Path | None, typer.Option(help="Run directory, where SOURCE is a config.")] = None,
) -> None:
    """Train the model on a run's shards, or train it again with other settings: --set train.steps=2000."""
    from pipeline.config_file import load
    from pipeline.run.run import retrained

    if source.is_dir():
        root, config = source, retrained(source, set_ or [])
    else:
        config = load(source, set_ or [])
        root = out or Path(config.out or Path("runs") / source.stem)
    _run(root, config, "train", None, "local")


def _run(root: Path, config: "Config", until: str, workers: int | None, engine: str) -> None:
    """Run with progress on the console, and a summary at the end."""
    from pipeline.core.engines import disk_message, is_disk_error
    from pipeline.core.progress import Display
    from pipeline.extract.inputs.files import local_directory
    from pipeline.report.show_stats import show_summary
    from pipeline.report.stats import stats
    from pipeline.run.runner import run

    local_directory(root)
    display = Display(console())
    try:
        finished = run(
            root, config, workers=workers or os.cpu_count() or 1, engine=engine, until=until, reporter=display
        )
    except OSError as error:
        if is_disk_error(error):
            raise UserError(disk_message(error, str(root))) from None
        raise
    finally:
        display.close()
    show_summary(stats(finished), console())
