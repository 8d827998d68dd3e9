"""Did the filters help the model? The same model trained on several runs' shards, measured on texts that no run contains."""

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.ledger import lock, row_groups
from pipeline.core.plain_values import plain_values
from pipeline.core.reporter import Reporter
from pipeline.errors import UserError
from pipeline.extract.inputs.files import local_directory
from pipeline.files import write_text
from pipeline.run.run import Run, open_run
from pipeline.stages.train import TRAIN
from pipeline.tokenize import shards
from pipeline.tokenize.bpe import Tokenizer
from pipeline.tools.text_sources import describe, read_texts

if TYPE_CHECKING:
    from pipeline.train.config import TrainConfig
    from pipeline.train.data import Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class AblatedRun:
    """A run, and the loss of its models."""

    run: str
    """The run directory."""
    documents: int
    """In its train split."""
    tokens: int
    epochs: float
    """How often a model saw each token."""
    held_out_known: int
    """Held-out texts that the run's clean text has: its figures are too good by them."""
    bits_per_byte: list[float]
    """Of the held-out texts, by seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDifference:
    """A run's bits per byte less those of the first run."""

    run: str
    mean: float
    """Below 0 the run is better."""
    interval: tuple[float, float] | None
    """The 95 % confidence interval over seeds; None with one seed."""
    seen: bool
    """Whether the interval leaves 0 out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """What ablation.json holds."""

    on: list[str]
    """Names of the held-out sources."""
    documents: int
    """Held-out texts."""
    bytes: int
    """UTF-8 bytes of the held-out texts, each with its end-of-text."""
    steps: int
    """Of each training."""
    seeds: list[int]
    arms: tuple[AblatedRun, ...]
    """In the order given."""
    against_first: tuple[RunDifference, ...]
    """Of every run but the first."""


def ablate(
    out: Path,
    runs: Sequence[Path],
    on: Sequence[str],
    *,
    seeds: int,
    size: int,
    config: "TrainConfig",
    reporter: Reporter,
) -> Ablation:
    """Train on each run's shards from `seeds` seeds, and compare the models' losses on `size` bytes of `on`, equally much
    of each source.

    Writes out/ablation.json, out/ablation.png and the models; called again, it keeps finished trainings. UserError for fewer
    than two runs, and one without shards.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as a run's own training
    local_directory(out)
    opened = {str(run): open_run(run) for run in runs}
    if len(opened) < 2:
        raise UserError("ablate: name two runs or more to compare")
    for name, run in opened.items():
        if not run.is_done("shards"):
            raise UserError(f"{name}: has no finished shards; run it again with --until shards")
    sources = [read_texts([source]) for source in on]
    texts = pa.concat_arrays([first_bytes(source, size // len(on)) for source in sources])
    from pipeline.train.ablation import Arm, compare, curves, train_all
    from pipeline.train.plot import plot_comparison

    folders = {name: f"{number}-{run.root.resolve().name}" for number, (name, run) in enumerate(opened.items())}
    tokenizers = {name: Tokenizer.from_file(run.root / "tokenizer") for name, run in opened.items()}
    arms = {
        name: Arm(name=folders[name], shards=run.root / "shards", held_out=encoded(tokenizers[name], texts))
        for name, run in opened.items()
    }
    with lock(out):
        if len({tokenizer.sha256 for tokenizer in tokenizers.values()}) > 1:
            reporter.note(
                "the runs' tokenizers differ, and are compared with the data; tokenizer.file makes them share one"
            )
        held_out_known = {name: known(run, texts) for name, run in opened.items()}
        for name, count in held_out_known.items():
            if count:
                reporter.note(f"{count:,} of the {len(texts):,} held-out texts are in {name}: its figures are too good")

        @contextmanager
        def training(name: str) -> Iterator[None]:
            reporter.note(name)
            reporter.begin(TRAIN, config.steps, 1, 1)
            began = time.perf_counter()
            yield
            reporter.end(TRAIN, config.steps, time.perf_counter() - began)

        results = train_all(
            list(arms.values()),
            config,
            out,
            seeds=seeds,
            training=training,
            progress=reporter.on_train,
            note=reporter.note,
        )
        ablated = []
        for name, arm in arms.items():
            trained = results[arm.name]
            split = shards.open(arm.shards).splits["train"]
            ablated.append(
                AblatedRun(
                    run=name,
                    documents=split.documents,
                    tokens=split.tokens,
                    epochs=trained[0].tokens_seen / split.tokens,
                    held_out_known=held_out_known[name],
                    bits_per_byte=[result.bits_per_byte for result in trained if result.bits_per_byte is not None],
                )
            )
        first, *others = ablated
        differences = []
        for other in others:
            difference = compare(other.bits_per_byte, first.bits_per_byte)
            interval = None if seeds == 1 else (difference.low, difference.high)
            differences.append(
                RunDifference(run=other.run, mean=difference.mean, interval=interval, seen=difference.significant)
            )
        ablation = Ablation(
            on=describe(on),
            documents=len(texts),
            bytes=next(iter(arms.values())).held_out.bytes,
            steps=config.steps,
            seeds=list(range(config.seed, config.seed + seeds)),
            arms=tuple(ablated),
            against_first=tuple(differences),
        )
        write_text(out / "ablation.json", json.dumps(plain_values(ablation), indent=1) + "\n")
        plot_comparison({name: curves(out / arm.name) for name, arm in arms.items()}, out / "ablation.png")
    return ablation


def first_bytes(arrays: Iterable[pa.Array], size: int) -> pa.Array:
    """Whole texts from the start until they have at least `size` bytes."""
    texts: list[pa.Array] = []
    held = 0
    for array in arrays:
        ends = np.cumsum(pc.binary_length(array).to_numpy())
        count = int(np.searchsorted(ends, size - held)) + 1
        texts.append(array.slice(0, count).cast(pa.large_string()))
        held += int(ends[min(count, len(array)) - 1])
        if held >= size:
            break
    return pa.chunked_array(texts, pa.large_string()).combine_chunks()


def encoded(tokenizer: Tokenizer, texts: pa.Array) -> "Tokens":
    """The texts as shards would hold them."""
    from pipeline.train.data import Tokens

    ids, offsets = tokenizer.encode_batch(texts)
    return Tokens(np.insert(ids, offsets[1:], tokenizer.end_of_text), int(pc.sum(pc.binary_length(texts)).as_py()))


def known(run: Run, texts: pa.Array) -> int:
    """How many of the texts are in a run's clean text, apart from letter case and white space."""
    from pipeline.filters.dedup.exact import content_hashes

    hashes = content_hashes(texts)
    in_run = np.zeros(len(texts), np.bool_)
    for part in run.parts:
        for group in row_groups(run.file("clean", part), ["text"]):
            hashes_of_run = content_hashes(group["text"].combine_chunks())
            in_run |= pc.is_in(hashes, value_set=hashes_of_run).to_numpy(zero_copy_only=False)
    return int(in_run.sum())
