"""Training the models that score documents: `classifier train` and `perplexity train`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from gzip import GzipFile
from io import TextIOWrapper
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from pipeline.errors import UserError, did_you_mean
from pipeline.files import atomic, write_text
from pipeline.tools.text_sources import describe, read_texts

if TYPE_CHECKING:
    from pipeline.filters.classifier import QualityClassifier, Report


def writable(out: Path) -> None:
    """Make the folder of an output; UserError where that cannot be."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out.parent}: cannot be made: {error.strerror}") from None


def check_normalization(normalization: str) -> None:
    """UserError for an unknown normalization."""
    from pipeline.filters.kernels.normalize import NORMALIZATIONS

    if normalization not in NORMALIZATIONS:
        raise UserError(
            f"--normalization {normalization}: unknown{did_you_mean(normalization, NORMALIZATIONS)}; "
            f"known: {', '.join(NORMALIZATIONS)}"
        )


def train_classifier(
    positive: Sequence[str],
    negative: Sequence[str],
    out: Path,
    *,
    language: str | None,
    text: str,
    seed: int,
    options: Mapping[str, Any],
) -> "QualityClassifier":
    """Train on two sides, write OUT, OUT.json and, where matplotlib is installed, OUT.png."""
    from pipeline.filters.classifier import Options, QualityClassifier, beside

    check_normalization(options["normalization"])
    writable(out)
    sides = [read_texts(side, text=text, language=language) for side in (positive, negative)]
    model = QualityClassifier.train(sides[0], sides[1], seed, Options(**options))
    model.about |= {"positive": describe(positive), "negative": describe(negative), "language": language}
    with atomic(out) as temporary:
        model.save(temporary)
        described = beside(temporary).read_text(encoding="utf-8")
        beside(temporary).unlink()
        write_text(beside(out), described)
    plot(model.report, out)
    return model


def plot(report: "Report", out: Path) -> None:
    """The score histogram as a picture beside the model."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return
    bins = len(report.good)
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for name, counts, colour in (("bad", report.bad, "tab:red"), ("good", report.good, "tab:green")):
        axes.bar([(k + 0.5) / bins for k in range(bins)], counts, 1 / bins, color=colour, alpha=0.5, label=name)
    axes.set(xlabel="score", ylabel="held-out texts", yscale="symlog")
    axes.legend()
    with atomic(Path(f"{out}.png")) as temporary:
        FigureCanvasAgg(figure).print_figure(str(temporary), format="png", metadata={"Software": None})


def show_classifier(model: "QualityClassifier", out: Path, console: Console) -> None:
    """The held-out figures and the histogram."""
    report = model.report
    console.print(
        f"trained on {report.training:,} texts, half of each side; held out {report.held_out:,}: "
        f"precision {report.precision:.3f}, recall {report.recall:.3f} at a score of 0.5",
        highlight=False,
    )
    table = Table("score", "good", "bad", "", title="held-out texts", title_justify="left")
    for column in table.columns[1:3]:
        column.justify = "right"
    bins, most = len(report.good), max(*report.good, *report.bad, 1)
    for k, (good, bad) in enumerate(zip(report.good, report.bad, strict=True)):
        bar = f"[green]{'█' * -(-good * 30 // most)}[/][red]{'░' * -(-bad * 30 // most)}[/]"
        table.add_row(f"{k / bins:.2f} to {(k + 1) / bins:.2f}", f"{good:,}", f"{bad:,}", bar)
    console.print(table)
    console.print(f"{out}, {out}.json", highlight=False, soft_wrap=True)
    console.print(
        f'next, in a config:\n[scores.quality_score]\nkind = "fasttext"\nmodel = "{out}"\n'
        "[quality]\nquality_score = { top = 0.1 }",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def train_perplexity(
    texts: Sequence[str], out: Path, *, language: str | None, text: str, memory: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Train on the sources and write a model file, or an ARPA file where OUT is called so; what the model says of itself."""
    from pipeline.filters.models.kneser_ney import Options, train

    check_normalization(options["normalization"])
    writable(out)
    trained = train(read_texts(texts, text=text, language=language), Options(**options), memory)
    trained.about.update({"sources": describe(texts), "language": language})
    with atomic(out) as temporary:
        if out.name.endswith((".arpa", ".arpa.gz")):
            with open_text(temporary, packed=out.suffix == ".gz") as file:
                file.writelines(trained.arpa())
        else:
            trained.model().save(temporary)
    return trained.about


@contextmanager
def open_text(path: Path, *, packed: bool) -> Iterator[IO[str]]:
    """A text file to write, gzipped or not, without a time in it."""
    with open(path, "wb") as raw:
        if packed:
            with GzipFile("", "wb", fileobj=raw, mtime=0) as packer, TextIOWrapper(packer, "utf-8") as file:
                yield file
        else:
            with TextIOWrapper(raw, "utf-8") as file:
                yield file


def show_perplexity(about: Mapping[str, Any], out: Path, console: Console) -> None:
    """What was trained, and what to do with it."""
    counts = ", ".join(f"{count:,}" for count in about["ngrams"])
    console.print(f"trained on {about['words']:,} words; n-grams by order: {counts}", highlight=False)
    console.print(f"{out}, {out.stat().st_size / 1e6:,.1f} MB", highlight=False, soft_wrap=True)
    console.print(
        f'next, in a config (keeps CCNet\'s head and middle):\n[scores.perplexity]\nkind = "perplexity"\nmodel = "{out}"\n'
        '[quality]\nperplexity = { bottom = 0.6, by = "language" }',
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
