"""Did the filters help the model? The same model trained on several runs' shards, measured on texts none of them has seen."""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from pipeline.core.ledger import lock, row_groups
from pipeline.core.progress import safe
from pipeline.errors import UserError
from pipeline.files import write_text
from pipeline.run.run import Run, open_run
from pipeline.run.runner import Reporter
from pipeline.stages.train import TRAIN
from pipeline.tokenize import shards
from pipeline.tokenize.bpe import Tokenizer
from pipeline.tools.text_sources import describe, read_texts

if TYPE_CHECKING:
    from pipeline.train.config import TrainConfig
    from pipeline.train.data import Tokens


def ablate(
    out: Path,
    runs: Sequence[Path],
    on: Sequence[str],
    *,
    seeds: int,
    size: int,
    config: "TrainConfig",
    reporter: Reporter,
) -> dict[str, Any]:
    """Train on each run's shards from `seeds` seeds, and compare what the models lose on `size` bytes of `on`, as
    much of each source.

    Writes out/ablation.json, out/ablation.png and the models; called again it goes on where it was. The account: `arms`, each
    with its bits a byte by seed, and `against_first`, the difference of each other arm to the first one. Raises UserError.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as a run's own training
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

    names = {name: f"{number}-{run.root.resolve().name}" for number, (name, run) in enumerate(opened.items())}
    vocabularies = {name: Tokenizer.from_file(run.root / "tokenizer") for name, run in opened.items()}
    arms = [
        Arm(name=names[name], shards=run.root / "shards", held_out=encoded(vocabularies[name], texts))
        for name, run in opened.items()
    ]
    with lock(out):
        if len({vocabulary.sha256 for vocabulary in vocabularies.values()}) > 1:
            reporter.note(
                "the runs' tokenizers differ, and are compared with the data; tokenizer.file makes them share one"
            )
        seen = {name: known(run, texts) for name, run in opened.items()}
        for name, count in seen.items():
            if count:
                reporter.note(
                    f"{count:,} of the {len(texts):,} held-out texts stand in {name}: its figures are too good"
                )

        @contextmanager
        def training(what: str) -> Iterator[None]:
            reporter.note(what)
            reporter.begin(TRAIN, config.steps, 1, 1)
            began = time.perf_counter()
            yield
            reporter.end(TRAIN, config.steps, time.perf_counter() - began)

        results = train_all(arms, config, out, seeds=seeds, training=training, progress=reporter.on_train)
        account: dict[str, Any] = {
            "on": describe(on),
            "documents": len(texts),
            "bytes": arms[0].held_out.bytes,
            "steps": config.steps,
            "seeds": list(range(config.seed, config.seed + seeds)),
            "arms": [],
            "against_first": [],
        }
        losses: dict[str, list[float]] = {}
        for name, arm in zip(opened, arms, strict=True):
            trained = results[arm.name]
            losses[name] = [result.bits_per_byte for result in trained if result.bits_per_byte is not None]
            split = shards.open(arm.shards).splits["train"]
            account["arms"].append(
                {
                    "run": name,
                    "documents": split.documents,
                    "tokens": split.tokens,
                    "epochs": trained[0].tokens_seen / split.tokens,
                    "held_out_known": seen[name],
                    "bits_per_byte": losses[name],
                }
            )
        first, *others = opened
        for name in others:
            difference = compare(losses[name], losses[first])
            interval = None if seeds == 1 else [difference.low, difference.high]
            told = {"run": name, "mean": difference.mean, "interval": interval, "seen": difference.seen}
            account["against_first"].append(told)
        write_text(out / "ablation.json", json.dumps(account, indent=1) + "\n")
        drawn = {name: curves(out / arm.name) for name, arm in zip(opened, arms, strict=True)}
        plot_comparison(drawn, out / "ablation.png")
    return account


def first_bytes(arrays: Iterable[pa.Array], size: int) -> pa.Array:
    """Whole texts from the start until they have `size` bytes."""
    found: list[pa.Array] = []
    held = 0
    for array in arrays:
        ends = np.cumsum(pc.binary_length(array).to_numpy())
        count = int(np.searchsorted(ends, size - held)) + 1
        found.append(array.slice(0, count).cast(pa.large_string()))
        held += int(ends[min(count, len(array)) - 1])
        if held >= size:
            break
    return pa.chunked_array(found, pa.large_string()).combine_chunks()


def encoded(tokenizer: Tokenizer, texts: pa.Array) -> "Tokens":
    """The texts as shards would hold them."""
    from pipeline.train.data import Tokens

    ids, offsets = tokenizer.encode_batch(texts)
    return Tokens(np.insert(ids, offsets[1:], tokenizer.end_of_text), int(pc.sum(pc.binary_length(texts)).as_py()))


def known(run: Run, texts: pa.Array) -> int:
    """How many of the texts stand in a run's clean text, but for letter case and white space."""
    from pipeline.filters.dedup.exact import content_hashes

    wanted = content_hashes(texts)
    there = np.zeros(len(texts), np.bool_)
    for part in run.parts:
        for group in row_groups(run.file("clean", part), ["text"]):
            hashes = content_hashes(group["text"].combine_chunks())
            there |= pc.is_in(wanted, value_set=hashes).to_numpy(zero_copy_only=False)
    return int(there.sum())


def show_ablation(account: Mapping[str, Any], console: Console) -> None:
    """A row a run: what it was trained on, what it loses, and whether it is better than the first."""
    seeds = account["seeds"]
    console.print(
        f"{account['steps']:,} steps from {len(seeds)} seed{'s' if len(seeds) > 1 else ''}, measured on "
        f"{account['documents']:,} texts, {account['bytes'] / 1e6:,.2f} MB, of {safe(', '.join(account['on']))}",
        highlight=False,
    )
    table = Table("run", "documents", "tokens", "epochs", "bits a byte", "to the first", "95 %", "")
    for column in table.columns[1:7]:
        column.justify = "right"
    against = {told["run"]: told for told in account["against_first"]}
    for arm in account["arms"]:
        losses = arm["bits_per_byte"]
        row = [safe(arm["run"]), f"{arm['documents']:,}", f"{arm['tokens']:,}", f"{arm['epochs']:.2f}"]
        row.append(f"{np.mean(losses):.4f}")
        if told := against.get(arm["run"]):
            interval = told["interval"]
            row.append(f"{told['mean']:+.4f}")
            row.append("one seed" if interval is None else f"{interval[0]:+.4f} to {interval[1]:+.4f}")
            row.append(("better" if told["mean"] < 0 else "worse") if told["seen"] else "no difference seen")
        table.add_row(*row)
    console.print(table)
