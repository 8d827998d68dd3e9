"""A mixture of several runs and files, as one directory of shards: `[mix]` of a TOML file, checked before any work.

A run's tokens are used as they are where tokenizer and seed are the mixture's; anything else is encoded again.
"""

import gzip
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from pipeline.config import Section
from pipeline.config_file import apply_setting, read_with_base, validate
from pipeline.core.engines import InlineEngine, LocalEngine, Progress, Retry, Task
from pipeline.core.ledger import row_groups, rows_in
from pipeline.core.screen import counted
from pipeline.errors import UserError
from pipeline.extract.inputs.datasets_input import open_dataset
from pipeline.extract.inputs.files import local_directory
from pipeline.extract.options import Dataset
from pipeline.run.run import Run, open_run
from pipeline.tokenize import shards
from pipeline.tokenize.bpe import Tokenizer
from pipeline.tokenize.encoded import Header, read_header
from pipeline.tokenize.mixture import Mixture, Source

_DOCUMENTS = 1024  # per batch


class MixSource(Section):
    """One source: a run, files of documents, or a `datasets` dataset."""

    run: str | None = None
    """A run directory, finished up to its shards."""
    files: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Globs of .jsonl, .jsonl.gz or .parquet; a document has `text`, perhaps `id` and `language`."""
    dataset: str | None = None
    """What `datasets` can load by that name or path, read as a stream; the same columns."""
    subset: str | None = None
    """The configuration of the dataset, where it has several."""
    split: str = "train"
    """Which of its splits."""
    revision: str | None = None
    """A branch, tag or commit of it; absent: the newest."""
    weight: float = Field(default=1.0, gt=0)
    """Share of the tokens, relative to the other sources' weights."""
    epochs: float = Field(default=1.0, gt=0)
    """How often a document may occur, at most. Up to 4 are nearly as good as new text (Muennighoff et al. 2023, 2305.16264)."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Take at most this many tokens from the source."""
    temperature: float | None = Field(default=None, ge=1)
    """Sample languages in proportion to tokens ^ (1 / temperature); 1, or absent: as they are."""


class Mix(Section):
    """The `[mix]` table."""

    sources: dict[str, MixSource] = Field(min_length=1)
    tokenizer: str | None = None
    """A run or a tokenizer.json; absent: the first run's."""
    tokens: int | None = Field(default=None, ge=1)
    """Training tokens in all; absent: as many as weights, epochs and caps allow."""
    shard_tokens: int = Field(default=10_000_000, ge=1)
    """Tokens per shard; the last shard of a split is shorter."""
    validation: float = Field(default=0.02, ge=0, lt=1)
    """Share of duplicate clusters held out; runs with the same share and seed hold out the same documents."""
    seed: int = 0
    """Of the order of documents, and of which are held out."""


class MixConfig(Section):
    """A file with a `[mix]` table."""

    mix: Mix


def load_mix(path: Path, sets: Sequence[str] = ()) -> Mix:
    """The `[mix]` of a file; UserError naming the key that is wrong."""
    raw = read_with_base(path)
    for setting in sets:
        apply_setting(raw, setting)
    mix = validate(MixConfig, raw, str(path)).mix
    for name, source in mix.sources.items():
        if [source.run, source.files, source.dataset].count(None) != 2:
            raise UserError(f"{path}: mix.sources.{name}: give one of run, files and dataset")
    return mix


