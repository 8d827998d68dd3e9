"""Commands that look at a run: stats, sample, why, diff, duplicates, contamination, suggest; and recipes."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.console import AsJson, RunFolder, console, report
from pipeline.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.report.why import Why


def stats(run: RunFolder, as_json: AsJson = False) -> None:
    """Show what each stage and each rule removed.

    All figures are computed from the files on disk.
    """
    from pipeline.report.show_stats import show_stats
    from pipeline.report.stats import stats
    from pipeline.run.run import open_run

    report(stats(open_run(run)), show_stats, as_json=as_json)


def verify(run: RunFolder) -> None:
    """Read every file of a run again: is any damaged?

    A run reads only files whose size or times have changed. This finds what a disk has lost, too.
    """
    from pipeline.core.screen import byte_size, counted
    from pipeline.run.verify import verify

    found = verify(run)
    if found.damaged:
        more = f" and {len(found.damaged) - 1:,} more" if len(found.damaged) > 1 else ""
        raise UserError(f"{run / found.damaged[0]}{more}: not as written; delete what is damaged and run again")
    console().print(f"{counted(found.files, 'file')}, {byte_size(found.bytes)}: all as written", highlight=False)


def sample(
    run: RunFolder,
    dropped_by: Annotated[
        str | None,
        typer.Option(metavar="RULE", help="A stage, signal or rule: quality, quality.words, quality.words.min."),
    ] = None,
    kept: Annotated[bool, typer.Option("--kept", help="Documents that are kept (the default).")] = False,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Show at most N.")] = 5,
) -> None:
    """Show documents that a rule dropped, or that are kept."""
    from pipeline.report.sample import sample
    from pipeline.report.show_why import show_sample
    from pipeline.report.why import why_row
    from pipeline.run.run import open_run

    if kept and dropped_by:
        raise UserError("sample: give --kept or --dropped-by, not both")
    opened = open_run(run)
    screen = console()
    for part, row in sample(opened, dropped_by, n):
        show_sample(why_row(opened, part, row), screen)


def why(
    run: RunFolder,
    document: Annotated[
        str | None, typer.Argument(metavar="URL_OR_ID", help="A page's URL, or a document id.", show_default=False)
    ] = None,
    token: Annotated[
        int | None, typer.Option(metavar="N", help="Instead: the document that token N of the shards comes from.")
    ] = None,
    split: Annotated[str, typer.Option(metavar="SPLIT", help="The split of token N: train or validation.")] = "train",
    as_json: AsJson = False,
    all_: Annotated[bool, typer.Option("--all", help="Also the signals that no rule is on.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Write the record's bytes, as they are in the archive, to stdout.")
    ] = False,
) -> None:
    """Explain what became of one document.

    Shows its archive and offset, every number, every failed rule, and its place in the products.
    """
    from pipeline.extract.options import NOT_PAGES
    from pipeline.report.show_why import show_why
    from pipeline.report.tokens import find_token
    from pipeline.report.why import raw_record, why, why_token
    from pipeline.run.run import open_run
    from pipeline.stages.extract import EXTRACT

    opened = open_run(run)
    if (document is None) == (token is None):
        raise UserError("why: give a URL or document id, or --token N")
    if token is not None:
        documents = [why_token(opened, find_token(opened, split, token))]
    else:
        documents = why(opened, str(document))
    pages = [page for page in documents if not {*NOT_PAGES} & {*(page.record.dropped or [])}] or documents
    if not pages:
        for part in opened.parts:
            opened.require(EXTRACT, part)
        raise UserError(f"{document}: no such URL or document id in {run}; python -m pipeline sample {run} shows some")
    if record:
        if sys.stdout.isatty():
            raise UserError(
                "why --record: these bytes are not for a terminal; write them to a file: ... --record > FILE"
            )
        sys.stdout.buffer.write(raw_record(pages[0], opened.directory))
        return

    def show(pages: "list[Why]", screen: "Console") -> None:
        for page in pages:
            show_why(opened.config, page, screen, everything=all_)

    report(pages, show, as_json=as_json)


def diff(
    first: Annotated[Path, typer.Argument(metavar="RUN_A", help="A run directory.")],
    second: Annotated[Path, typer.Argument(metavar="RUN_B", help="Another one, over the same input.")],
    as_json: AsJson = False,
) -> None:
    """Show what two runs decide differently, and by which rules."""
    from pipeline.report.diff import diff
    from pipeline.report.show_diff import show_diff
    from pipeline.run.run import open_run

    one, two = open_run(first), open_run(second)
    report(diff(one, two), partial(show_diff, one, two), as_json=as_json)


def duplicates(
    run: RunFolder,
    cluster: Annotated[
        str | None, typer.Option(metavar="ID", help="A cluster, by the id of its kept document.")
    ] = None,
    url: Annotated[str | None, typer.Option(metavar="URL_OR_ID", help="One dropped document.")] = None,
    sample: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Show N dropped documents (a fixed selection).")
    ] = None,
) -> None:
    """Show the largest clusters of duplicates, or pairs.

    Without an option: the largest clusters, and what the bands find. With one: dropped and kept documents side by side.
    """
    from pipeline.report.duplicates import duplicate_pairs, duplicates
    from pipeline.report.show_duplicates import show_duplicates, show_pair
    from pipeline.run.run import open_run

    if sum(option is not None for option in (cluster, url, sample)) > 1:
        raise UserError("duplicates: give one of --cluster, --url and --sample")
    opened = open_run(run)
    if cluster is None and url is None and sample is None:
        report(duplicates(opened), show_duplicates, as_json=False)
        return
    screen = console()
    for pair in duplicate_pairs(opened, cluster=cluster, url=url, count=sample or 20):
        show_pair(pair, screen)


def contamination(run: RunFolder, as_json: AsJson = False) -> None:
    """Show which evaluation texts are in which documents.

    The table [decontaminate] of the config says what to look for.
    """
    from pipeline.report.contamination import contamination
    from pipeline.report.show_contamination import show_contamination
    from pipeline.run.run import open_run

    report(contamination(open_run(run)), show_contamination, as_json=as_json)


def suggest(
    run: RunFolder,
    good: Annotated[list[str], typer.Option(metavar="SOURCE", help="Documents as they should be. Repeatable.")],
    bad: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE", help="Documents as they should not be. Default: the run's own. Repeatable."),
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Only documents in this language, such as en.")
    ] = None,
    max_good_dropped: Annotated[
        float,
        typer.Option(metavar="SHARE", min=0, max=1, help="Largest share of good documents that a bound may drop."),
    ] = 0.1,
    documents: Annotated[
        int, typer.Option(metavar="N", min=1, help="Keep at most 2 N documents per side in memory.")
    ] = 100_000,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw all histograms into this file.")] = None,
    as_json: AsJson = False,
    most: Annotated[float | None, typer.Option(hidden=True)] = None,
) -> None:
    """Suggest rules from good and bad documents.

    Shows for each signal the bound where bad documents outweigh good ones, and a config to paste.

    A SOURCE is .txt, .jsonl or .parquet (also .gz), a glob of them, or a run: RUN (kept), RUN:raw, RUN:dropped.
    """
    if most is not None:
        raise UserError(f"suggest: --most is now called --max-good-dropped; give --max-good-dropped {most:g}")
    from pipeline.report.show_suggest import plot_suggestions, show_suggestions
    from pipeline.report.suggest import suggest
    from pipeline.run.run import open_run

    suggestions = suggest(
        open_run(run),
        good,
        bad or [],
        language=language,
        documents=documents,
        max_good_dropped=max_good_dropped,
    )
    if png:
        plot_suggestions(suggestions, png)
    report(suggestions, show_suggestions, as_json=as_json)


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Explain this recipe.")] = None,
    file: Annotated[bool, typer.Option("--file", help="Write its config file to stdout, to build on.")] = False,
) -> None:
    """List the published recipes, or explain one.

    A recipe is run by its name: python -m pipeline run fineweb --set input.paths='["my/archives"]'.
    """
    from pipeline.config_names import recipe_file
    from pipeline.report.recipes import recipe, recipes
    from pipeline.report.show_recipes import show_recipe, show_recipes

    if file and not name:
        raise UserError("recipes --file: give the recipe's name")
    if not name:
        show_recipes(recipes(), console())
    elif file:
        console().out(recipe_file(name).read_text(encoding="utf-8"), highlight=False, end="")
    else:
        show_recipe(recipe(name), console())
