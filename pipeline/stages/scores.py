"""quality.scores: signals of the text so far from model files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.engines import Progress, Retry
from pipeline.core.fingerprint import Content
from pipeline.core.ledger import read
from pipeline.core.measuring import measure
from pipeline.core.part import EarlierRun, PartFiles, RunFiles
from pipeline.core.step import Step, columns
from pipeline.errors import UserError
from pipeline.filters.options import ScoreOptions
from pipeline.stages.language import LANGUAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A score, with the contents of its model files instead of their names."""

    name: str
    score: ScoreOptions
    content: tuple[tuple[str, Content], ...]
    """(name, file) pairs: a word list's file name, which says its language, or a model's suffix, which says its format."""

    def hashed(self) -> object:
        """What keys hash."""
        return [self.name, replace(self.score, model=""), self.content]


def score(files: PartFiles, options: tuple[Model, ...], progress: Progress, retry: Retry) -> int:
    """Write the scores that the models of [scores] give to the text so far."""
    from pipeline.filters.models.scorers import open_scorers

    scorers = open_scorers({model.name: model.score for model in options}).values()

    def compute(text: pa.Array, languages: pa.Array) -> list[pa.Array]:
        null = text.is_null().to_numpy(zero_copy_only=False)
        return [pa.array(scorer(text, languages), mask=null) for scorer in scorers]

    return measure(files, score_schema([model.name for model in options]), compute, progress, retry, LANGUAGE)


def score_schema(names: Sequence[str]) -> pa.Schema:
    """Columns of ledger/quality.scores."""
    return pa.schema([(name, pa.float64()) for name in names])


def _options(config: Config, earlier: Sequence[EarlierRun]) -> tuple[Model, ...]:
    models = []
    for name, options in config.scores.items():
        files = model_files(f"scores.{name}.model", options)
        content = tuple((file.name if options.kind == "words" else file.suffix, Content.of(file)) for file in files)
        models.append(Model(name=name, score=options, content=content))
    return tuple(models)  # in the order of the columns


def model_files(key: str, score: ScoreOptions) -> list[Path]:
    """The files that a score depends on; UserError if there are none."""
    path = Path(score.model)
    if score.kind == "words" and path.is_dir():
        from pipeline.filters.models.wordlists import list_files

        return list_files(path)
    if not path.is_file():
        raise UserError(f"{key}: {path}: no such file")
    description = Path(f"{path}.json")
    return [path, description] if description.is_file() else [path]


def check_scores(config: Config) -> list[str]:
    """Raise UserError for a model that cannot be used; return notes on languages that a score has no word list for."""
    from pipeline.filters.models.scorers import open_scorer

    notes = []
    for name, score in config.scores.items():
        key = f"scores.{name}.model"
        model_files(key, score)
        try:
            open_scorer(score)
        except UserError as error:
            raise UserError(f"{key}: {error}") from None
        if score.kind == "words" and Path(score.model).is_dir():
            from pipeline.filters.models.wordlists import WordLists

            listed = WordLists.load(score.model).languages
            missing = [code for code in config.language.keep or () if code not in listed]
            if missing and len(missing) == len(config.language.keep or ()):
                raise UserError(f"{key}: no list for {', '.join(missing)} (language.keep); known: {', '.join(listed)}")
            if missing:
                notes.append(f"{name} has no list for {', '.join(missing)}: it is undefined for these languages")
    return notes


def undefined_scores(files: RunFiles, options: tuple[Model, ...]) -> list[str]:
    """Notes on scores that are undefined for every document: rules on them keep everything."""
    empty = [model.name for model in options]
    for part in files.parts:
        table = read(files.out(part), empty)
        empty = [name for name in empty if not pc.any(pc.is_finite(table[name])).as_py()]
        if not empty:
            break
    return [f"{name} is undefined for every document: rules on it keep everything" for name in empty]


def _kernels(options: tuple[Model, ...]) -> None:
    """Compile the kernels by scoring a text, which also shows whether the models can score at all."""
    from pipeline.filters.models.scorers import open_scorers

    for scorer in open_scorers({model.name: model.score for model in options}).values():
        scorer(pa.array(["Warm up."], pa.string()), pa.array(["en"]))


SCORES = Step(
    name="quality.scores",
    title="score by models",
    version=1,
    run=score,
    options=_options,
    reads=(LANGUAGE,),
    text=True,
    needed=lambda config: bool(config.scores),
    libraries=("fasttext-community", "skops", "scikit-learn", "unicode", "regex"),
    kernels=_kernels,
    compiles=2,
    check=check_scores,
    remarks=undefined_scores,
    columns=lambda: columns(
        score_schema(["SCORE"]), {"SCORE": "what the model of [scores.SCORE] gives; NaN: no value"}
    ),
)
