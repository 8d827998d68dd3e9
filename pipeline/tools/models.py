"""Training the models that score documents: `classifier train` and `perplexity train`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import GzipFile
from io import TextIOWrapper
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pipeline.errors import UserError, did_you_mean
from pipeline.extract.inputs.files import local_directory
from pipeline.files import atomic, write_text
from pipeline.tools.text_sources import describe, read_texts

if TYPE_CHECKING:
    from pipeline.filters.classifier import QualityClassifier, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class PerplexityTraining:
    """What a language model was trained on."""

    words: int
    """Of the texts."""
    ngrams: list[int]
    """n-grams of the model by n, from 1."""


def writable(out: Path) -> None:
    """Make the folder of an output file; UserError where it cannot be made, or where a directory has the file's name."""
    local_directory(out.parent)
    if out.is_dir():
        raise UserError(f"{out}: is a directory; give the name of a file")
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
    latex: Sequence[str] = (),
    language: str | None,
    text: str,
    seed: int,
    options: Mapping[str, Any],
) -> "QualityClassifier":
    """Train on texts of both sides; write OUT, OUT.json and, where matplotlib is installed, OUT.png.

    With `latex` in place of both, its texts are divided by whether they have one of the LaTeX commands that are the commonest
    in them, and what is learned from is the text without LaTeX (OpenWebMath's MathScore).
    """
    from pipeline.filters.classifier import Options, QualityClassifier, beside
    from pipeline.filters.latex import commonest_commands, with_commands

    check_normalization(options["normalization"])
    try:
        parameters = Options(**options)
    except ValueError as error:
        raise UserError(str(error)) from None
    writable(out)
    about: dict[str, Any] = {"positive": describe(positive), "negative": describe(negative)}
    sides: list[Iterable[Any]]
    if latex:
        commands = commonest_commands(read_texts(latex, text=text, language=language))
        if not commands:
            raise UserError(f'no text of {", ".join(latex)} has LaTeX; extract.format = "markdown" keeps formulas in $')
        texts = (read_texts(latex, text=text, language=language) for _ in range(2))
        sides = [with_commands(each, commands, wanted) for each, wanted in zip(texts, (True, False), strict=True)]
        about = {"latex": describe(latex), "commands": commands}
    else:
        sides = [read_texts(side, text=text, language=language) for side in (positive, negative)]
    model = QualityClassifier.train(sides[0], sides[1], seed, parameters)
    model.about |= about | {"language": language}
    with atomic(out) as temporary:
        model.save(temporary)
        described = beside(temporary).read_text(encoding="utf-8")
        beside(temporary).unlink()
        write_text(beside(out), described)
    _plot(model.report, out)
    return model


def _plot(report: "Report", out: Path) -> None:
    """The score histogram as a picture beside the model; nothing without matplotlib."""
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


def train_perplexity(
    texts: Sequence[str], out: Path, *, language: str | None, text: str, memory: int, options: Mapping[str, Any]
) -> PerplexityTraining:
    """Train on the sources and write a model file, or an ARPA file where OUT ends in .arpa or .arpa.gz."""
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
    return PerplexityTraining(words=trained.about["words"], ngrams=trained.about["ngrams"])


@contextmanager
def open_text(path: Path, *, packed: bool) -> Iterator[IO[str]]:
    """A text file to write, gzipped or not; without a timestamp, so that the same text gives the same bytes."""
    with open(path, "wb") as raw:
        if packed:
            with GzipFile("", "wb", fileobj=raw, mtime=0) as packer, TextIOWrapper(packer, "utf-8") as file:
                yield file
        else:
            with TextIOWrapper(raw, "utf-8") as file:
                yield file
