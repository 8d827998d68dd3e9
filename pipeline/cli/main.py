"""The command line. Commands import what they need when they run: `--help` brings neither torch nor Numba nor pyarrow."""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.config import Config
    from pipeline.run.run import Run

app = typer.Typer(
    name="pipeline",
    help="Turn web archives into a corpus worth training on, and prove it by training on it.",
    epilog="Start with: python -m pipeline crawl runs/demo.warc.gz && python -m pipeline run configs/quickstart.toml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

classifier = typer.Typer(help="Quality models: fastText, trained on good and bad texts.", no_args_is_help=True)
app.add_typer(classifier, name="classifier")

perplexity = typer.Typer(help="Language models of n-grams, trained on a reference.", no_args_is_help=True)
app.add_typer(perplexity, name="perplexity")

STOPPED = 130  # what Typer makes of Ctrl-C

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key: --set quality.words.min=100. Repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="All figures as one JSON object.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Worker processes. Default: one a core.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, such as runs/quickstart.")]


@app.command()
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

    Kill it whenever you like and run the same command again: finished work is found and kept. A changed threshold decides
    again in seconds and measures nothing again; add --until clean to see its effect before training on it.
    """
    from pipeline.config_file import load
    from pipeline.report.recipes import resolve
    from pipeline.report.stats import collect, show_summary

    loaded = load(resolve(config), set_ or [])
    root = out or Path(loaded.out or Path("runs") / config.stem)
    done = _run(root, loaded, until or loaded.until, workers, engine)
    show_summary(done, collect(done), _console())


@app.command()
def stats(run: RunFolder, as_json: AsJson = False) -> None:
    """What each stage and each rule removed, computed from the files on disk."""
    from pipeline.report.stats import collect, show
    from pipeline.run.run import open_run

    _tell(collect(open_run(run)), show, as_json=as_json)


@app.command()
def sample(
    run: RunFolder,
    dropped_by: Annotated[
        str | None,
        typer.Option(metavar="RULE", help="A stage, signal or rule: quality, quality.words, quality.words.min."),
    ] = None,
    kept: Annotated[bool, typer.Option("--kept", help="Documents that are kept (the default).")] = False,
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 5,
) -> None:
    """Look at documents that a rule dropped, or that are kept."""
    from pipeline.report.why import sample as choose
    from pipeline.report.why import show_sample
    from pipeline.run.run import open_run

    if kept and dropped_by:
        raise UserError("sample: give --kept or --dropped-by, not both")
    opened = open_run(run)
    console = _console()
    for part, row in choose(opened, dropped_by, n):
        show_sample(opened, part, row, console)


@app.command()
def why(
    run: RunFolder,
    document: Annotated[
        str | None, typer.Argument(metavar="[URL_OR_ID]", help="A page's URL, or a document id.", show_default=False)
    ] = None,
    token: Annotated[
        int | None, typer.Option(metavar="N", help="Instead: the document that token N of the shards comes from.")
    ] = None,
    split: Annotated[str, typer.Option(help="Whose token N: train or validation.")] = "train",
    as_json: Annotated[bool, typer.Option("--json", help="The story as JSON.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Write the record's bytes, as they lie in the archive, to stdout.")
    ] = False,
) -> None:
    """One document's whole story: archive and offset, every number, every failing rule, its place in the products."""
    from pipeline.report.tokens import find_token, show_token
    from pipeline.report.why import find, raw_record, show_story, story
    from pipeline.run.run import open_run

    opened = open_run(run)
    if (document is None) == (token is None):
        raise UserError("why: give a URL or document id, or --token N")
    if token is not None:
        found = find_token(opened, split, token)
        place = found["document"]
        stories = [story(opened, *opened.locate(place["file"], place["row"])) | {"token": found}]
    else:
        stories = [story(opened, part, row) for part, row in find(opened, str(document))]
    pages = [told for told in stories if "record_type" not in (told["record"]["dropped"] or [])] or stories
    if not pages:
        raise UserError(f"{document}: no such URL or document id in {run}; python -m pipeline sample {run} shows some")
    if record:
        sys.stdout.buffer.write(raw_record(pages[0]))
        return

    def show(pages: list[dict[str, Any]], console: "Console") -> None:
        for told in pages:
            if "token" in told:
                show_token(told["token"], console)
            show_story(opened, told, console)

    _tell(pages, show, as_json=as_json)


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Explain this recipe.")] = None,
    file: Annotated[bool, typer.Option("--file", help="Write its config file to stdout, to build on.")] = False,
) -> None:
    """List the published recipes; run one by its name: python -m pipeline run fineweb --set input.paths='["my/archives"]'."""
    from pipeline.core.progress import safe
    from pipeline.report.recipes import about, find, show_recipe
    from pipeline.report.recipes import recipes as known

    console = _console()
    if name and file:
        console.out(find(name).read_text(encoding="utf-8"), highlight=False, end="")
        return
    if name:
        show_recipe(name, console)
        return
    if file:
        raise UserError("recipes --file: give the recipe's name")
    for recipe, place in known().items():
        console.print(f"[bold]{recipe}[/]\n  {safe(about(place))}", highlight=False)


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(metavar="RUN_A", help="A run directory.")],
    second: Annotated[Path, typer.Argument(metavar="RUN_B", help="Another one, over the same input.")],
    as_json: AsJson = False,
) -> None:
    """Which documents two runs decide differently, and by which rules."""
    from pipeline.report.diff import compare, show_comparison
    from pipeline.run.run import open_run

    one, two = open_run(first), open_run(second)
    _tell(compare(one, two), partial(show_comparison, one, two), as_json=as_json)


