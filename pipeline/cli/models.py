"""Commands on models: generate, ablate, classifier train, perplexity train."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import AsJson, RunFolder, Sets, console, report


def generate(
    run: RunFolder,
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="The text to continue.")],
    tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Generate at most N tokens.")] = 100,
    temperature: Annotated[
        float, typer.Option(metavar="NUMBER", min=0.0, help="0 takes the most likely token each time.")
    ] = 0.8,
    top_k: Annotated[int, typer.Option(metavar="N", min=1, help="Sample from the N most likely tokens.")] = 50,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same text.")] = 0,
) -> None:
    """Generate text with a run's model."""
    from pipeline.tools.generate import generate

    text = generate(run, prompt, tokens=tokens, temperature=temperature, top_k=top_k, seed=seed)
    console().out(text, highlight=False)


def ablate(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The directory for models, ablation.json and ablation.png.")
    ],
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_A RUN_B...", help="Runs that have shards.")],
    on: Annotated[list[str], typer.Option(metavar="SOURCE", help="Texts that no run contains. Repeatable.")],
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, max=10, help="Trainings per run; with 1 there is no confidence interval.")
    ] = 3,
    size: Annotated[str, typer.Option(metavar="BYTES", help="How much text to measure on.")] = "250kB",
    set_: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Train a small model on each run: did a filter help?

    The same model is trained on each run's shards, and compared on the same texts.

    All models see equally many tokens, from the same seeds, with the settings of RUN_A's [train] (--set train.steps=2000).
    The result is bits per byte of the texts, the difference to RUN_A, and whether it is larger than the noise of the seeds.

    A SOURCE is .txt, .jsonl or .parquet (also .gz), a glob of them, or a run: RUN (kept), RUN:raw, RUN:dropped.
    """
    from pipeline.config import parse_bytes
    from pipeline.core.progress import Display
    from pipeline.run.run import retrained
    from pipeline.tools.ablate import ablate
    from pipeline.tools.show_ablation import show_ablation

    config = retrained(runs[0], set_ or []).train
    display = Display(console(stderr=as_json))
    try:
        ablation = ablate(out, runs, on, seeds=seeds, size=parse_bytes(size, "--size"), config=config, reporter=display)
    finally:
        display.close()
    report(ablation, show_ablation, as_json=as_json)


def train_classifier(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The model file to write.")],
    positive: Annotated[list[str] | None, typer.Option(metavar="SOURCE", help="Good texts. Repeatable.")] = None,
    negative: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE", help="Bad texts, such as RUN:raw. Repeatable.")
    ] = None,
    latex: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Instead of both: texts, divided by whether they have LaTeX; the model sees them without it. Repeatable.",
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Only texts in this language (by lid.176), such as en.")
    ] = None,
    text: Annotated[str, typer.Option(metavar="NAME", help="The key or column of a document's text.")] = "text",
    normalization: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The form that the model sees: whitespace, lowercase, words, no_latex. Default: words, with --latex no_latex.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed and texts give the same bytes.")] = 0,
    epochs: Annotated[int, typer.Option(metavar="N", min=1)] = 5,
    word_ngrams: Annotated[int, typer.Option(metavar="N", min=1)] = 2,
    dimensions: Annotated[int, typer.Option(metavar="N", min=1)] = 16,
    buckets: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Hash buckets of the n-grams; each takes 4 bytes for each dimension."),
    ] = 200_000,
    learning_rate: Annotated[float, typer.Option(metavar="NUMBER", min=0.0)] = 0.5,
    held_out: Annotated[
        float, typer.Option(metavar="NUMBER", min=0.0, max=0.9, help="Share of the texts held out to measure on.")
    ] = 0.1,
) -> None:
    """Train a fastText model that tells good texts from bad.

    It is then measured on texts that it has not seen. With --latex it tells texts of mathematics, by what is around formulas.

    A SOURCE is .txt, .jsonl or .parquet (also .gz), a glob of them, or a run: RUN (kept), RUN:raw, RUN:dropped.
    """
    from pipeline.errors import UserError
    from pipeline.tools.models import train_classifier
    from pipeline.tools.show_models import show_classifier

    if bool(latex) == bool(positive or negative) or bool(positive) != bool(negative):
        raise UserError("classifier train: give --positive and --negative, or --latex")
    options = {
        "normalization": normalization or ("no_latex" if latex else "words"),
        "epochs": epochs,
        "word_ngrams": word_ngrams,
        "dimensions": dimensions,
        "buckets": buckets,
        "learning_rate": learning_rate,
        "held_out": held_out,
    }
    model = train_classifier(
        positive or [], negative or [], out, latex=latex or [], language=language, text=text, seed=seed, options=options
    )
    show_classifier(model, out, console())


def train_perplexity(
    text: Annotated[list[str], typer.Option(metavar="SOURCE", help="The reference. Repeatable.")],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The model file to write; .arpa or .arpa.gz writes the ARPA text format."),
    ],
    order: Annotated[int, typer.Option(metavar="N", min=1, max=16, help="Words in an n-gram.")] = 5,
    min_count: Annotated[int, typer.Option(metavar="N", min=1, help="Rarer words are <unk>.")] = 2,
    prune: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N", help="Drop n-grams up to this count, for n = 1, 2, ...: --prune 0 --prune 0 --prune 1."
        ),
    ] = None,
    normalization: Annotated[
        str, typer.Option(metavar="NAME", help="The form that the model sees: whitespace, lowercase, or words.")
    ] = "words",
    language: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Only texts in this language (by lid.176), such as en.")
    ] = None,
    column: Annotated[str, typer.Option(metavar="NAME", help="The key or column of a document's text.")] = "text",
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="For counting; with less memory the text is read more often.")
    ] = "2GB",
) -> None:
    """Train a language model of n-grams.

    Its smoothing is modified Kneser-Ney; its perplexity of a text is a signal.

    A SOURCE is .txt, .jsonl or .parquet (also .gz), a glob of them, or a run: RUN (kept), RUN:raw, RUN:dropped.
    """
    from pipeline.config import parse_bytes
    from pipeline.tools.models import train_perplexity
    from pipeline.tools.show_models import show_perplexity

    options = {"order": order, "min_count": min_count, "prune": tuple(prune or ()), "normalization": normalization}
    size = parse_bytes(memory, "--memory")
    training = train_perplexity(text, out, language=language, text=column, memory=size, options=options)
    show_perplexity(training, out, console())