def mix(config: Mix, out: Path, *, workers: int, note: Callable[[str], None]) -> shards.Shards:
    """Write the mixture into the new directory `out`: shards, with a manifest that says what went in."""
    if out.exists():
        raise UserError(f"{out}: exists already; choose another name")
    local_directory(out)
    runs = {
        name: _finished_run(f"mix.sources.{name}", source.run)
        for name, source in config.sources.items()
        if source.run is not None
    }
    tokenizer = _tokenizer(config, runs)
    seed = next(iter(runs.values())).config.shards.seed if runs else config.seed
    header = Header(
        vocab_size=tokenizer.vocab_size, end_of_text=tokenizer.end_of_text, seed=seed, tokenizer=tokenizer.sha256
    )
    with _encoded(config.sources, "mix.sources.", runs, tokenizer, header, out, workers, note) as (parts, listed):
        sources = []
        for name, source in config.sources.items():
            limits = source.model_dump(include={"weight", "epochs", "max_tokens", "temperature"})
            files = tuple(number for number, entry in enumerate(listed) if entry["source"] == name)
            sources.append(Source(name=name, files=files, **limits))
        mixture = Mixture(sources=tuple(sources), tokens=config.tokens, seed=config.seed)
        about = {"parts": listed, "config": config.model_dump(mode="json", exclude_none=True)}
        shards.merge_parts(parts, out, config.shard_tokens, config.validation, mixture, about)
    return shards.open(out)


def append(
    directory: Path, given: Sequence[str], tokenizer: str | None, *, workers: int, note: Callable[[str], None]
) -> shards.Shards:
    """Add runs and files of documents to shards that `mix` made, in new shards behind the old ones; see `shards.append`."""
    opened = shards.open(directory)
    if (directory / ".key").exists():
        raise UserError(f"{directory}: belongs to a run, which writes it again; append to a directory that mix made")
    named = {name: MixSource(run=name) if Path(name).is_dir() else MixSource(files=(name,)) for name in given}
    runs = {name: _finished_run(name, name) for name, source in named.items() if source.run is not None}
    if tokenizer is None and not runs:
        raise UserError("append: no run is given whose tokenizer could be taken; name the shards' with --tokenizer")
    encoder = _tokenizer(Mix(sources=named, tokenizer=tokenizer), runs)
    if encoder.sha256 != opened.manifest["tokenizer"]:
        raise UserError(f"{directory}: was encoded by another tokenizer; name that one with --tokenizer")
    header = Header(
        vocab_size=encoder.vocab_size,
        end_of_text=encoder.end_of_text,
        seed=opened.manifest["seed"],
        tokenizer=encoder.sha256,
    )
    with _encoded(named, "", runs, encoder, header, directory, workers, note) as (parts, listed):
        if not any(map(rows_in, parts)):
            raise UserError(f'append: {", ".join(given)}: no document with a text; a document\'s text is its "text"')
        return shards.append(directory, parts, {"parts": listed})


@contextmanager
def _encoded(
    sources: Mapping[str, MixSource],
    where: str,
    runs: Mapping[str, Run],
    tokenizer: Tokenizer,
    header: Header,
    out: Path,
    workers: int,
    note: Callable[[str], None],
) -> Iterator[tuple[list[Path], list[dict[str, str]]]]:
    """The sources' encoded parts, and the source and text of each. What has to be encoded is deleted afterwards."""
    work = out.with_name(f".{out.name}.parts")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        parts: list[Path] = []
        tasks: list[Task] = []
        listed: list[dict[str, str]] = []
        for name, source in sources.items():
            ready = runs[name].is_done("shards.encode") if name in runs else False
            for encoded, text in _inputs(f"{where}{name}", source, runs.get(name)):
                if ready and encoded is not None and read_header(encoded) == header:
                    parts.append(encoded)
                else:
                    parts.append(work / f"{len(parts):06d}.parquet")
                    arguments = (tokenizer, text, len(parts) - 1, parts[-1], header.seed)
                    tasks.append(Task(f"encode {text}", _encode, arguments))
                listed.append({"source": name, "file": str(text)})
        engine = LocalEngine(min(workers, len(tasks))) if workers > 1 and len(tasks) > 1 else InlineEngine()
        try:
            skipped = sum(done.result for done in engine.run(tasks, lambda rows, units: None, note))
        finally:
            engine.close()
        if skipped:
            note(f"skipped {counted(skipped, 'line')} without a text")
        yield parts, listed
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _finished_run(name: str, root: str) -> Run:
    run = open_run(Path(root))
    if not run.is_done("clean"):
        raise UserError(f"{name}: {root} has no finished clean text; python -m pipeline run … makes it")
    return run


