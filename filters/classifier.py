"""A quality classifier: fastText, trained to tell good text from bad, as DCLM's does (Li et al. 2024, section 4.4).

    model = QualityClassifier.train(good_texts, bad_texts, seed=1)
    model.save("quality.bin")
    QualityClassifier.load("quality.bin").predict(["Some text"])    # [Prediction(label="good", score=0.98)]
    QualityClassifier.load("quality.bin").scores(["Some text"])     # the probability of being good, 0 to 1

`predict` and `scores` work with any fastText model file; one of ours has a JSON file beside it (quality.bin.json) that says
how texts are normalized for it, what it was trained on, and how it did on held-out texts.
Training uses one thread and a fixed seed, so the same texts give the same bytes.
"""

import hashlib
import json
import mmap
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from annotated_types import Ge, Gt, Lt

from pipeline.arguments import kind_of, not_a_file, not_one, one_option, one_whole_number, path_of, text_array
from pipeline.errors import UserError, did_you_mean
from pipeline.files import scratch
from pipeline.filters.kernels.arrays import Texts
from pipeline.filters.language import UNDETERMINED, Prediction, load_fasttext
from pipeline.filters.latex import normalize

GOOD, BAD = "__label__good", "__label__bad"
_BATCH = 1000
_BINS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """fastText's parameters. lid.176 has 16 dimensions (Joulin et al. 2016), DCLM uses 2-grams, fastText's default is 5 epochs.
    Buckets: 200,000 keep a model at 13 MB; fastText's 2,000,000 are for large data. Learning rate: its default, 0.1, learns
    too little from 2,400 passages of our reference and web sample (held-out precision 0.58, against 0.99 at 0.5).
    ValueError for numbers out of bounds."""

    normalization: str = "words"
    dimensions: Annotated[int, Ge(1)] = 16
    word_ngrams: Annotated[int, Ge(1)] = 2
    buckets: Annotated[int, Ge(1)] = 200_000
    epochs: Annotated[int, Ge(1)] = 5
    learning_rate: Annotated[float, Gt(0)] = 0.5
    held_out: Annotated[float, Ge(0), Lt(1)] = 0.1
    """The share of texts held out for the report's figures, chosen by a hash of the text."""

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        for name in ("dimensions", "word_ngrams", "buckets", "epochs", "learning_rate", "held_out"):
            one_option(Options, name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a model does on texts it has not seen. A text counts as classified good from a probability of 0.5 on."""

    training: int
    """Number of training texts, half of them good."""
    held_out: int
    precision: float
    recall: float
    good: tuple[int, ...]
    """Held-out good texts by score: 20 bins of equal width from 0 to 1."""
    bad: tuple[int, ...]
    data: str
    """Hash of the texts: BLAKE2b over the sorted text hashes of each side."""


class QualityClassifier:
    """A fastText model that gives the probability of one of its labels."""

    def __init__(
        self, model: Any, *, label: str = GOOD, normalization: str = "whitespace", about: dict[str, Any] | None = None
    ):
        self._model = model
        self._labels = list(model.labels)
        if label not in self._labels and f"__label__{label}" in self._labels:
            label = f"__label__{label}"
        if label not in self._labels:
            short_label = label.removeprefix("__label__")
            known = [name.removeprefix("__label__") for name in self._labels]
            raise UserError(
                f"the model has no label {short_label}{did_you_mean(short_label, known)}; it has: {', '.join(known)}"
            )
        self.label = label
        self.normalization = normalization
        self.about = about or {}

    @classmethod
    def train(
        cls,
        positive: Iterable[str] | Iterable[pa.Array],
        negative: Iterable[str] | Iterable[pa.Array],
        seed: int = 0,
        options: Options = Options(),
    ) -> "QualityClassifier":
        """Train on texts (strings, or Arrow arrays of them), as many good as bad; `.report` has the figures.

        The larger side is reduced to the texts with the lowest hashes. Memory: 24 bytes per text, and the model; the texts
        go to a temporary file. Raises UserError if a side has fewer than two texts.
        """
        if not isinstance(options, Options):
            raise TypeError(f"options must be Options(…), not {kind_of(options)}")
        one_whole_number(seed, "seed")
        with scratch("classifier") as folder:
            sides = [
                _Side(folder / f"{label}.txt", arrays(texts, name), seed, options.normalization)
                for label, texts, name in ((GOOD, positive, "positive"), (BAD, negative, "negative"))
            ]
            for side, word in zip(sides, ("positive", "negative"), strict=True):
                if len(side.hashes) < 2:
                    raise UserError(f"only {len(side.hashes)} {word} texts contain a word; at least 2 are needed")
            count = min(len(side.hashes) for side in sides)
            held_out = max(1, round(count * options.held_out))
            _write(folder / "train.txt", sides, held_out, count)
            model = _train(folder / "train.txt", seed, options)
            trained = cls(model, normalization=options.normalization)
            scores = [trained._probabilities(side.lines(range(held_out))) for side in sides]
            report = _report(scores, 2 * (count - held_out), sides)
            trained.about = {
                "options": asdict(options),
                "seed": seed,
                "label": GOOD.removeprefix("__label__"),
                "report": asdict(report),
            }
        return trained

    @property
    def report(self) -> Report:
        """The figures of the training; UserError for a model without a report."""
        if "report" not in self.about:
            raise UserError("this model has no report")
        report = self.about["report"]
        return Report(**report | {side: tuple(report[side]) for side in ("good", "bad")})

    @classmethod
    def load(
        cls, path: Path | str, *, label: str | None = None, normalization: str | None = None
    ) -> "QualityClassifier":
        """Load a model file and its JSON. A foreign model needs `label`, and `normalization` if not "whitespace"."""
        about = read_about(path)
        options = about.get("options", {})
        if "spelling" in options:  # the name of `normalization` before 0.2
            raise UserError(f"{path}: trained by an earlier version; train it again")
        return cls(
            load_fasttext(path_of(path)),
            label=label or str(about.get("label", GOOD)),
            normalization=normalization or str(options.get("normalization", "whitespace")),
            about=about,
        )

    def save(self, path: Path | str) -> None:
        """Write the model, and its JSON beside it."""
        self._model.save_model(str(path))
        beside(path).write_text(json.dumps(self.about, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def predict(self, texts: Texts) -> list[Prediction]:
        """The most probable label of each text, without `__label__`; "und" with 0.0 for a text without a word, and for null."""
        predict, predictions = self._model.f.predict, []
        for line in normalize(text_array(texts), self.normalization).to_pylist():
            found = predict(line + "\n", 1, 0.0, "strict") if line else ()
            score, label = found[0] if found else (0.0, UNDETERMINED)
            predictions.append(Prediction(label.removeprefix("__label__"), min(score, 1.0)))
        return predictions

    def scores(self, texts: Texts) -> npt.NDArray[np.float64]:
        """The probability of `label` for each text, float64 (n,), 0 to 1; NaN for a text without a word, and for null."""
        array = text_array(texts)
        scores = np.full(len(array), np.nan)
        for start in range(0, len(array), _BATCH):
            lines = normalize(array.slice(start, _BATCH), self.normalization).to_pylist()
            scores[start : start + len(lines)] = self._probabilities(lines)
        return scores

    def _probabilities(self, lines: Iterable[str | None]) -> npt.NDArray[np.float64]:
        predict, target, labels = self._model.f.predict, self.label, len(self._labels)
        scores = []
        for line in lines:
            predictions = predict(line + "\n", labels, 0.0, "strict") if line else ()
            # fastText's softmax sums to a little over 1, and it leaves out labels with no probability
            missing = 0.0 if predictions else np.nan
            scores.append(next((min(score, 1.0) for score, label in predictions if label == target), missing))
        return np.array(scores, np.float64)


def beside(path: Path | str) -> Path:
    """The JSON file of a model file."""
    return Path(f"{path}.json")


def read_about(path: Path | str) -> dict[str, Any]:
    """The contents of a model's JSON; empty if there is no such file. UserError if it is broken."""
    try:
        about = json.loads(beside(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{beside(path)}: cannot be read ({error}); it describes the model beside it") from None
    if not isinstance(about, dict):
        raise UserError(f"{beside(path)}: does not describe a model")
    return about


class _Side:
    """The texts of one side, one per line in a file, ordered by a hash of text and seed."""

    def __init__(self, path: Path, texts: Iterable[pa.Array], seed: int, normalization: str) -> None:
        self.path = path
        salt = str(seed).encode()
        hashes: list[int] = []
        starts = [0]
        with open(path, "wb") as file:
            for array in texts:
                for text in normalize(array, normalization).to_pylist():
                    # fastText would read a word that looks like a label as a label
                    line = (text or "").replace("__label__", "label").encode()
                    if line:
                        file.write(line + b"\n")
                        starts.append(starts[-1] + len(line) + 1)
                        hashes.append(int.from_bytes(hashlib.blake2b(line, digest_size=8, key=salt).digest(), "big"))
        self._starts = np.array(starts, np.int64)
        # each text once, so that no text is both trained on and held out
        self.hashes, self._order = np.unique(np.array(hashes, np.uint64), return_index=True)

    def lines(self, ranks: range) -> Iterable[str]:
        """The texts at these ranks in the order of hashes."""
        with open(self.path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for rank in ranks:
                row = self._order[rank]
                yield content[self._starts[row] : self._starts[row + 1] - 1].decode()


def arrays(texts: Iterable[str] | Iterable[pa.Array], name: str = "texts") -> Iterable[pa.Array]:
    """Strings in batches as Arrow arrays; arrays as they are. TypeError for a single string."""
    not_one(texts, name)
    remaining = iter([texts] if isinstance(texts, pa.Array | pa.ChunkedArray) else texts)
    while chunk := list(islice(remaining, _BATCH)):
        if isinstance(chunk[0], pa.Array | pa.ChunkedArray):
            yield from chunk
            yield from remaining
            return
        for text in chunk:
            if isinstance(text, str):
                not_a_file(text, "give the texts themselves, or an Arrow array of texts")
        yield text_array(chunk, name)


def _write(path: Path, sides: list[_Side], first: int, last: int) -> None:
    """Write the training file: good and bad texts in turn, in the order of their hashes, which is random."""
    with open(path, "wb") as file:
        for good, bad in zip(*(side.lines(range(first, last)) for side in sides), strict=True):
            _line(file, GOOD, good)
            _line(file, BAD, bad)


def _line(file: BinaryIO, label: str, text: str) -> None:
    file.write(f"{label} {text}\n".encode())


def _train(path: Path, seed: int, options: Options) -> Any:
    import fasttext

    return fasttext.train_supervised(
        input=str(path),
        dim=options.dimensions,
        wordNgrams=options.word_ngrams,
        bucket=options.buckets,
        epoch=options.epochs,
        lr=options.learning_rate,
        seed=seed,
        thread=1,
        verbose=0,
    )


def _report(scores: list[npt.NDArray[np.float64]], training: int, sides: list[_Side]) -> Report:
    good, bad = scores
    true_positives = int((good >= 0.5).sum())
    positives = true_positives + int((bad >= 0.5).sum())
    counts = [tuple(int(n) for n in np.histogram(side, _BINS, (0.0, 1.0))[0]) for side in scores]
    digest = hashlib.blake2b(digest_size=16)
    for side in sides:
        digest.update(side.hashes.tobytes() + b"|")
    return Report(
        training=training,
        held_out=len(good) + len(bad),
        precision=true_positives / positives if positives else float("nan"),
        recall=true_positives / len(good),
        good=counts[0],
        bad=counts[1],
        data=digest.hexdigest(),
    )