@app.command()
def contamination(run: RunFolder, as_json: AsJson = False) -> None:
    """Which evaluation texts were found in which documents ([decontaminate] says what to look for)."""
    from pipeline.report.contamination import collect, show
    from pipeline.run.run import open_run

    _tell(collect(open_run(run)), show, as_json=as_json)


@app.command()
def suggest(
    run: RunFolder,
    good: Annotated[list[str], typer.Option(metavar="SOURCE", help="Documents as they should be. Repeatable.")],
    bad: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE", help="Documents as they should not be. Default: the run's own. Repeatable."),
    ] = None,
    language: Annotated[str | None, typer.Option(help="Only documents in it, such as en.")] = None,
    most: Annotated[float, typer.Option(min=0, max=1, help="The share of good that a bound may drop at most.")] = 0.1,
    documents: Annotated[int, typer.Option(min=1, help="Hold at most twice this many of each side.")] = 100_000,
    png: Annotated[Path | None, typer.Option(help="Draw all histograms into this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """For each signal, good documents against bad ones: the bound where bad outweighs good, and a config to paste.

    A SOURCE is .txt, .jsonl or .parquet (also .gz), a glob of them, or a run: RUN (kept), RUN:raw, RUN:dropped.
    """
    from pipeline.report.suggest import as_json as plain
    from pipeline.report.suggest import plot, show
    from pipeline.report.suggest import suggest as find
    from pipeline.run.run import open_run

    found = find(open_run(run), good, bad or [], language=language, documents=documents, most=most)
    if png:
        plot(found, png)
    _tell(found, show, as_json=as_json, plain=plain)


@app.command()
def tokens(run: RunFolder, as_json: AsJson = False) -> None:
    """What the shards hold: splits, bytes per token by language, longest and unused tokens, samples."""
    from pipeline.report.tokens import collect, show
    from pipeline.run.run import open_run

    _tell(collect(open_run(run)), show, as_json=as_json)


@app.command()
def mix(
    config: Annotated[Path, typer.Argument(help="A file with a [mix] table.")],
    out: Annotated[Path, typer.Argument(help="The directory of shards to make.")],
    set_: Sets = None,
    workers: Workers = None,
) -> None:
    """Mix runs and files by weights in tokens into one directory of shards, and say what went in."""
    from pipeline.tools.mix import load_mix, show_mix
    from pipeline.tools.mix import mix as make

    console = _console()
    show_mix(
        make(load_mix(config, set_ or []), out, workers=workers or os.cpu_count() or 1, note=console.print), console
    )


@app.command()
def append(
    shards: Annotated[Path, typer.Argument(help="A directory of shards that mix made.")],
    sources: Annotated[list[str], typer.Argument(metavar="RUN|FILES...", help="Runs, and .jsonl or .parquet files.")],
    tokenizer: Annotated[
        str | None, typer.Option(help="The shards' tokenizer, where it is not the first run's.")
    ] = None,
    workers: Workers = None,
) -> None:
    """Add new documents to a directory of shards, in new shards behind the old: nothing in it is written again."""
    from pipeline.tools.mix import append as add

    console = _console()
    opened = add(shards, sources, tokenizer, workers=workers or os.cpu_count() or 1, note=console.print)
    added = opened.manifest["appended"][-1]
    tokens = sum(split.tokens for split in opened.splits.values())
    console.print(
        f"{added['documents']:,} documents, {added['tokens']:,} tokens appended; {tokens:,} in all", highlight=False
    )


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN|SHARDS", help="A run directory, or one of shards.")],
    form: Annotated[
        str, typer.Argument(metavar="FORMAT", help="Such as megatron or parquet; an unknown one lists all.")
    ],
    out: Annotated[Path, typer.Argument(help="The directory to make.")],
) -> None:
    """Write the tokens in another trainer's format: Megatron-LM, nanoGPT, llm.c, or Parquet for `datasets`."""
    from pipeline.report.tokens import export as write

    for line in write(run, form, out):
        _console().print(line, highlight=False, soft_wrap=True, markup=False)


@app.command()
def duplicates(
    run: RunFolder,
    cluster: Annotated[
        str | None, typer.Option(metavar="ID", help="A cluster, by the id of its kept document.")
    ] = None,
    url: Annotated[str | None, typer.Option(metavar="URL_OR_ID", help="One dropped document.")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="This many dropped documents, always the same ones.")
    ] = None,
) -> None:
    """Look at duplicates: the largest clusters and what the bands find, or dropped and kept documents side by side."""
    from pipeline.report.duplicates import check_decided, pairs, show_overview, show_pair
    from pipeline.run.run import open_run

    if sum(option is not None for option in (cluster, url, sample)) > 1:
        raise UserError("duplicates: give one of --cluster, --url and --sample")
    opened = open_run(run)
    check_decided(opened)
    console = _console()
    if cluster is None and url is None and sample is None:
        show_overview(opened, console)
        return
    for pair in pairs(opened, cluster=cluster, url=url, count=sample or 20):
        show_pair(pair, console)


@app.command()
def crawl(
    out: Annotated[Path, typer.Argument(metavar="OUT.warc.gz", help="The archive to write.")],
) -> None:
    """Make an archive to try things on: our sample pages and your Python's documentation, served and recorded over HTTP."""
    from rich.progress import Progress

    from pipeline.demo.crawl import crawl as record_pages

    console = _console()
    console.print("rendering your Python's documentation, then crawling it", highlight=False)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out.parent}: cannot be made: {error.strerror}") from None
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("crawl", total=None)
        summary = record_pages(out, progress=lambda done, total: bar.update(task, completed=done, total=total))
    console.print(
        f"{summary.pages:,} pages, {summary.bytes / 1e6:,.1f} MB in {summary.path}", highlight=False, soft_wrap=True
    )
    console.print("next: python -m pipeline run configs/quickstart.toml", highlight=False)


