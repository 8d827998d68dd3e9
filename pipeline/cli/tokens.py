"""Commands on tokens: tokens, mix, append, export."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import AsJson, Quiet, RunFolder, Workers, console, noting, report


def tokens(run: RunFolder, as_json: AsJson = False) -> None:
    """Show what the shards and the tokenizer hold.

    Splits, bytes per token by language, the longest and the unused tokens, samples.
    """
    from pipeline.report.show_tokens import show_tokens
    from pipeline.report.tokens import tokens
    from pipeline.run.run import open_run

    report(tokens(open_run(run)), show_tokens, as_json=as_json)


def mix(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A file with a [mix] table.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The directory of shards to make.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one key: --set mix.tokens=100_000. Repeatable."),
    ] = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Mix runs and files into one directory of shards.

    The weights are shares of the tokens; what went in is listed.
    """
    from pipeline.tools.mix import load_mix, mix
    from pipeline.tools.show_mix import show_mix

    screen = console(quiet=quiet)
    mixed = mix(load_mix(config, set_ or []), out, workers=workers or os.cpu_count() or 1, note=noting(screen))
    show_mix(mixed, screen)


def append(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="A directory of shards that mix made.")],
    sources: Annotated[list[str], typer.Argument(metavar="RUN|FILES...", help="Runs, and .jsonl or .parquet files.")],
    tokenizer: Annotated[
        str | None, typer.Option(metavar="FILE", help="The shards' tokenizer, where it is not the first run's.")
    ] = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Add new documents to shards, without writing those again.

    The documents go into new shards behind the old ones.
    """
    from pipeline.tools.mix import append

    screen = console(quiet=quiet)
    opened = append(shards, sources, tokenizer, workers=workers or os.cpu_count() or 1, note=noting(screen))
    added = opened.manifest["appended"][-1]
    total = sum(split.tokens for split in opened.splits.values())
    screen.print(
        f"{added['documents']:,} documents, {added['tokens']:,} tokens appended; {total:,} in all", highlight=False
    )


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN|SHARDS", help="A run directory, or one of shards.")],
    format_: Annotated[
        str, typer.Argument(metavar="FORMAT", help="Such as megatron or parquet; docs/reference has all.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The directory to make.")],
) -> None:
    """Write the tokens in another trainer's format.

    Megatron-LM, nanoGPT, llm.c, Parquet for `datasets`, and others.
    """
    from pipeline.tools.export import export

    show = noting(console())
    for line in export(run, format_, out):
        show(line)
