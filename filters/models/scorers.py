"""Signals that come from a model file: one function per kind of model.

Nothing here is unpickled, since a pickle can run any code. scikit-learn models are read in skops' format, and only if they
consist of types that skops trusts, or of CALIBRATION.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import UserError, did_you_mean
from pipeline.filters.latex import has_latex
from pipeline.filters.options import ScoreOptions

if TYPE_CHECKING:
    from pipeline.filters.models.perplexity import NgramModel

Scorer = Callable[[pa.Array, pa.Array], npt.NDArray[np.float64]]
"""From texts and their languages to one number per text; NaN if undefined."""
CALIBRATION = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
)
"""What a CalibratedClassifierCV consists of, besides types that skops 0.16 trusts: Python classes that hold numbers and other
estimators, each of which is checked by itself. Reading them runs no code of the file."""
_PICKLES = (".pkl", ".pickle", ".joblib", ".dill")


@lru_cache(8)
def open_scorer(score: ScoreOptions) -> Scorer:
    """The scorer of a model file; a worker opens each file once. UserError for a file of another kind."""
    scorer = _KINDS[score.kind](score)
    return scorer if score.latex is None else _only(scorer, score.latex)


def _only(scorer: Scorer, latex: bool) -> Scorer:
    """A scorer that gives values to texts with LaTeX only, or to those without."""

    def score(texts: pa.Array, languages: pa.Array) -> npt.NDArray[np.float64]:
        rows = np.flatnonzero(has_latex(texts.to_pylist()) == latex)
        scores = np.full(len(texts), np.nan)
        if len(rows):
            scores[rows] = scorer(texts.take(pa.array(rows)), languages.take(pa.array(rows)))
        return scores

    return score


def open_scorers(scores: Mapping[str, ScoreOptions]) -> dict[str, Scorer]:
    """The scorers of a config's [scores]."""
    return {name: open_scorer(score) for name, score in scores.items()}


def _fasttext(score: ScoreOptions) -> Scorer:
    from pipeline.filters.classifier import QualityClassifier

    model = QualityClassifier.load(score.model, label=score.label, normalization=score.normalization)
    return lambda texts, languages: model.scores(texts)


def _perplexity(score: ScoreOptions) -> Scorer:
    model = _model(score.model, score.normalization)
    return lambda texts, languages: model.perplexity(texts)


def _model(path: str, normalization: str | None) -> "NgramModel":
    from pipeline.filters.models.perplexity import NgramModel, read_arpa

    if path.endswith((".arpa", ".arpa.gz")):
        return read_arpa(path, normalization or "whitespace")
    model = NgramModel.load(path, verify=False)  # the step's key is the hash of the file
    if normalization not in (None, model.normalization):
        raise UserError(f'{path}: was trained with normalization = "{model.normalization}", not "{normalization}"')
    return model


def _divergence(score: ScoreOptions) -> Scorer:
    model = _model(score.model, score.normalization)
    if model.order != 1:
        raise UserError(
            f"{score.model}: a model of order 1 is needed (perplexity train --order 1), not of order {model.order}"
        )
    return lambda texts, languages: model.divergence(texts)


def _words(score: ScoreOptions) -> Scorer:
    from pipeline.filters.models.wordlists import WordLists

    lists = WordLists.load(score.model)
    return lists.share if score.share else lists.count


def _sklearn(score: ScoreOptions) -> Scorer:
    from pipeline.filters.latex import normalize

    path = score.model
    if path.endswith(_PICKLES) or Path(path).read_bytes()[:1] == b"\x80":
        raise UserError(f"{path}: a pickle may run any code and is not opened; save the model with skops.io.dump")
    try:
        import skops.io
    except ImportError:
        raise UserError("scikit-learn models need the extra: pip install 'corpus-pipeline[sklearn]'") from None
    try:
        untrusted = skops.io.get_untrusted_types(file=path)
        if foreign := [name for name in untrusted if name not in CALIBRATION]:
            raise UserError(f"{path}: holds types that skops does not trust: {', '.join(foreign)}")
        model = skops.io.load(path, trusted=untrusted)
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise UserError(f"{path}: not a model that skops saved ({error})") from None
    classes = [str(name) for name in getattr(model, "classes_", [])]
    label = score.label if score.label is not None else classes[-1] if classes else ""
    if not hasattr(model, "predict_proba") or label not in classes:
        raise UserError(
            f"{path}: gives no probability of {label!r}{did_you_mean(label, classes)}; "
            f"its classes: {', '.join(classes) or 'none'}"
        )
    column = classes.index(label)

    def probability(texts: pa.Array, languages: pa.Array) -> npt.NDArray[np.float64]:
        normalized: list[str | None] = normalize(texts, score.normalization or "whitespace").to_pylist()
        with_words = [row for row, text in enumerate(normalized) if text]
        probabilities = np.full(len(normalized), np.nan)
        if with_words:
            probabilities[with_words] = model.predict_proba([normalized[row] for row in with_words])[:, column]
        return probabilities

    return probability


_KINDS: dict[str, Callable[[ScoreOptions], Scorer]] = {
    "fasttext": _fasttext,
    "perplexity": _perplexity,
    "divergence": _divergence,
    "words": _words,
    "sklearn": _sklearn,
}