@app.command()
def train(
    source: Annotated[
        Path, typer.Argument(metavar="CONFIG|RUN", help="A config file, or a run directory that has shards.")
    ],
    set_: Sets = None,
    out: Annotated[Path | None, typer.Option(help="Run directory, where SOURCE is a config.")] = None,
) -> None:
    """Train the model on a run's shards (again, if settings changed): --set train.steps=2000."""
    from pipeline.config_file import load
    from pipeline.report.stats import collect, show_summary
    from pipeline.run.run import retrained

    if source.is_dir():
        root, config = source, retrained(source, set_ or [])
    else:
        config = load(source, set_ or [])
        root = out or Path(config.out or Path("runs") / source.stem)
    done = _run(root, config, "train", None, "local")
    show_summary(done, collect(done), _console())


@app.command()
def ablate(
    out: Annotated[Path, typer.Argument(help="The directory for models, ablation.json and ablation.png.")],
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_A RUN_B...", help="Runs that have shards.")],
    on: Annotated[list[str], typer.Option(metavar="SOURCE", help="Texts that no run has seen. Repeatable.")],
    seeds: Annotated[int, typer.Option(min=1, max=10, help="Trainings of each; with one no interval is known.")] = 3,
    size: Annotated[str, typer.Option(metavar="BYTES", help="Measure on this much of the texts.")] = "250kB",
    set_: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Did a filter help the model? Train the same small model on each run's shards, and compare it on the same texts.

    All models see as many tokens, from the same seeds; RUN_A's [train] says how (--set train.steps=2000). What is told is
    bits a byte of the texts, the difference to RUN_A, and whether it is more than the seeds' noise.

    A SOURCE is .txt, .jsonl or .parquet (also .gz), a glob of them, or a run: RUN (kept), RUN:raw, RUN:dropped.
    """
    from pipeline.config import parse_bytes
    from pipeline.core.progress import Display
    from pipeline.run.run import retrained
    from pipeline.tools.ablate import ablate as make
    from pipeline.tools.ablate import show_ablation

    config = retrained(runs[0], set_ or []).train
    display = Display(_console(stderr=as_json))
    try:
        account = make(out, runs, on, seeds=seeds, size=parse_bytes(size, "--size"), config=config, reporter=display)
    finally:
        display.close()
    _tell(account, show_ablation, as_json=as_json)


@app.command()
def generate(
    run: RunFolder,
    prompt: Annotated[str, typer.Option(help="The text to go on from.")],
    tokens: Annotated[int, typer.Option(min=1, help="How many tokens at most.")] = 100,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the most likely token each time.")] = 0.8,
    top_k: Annotated[int, typer.Option(min=1, help="Draw among the K most likely tokens.")] = 50,
    seed: Annotated[int, typer.Option(help="The same seed gives the same text.")] = 0,
) -> None:
    """Let a run's model go on from a text."""
    from pipeline.tools.generate import continue_text

    console = _console()
    text = continue_text(run, prompt, tokens=tokens, temperature=temperature, top_k=top_k, seed=seed)
    console.out(text, highlight=False)


@classifier.command("train")
def classifier_train(
    positive: Annotated[list[str], typer.Option(metavar="SOURCE", help="Good texts. Repeatable.")],
    negative: Annotated[list[str], typer.Option(metavar="SOURCE", help="Bad ones, such as RUN:raw. Repeatable.")],
    out: Annotated[Path, typer.Option(help="The model file to write.")],
    language: Annotated[str | None, typer.Option(help="Only texts that lid.176 says are in it, such as en.")] = None,
    text: Annotated[str, typer.Option(help="The key or column of a document's text.")] = "text",
    normalization: Annotated[str, typer.Option(help="What the model sees: whitespace, lowercase, or words.")] = "words",
    seed: Annotated[int, typer.Option(help="The same seed and texts give the same bytes.")] = 0,
    epochs: Annotated[int, typer.Option(min=1)] = 5,
    word_ngrams: Annotated[int, typer.Option(min=1)] = 2,
    dimensions: Annotated[int, typer.Option(min=1)] = 16,
    buckets: Annotated[
        int, typer.Option(min=1, help="Hash buckets of the n-grams; a model has 4 bytes for each dimension of each.")
    ] = 200_000,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = 0.5,
    held_out: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of texts the figures are from.")] = 0.1,
) -> None:
    """Train a fastText model that tells good texts from bad, and say how it does on texts it has not seen.

    A SOURCE is .txt, .jsonl or .parquet (also .gz), a glob of them, or a run: RUN (kept), RUN:raw, RUN:dropped.
    """
    from pipeline.tools.models import show_classifier, train_classifier

    options = {
        "normalization": normalization,
        "epochs": epochs,
        "word_ngrams": word_ngrams,
        "dimensions": dimensions,
        "buckets": buckets,
        "learning_rate": learning_rate,
        "held_out": held_out,
    }
    model = train_classifier(positive, negative, out, language=language, text=text, seed=seed, options=options)
    show_classifier(model, out, _console())


@perplexity.command("train")
def perplexity_train(
    text: Annotated[list[str], typer.Option(metavar="SOURCE", help="The reference. Repeatable.")],
    out: Annotated[Path, typer.Option(help="The model file to write; .arpa or .arpa.gz writes ARPA's text format.")],
    order: Annotated[int, typer.Option(min=1, max=16, help="Words an n-gram.")] = 5,
    min_count: Annotated[int, typer.Option(min=1, help="Words seen less often are <unk>.")] = 2,
    prune: Annotated[
        list[int] | None,
        typer.Option(help="Counts up to which n-grams go, for n = 1, 2, ...: --prune 0 --prune 0 --prune 1."),
    ] = None,
    normalization: Annotated[str, typer.Option(help="What the model sees: whitespace, lowercase, or words.")] = "words",
    language: Annotated[str | None, typer.Option(help="Only texts that lid.176 says are in it, such as en.")] = None,
    column: Annotated[str, typer.Option(help="The key or column of a document's text.")] = "text",
    memory: Annotated[str, typer.Option(help="For counting; with less the text is read more often.")] = "2GB",
) -> None:
    """Train a language model of n-grams (modified Kneser-Ney), whose perplexity of a text is a signal.

    A SOURCE is .txt, .jsonl or .parquet (also .gz), a glob of them, or a run: RUN (kept), RUN:raw, RUN:dropped.
    """
    from pipeline.config import parse_bytes
    from pipeline.tools.models import show_perplexity, train_perplexity

    options = {"order": order, "min_count": min_count, "prune": tuple(prune or ()), "normalization": normalization}
    size = parse_bytes(memory, "--memory")
    about = train_perplexity(text, out, language=language, text=column, memory=size, options=options)
    show_perplexity(about, out, _console())


def _run(root: Path, config: "Config", until: str, workers: int | None, engine: str) -> "Run":
    """Run with progress on the console."""
    from pipeline.core.engines import disk_message, is_disk_error
    from pipeline.core.progress import Display
    from pipeline.run.runner import run as bring_up_to_date

    display = Display(_console())
    try:
        return bring_up_to_date(
            root, config, workers=workers or os.cpu_count() or 1, engine=engine, until=until, reporter=display
        )
    except OSError as error:
        if is_disk_error(error):
            raise UserError(disk_message(error, str(root))) from None
        raise
    finally:
        display.close()


def _tell(
    found: Any, show: Callable[[Any, "Console"], None], *, as_json: bool, plain: Callable[[Any], Any] | None = None
) -> None:
    """Show what was found, or print it (as `plain` makes it) as JSON."""
    if as_json:
        print(json.dumps(plain(found) if plain else found, indent=1, ensure_ascii=False))  # noqa: T201 (the output itself)
    else:
        show(found, _console())


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, width=None if (sys.stderr if stderr else sys.stdout).isatty() else 160)


def main(arguments: list[str] | None = None) -> Any:
    """The program: exit code 0, 1 for a bug, 2 for a user's mistake, 130 when stopped."""
    from pipeline.core.engines import disk_message, is_disk_error

    try:
        return app(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except OSError as error:
        if not is_disk_error(error):
            raise
        print(f"error: {disk_message(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == STOPPED:
            print("stopped; run the same command again to go on", file=sys.stderr)  # noqa: T201
        raise


if __name__ == "__main__":
    main()
