"""Commands that do work: run, train."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.console import Quiet, Sets, Workers, console
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.config import Config


DEMO = "runs/demo.warc.gz"
"""The input of the config quickstart."""


def run(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="A config file (configs/quickstart.toml explains every key), a recipe, or a run, for its own config.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Run directory. Default: the config's `out`, or runs/ and its name."),
    ] = None,
    set_: Sets = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE",
            help="Stop after this stage, such as clean or shards; an unknown one lists all. Of a run: its last one.",
        ),
    ] = None,
    workers: Workers = None,
    engine: Annotated[str, typer.Option(metavar="ENGINE", help="local (this machine) or ray (a cluster).")] = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which steps would be done, and why; write nothing.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Read archives, clean, deduplicate, tokenize, train.

    You can stop it at any time and run the same command again: finished work is kept. After a change of a threshold it
    decides again in seconds, without measuring again; add --until clean to see the effect before training on it.
    """
    from pipeline.config_file import load
    from pipeline.config_names import config_path
    from pipeline.run.run import open_run, own_config

    if (config / "config.json").is_file():
        loaded, root = own_config(config, set_ or []), out or config
        until = until or open_run(config).last_stage()  # not further than it was: training may take hours
    else:
        loaded = load(config_path(config), set_ or [])
        root = out or Path(loaded.out or Path("runs") / config.stem)
    root = root.expanduser()
    if DEMO in loaded.input.paths and not Path(DEMO).exists():
        raise UserError(
            f"{DEMO}: no such file; python -m pipeline crawl {DEMO} makes it, or name your own with --set input.paths=…"
        )
    if dry_run:
        _dry_run(root, loaded, until or loaded.until, engine)
        return
    _run(root, loaded, until or loaded.until, workers, engine, quiet)


def train(
    source: Annotated[
        Path, typer.Argument(metavar="CONFIG|RUN", help="A config file, or a run directory that has shards.")
    ],
    set_: Sets = None,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="Run directory, where a config is given.")] = None,
    quiet: Quiet = False,
) -> None:
    """Train the model on a run's shards, or train it again.

    --set train.steps=2000 trains it with other settings.
    """
    from pipeline.config_file import load
    from pipeline.config_names import is_name, named_configs
    from pipeline.run.run import check_shards, retrained

    if not source.exists() and is_name(source) and str(source) not in named_configs():
        raise UserError(f"{source}: no such run directory, config file or recipe")
    if source.is_dir():
        root, config = source, retrained(source, set_ or [])
        check_shards(source)
    else:
        config = load(source, set_ or [])
        root = (out or Path(config.out or Path("runs") / source.stem)).expanduser()
    _run(root, config, "train", None, "local", quiet)


def _dry_run(root: Path, config: "Config", until: str, engine: str) -> None:
    """Show what a run would do."""
    from pipeline.report.show_dry_run import show_dry_run
    from pipeline.run.dry_run import dry_run

    show_dry_run(dry_run(root, config, until, engine), console())


def _run(root: Path, config: "Config", until: str, workers: int | None, engine: str, quiet: bool) -> None:
    """Run with progress on the console, and a summary at the end."""
    from rich.console import Console

    from pipeline.core.engines import disk_message, is_disk_error
    from pipeline.core.progress import Display
    from pipeline.extract.inputs.files import local_directory
    from pipeline.report.show_stats import show_summary
    from pipeline.report.stats import stats
    from pipeline.run.log import write_log
    from pipeline.run.runner import run

    local_directory(root)
    display = Display(console(quiet=quiet))
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
    account = stats(finished)
    show_summary(account, console(quiet=quiet))
    summary = io.StringIO()
    show_summary(account, Console(file=summary, width=160))
    write_log(root, "summary", summary.getvalue().strip("\n"))