def _tokenizer(config: Mix, runs: Mapping[str, Run]) -> Tokenizer:
    if config.tokenizer is not None:
        given = Path(config.tokenizer)
        return Tokenizer.from_file(given / "tokenizer" if (given / "tokenizer").is_dir() else given)
    if not runs:
        raise UserError("mix.tokenizer: without a run among the sources, give a run or a tokenizer.json")
    return Tokenizer.from_file(next(iter(runs.values())).root / "tokenizer")


@dataclass(frozen=True, slots=True)
class DatasetShard:
    """One of the parts that `datasets` cuts a dataset into."""

    dataset: Dataset
    number: int

    def __str__(self) -> str:
        return f"dataset:{self.dataset.name}/{self.dataset.split} shard {self.number}"


def _inputs(key: str, source: MixSource, run: Run | None) -> list[tuple[Path | None, Path | DatasetShard]]:
    """The parts of a source: (encoded tokens, where it is a run; the text)."""
    if run is not None:
        return [(run.file("shards.encode", part), run.file("clean", part)) for part in run.parts]
    if source.dataset is not None:
        dataset = Dataset(dataset=source.dataset, subset=source.subset, split=source.split, revision=source.revision)
        opened = open_dataset(dataset)
        columns = opened.column_names
        if columns is not None and "text" not in columns:
            raise UserError(f"{key}.dataset: {source.dataset} has no column text; it has {', '.join(columns)}")
        return [(None, DatasetShard(dataset, number)) for number in range(opened.num_shards)]
    paths = sorted({path for pattern in source.files or () for path in glob(pattern, recursive=True)})
    if not paths:
        raise UserError(f"{key}.files: no file is called {', '.join(source.files or ())}")
    for path in paths:
        if not path.endswith((".jsonl", ".jsonl.gz", ".parquet")):
            raise UserError(f"{key}.files: {path}: not .jsonl, .jsonl.gz or .parquet")
    return [(None, Path(path)) for path in paths]


def _encode(
    tokenizer: Tokenizer, source: Path | DatasetShard, part: int, out: Path, seed: int, progress: Progress, retry: Retry
) -> int:
    """Encode a file of documents; returns how many of them had no text."""
    skipped = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal skipped
        rows: list[tuple[str, str, str, int, str | None]] = []
        for row, document in enumerate(_documents(source)):
            text = document.get("text")
            if not isinstance(text, str):
                skipped += 1
                continue
            digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
            name = str(document.get("id") or digest)
            language = document.get("language")
            kept_text = text.encode("utf-8", "replace").decode()
            rows.append(
                (
                    name,
                    document.get("cluster") or (name if "cluster" in document else digest),
                    kept_text,
                    int(document.get("row", row)),
                    language,
                )
            )
            if len(rows) == _DOCUMENTS:
                yield _batch(rows)
                rows = []
        yield _batch(rows)

    shards.encode_part(tokenizer, batches(), file=part, out=out, seed=seed)
    return skipped


def _batch(rows: list[Any]) -> pa.RecordBatch:
    names = ("id", "cluster", "text", "row", "language")
    types = (pa.string(), pa.string(), pa.large_string(), pa.int64(), pa.string())
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.record_batch([pa.array(values, kind) for values, kind in zip(columns, types, strict=True)], list(names))


def _documents(path: Path | DatasetShard) -> Iterator[Mapping[str, Any]]:
    """The documents of a file or dataset; an empty one for a line that is not a JSON object."""
    if isinstance(path, DatasetShard):
        dataset = open_dataset(path.dataset)
        yield from dataset if dataset.num_shards == 1 else dataset.shard(dataset.num_shards, path.number)
        return
    if path.suffix == ".parquet":
        columns = [name for name in ("id", "cluster", "text", "row", "language") if name in pq.read_schema(path).names]
        for table in row_groups(path, columns):
            yield from table.to_pylist()
        return
    reader = gzip.open if path.suffix == ".gz" else open
    with reader(path, "rt", encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                document = json.loads(line)
            except json.JSONDecodeError:
                document = {}
            yield document if isinstance(document, dict) else {}
