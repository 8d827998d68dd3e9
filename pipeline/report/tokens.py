"""From a token to the web and back: where token N comes from, and what a run's tokens are made of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Column, Table

from pipeline.core.progress import safe
from pipeline.errors import UserError, did_you_mean
from pipeline.files import atomic_folder
from pipeline.run.run import Run, open_run
from pipeline.tokenize import shards
from pipeline.tokenize.bpe import Tokenizer
from pipeline.tokenize.exports import FORMATS
from pipeline.tokenize.vocabulary_report import UNKNOWN, density, vocabulary

AROUND = 24  # tokens shown on each side of one that is asked for
SAMPLES, SAMPLE_TOKENS = 3, 60
_BLOCK = 1 << 22


def open_shards(run: Run) -> tuple[shards.Shards, Tokenizer]:
    """A run's shards and their tokenizer; UserError where they are not made, or not of the present config."""
    if not run.is_done("shards"):
        raise UserError(f"{run.root}: no finished shards; python -m pipeline run … --until shards makes them")
    tokenizer = Tokenizer.from_file(run.root / "tokenizer")
    return shards.open(run.root / "shards", tokenizer), tokenizer


def export(source: Path, form: str, out: Path) -> list[str]:
    """Write a run's shards, or a directory of shards, in another format; lines that say how each file is read."""
    if form not in FORMATS:
        raise UserError(f"{form}: unknown format{did_you_mean(form, FORMATS)}; known: {', '.join(FORMATS)}")
    if out.exists():
        raise UserError(f"{out}: is there already; choose another name")
    opened = shards.open(source) if (source / "manifest.json").is_file() else open_shards(open_run(source))[0]
    with atomic_folder(out) as folder:
        files = [out / path.relative_to(folder) for path in FORMATS[form].write(opened, folder)]
    return FORMATS[form].reader_lines(files, opened.manifest["dtype"])


def find_token(run: Run, split: str, position: int) -> dict[str, Any]:
    """Where token `position` of a split lies and comes from.

    `{"split", "position", "shard", "offset", "id", "bytes", "document": {"id", "file", "row", "start", "length"},
    "text_start", "text_end", "before", "after"}`: the token is bytes text_start to text_end of the document's UTF-8 text
    (empty for the end-of-text); before and after are some text around it. UserError for a position out of range.
    """
    opened, tokenizer = open_shards(run)
    if split not in opened.splits:
        raise UserError(
            f"--split {split}: unknown{did_you_mean(split, opened.splits)}; known: {', '.join(opened.splits)}"
        )
    stream = opened.splits[split]
    if not 0 <= position < stream.tokens:
        raise UserError(f"--token {position}: the {split} split has tokens 0 to {stream.tokens - 1:,}")
    number, offset = stream.place(position)
    document = opened.locate(split, position)
    tokens = stream.read(document.start, document.length)
    place = position - document.start
    sizes = tokenizer.token_bytes
    start = int(sizes[tokens[:place]].sum())
    return {
        "split": split,
        "position": position,
        "shard": str(opened.directory / opened.manifest["splits"][split]["shards"][number]["file"]),
        "offset": offset,
        "id": int(tokens[place]),
        "bytes": tokenizer.decode_bytes(tokens[place : place + 1]).decode("utf-8", "backslashreplace"),
        "document": {key: getattr(document, key) for key in ("id", "file", "row", "start", "length")},
        "text_start": start,
        "text_end": start + int(sizes[tokens[place]]),
        "before": tokenizer.decode(tokens[max(0, place - AROUND) : place]),
        "after": tokenizer.decode(tokens[place + 1 : place + 1 + AROUND]),
    }


def show_token(found: Mapping[str, Any], console: Console) -> None:
    """The place of a token, above the story of its document."""

    def line(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    line(f"[bold]token {found['position']:,} of {found['split']}[/]: {safe(repr(found['bytes']))}, id {found['id']}")
    line(f"  {'shard':<33} {safe(found['shard'])}, offset {found['offset']:,}")
    place = found["position"] - found["document"]["start"]
    line(f"  {'in its document':<33} token {place:,} of {found['document']['length']:,}")
    line(f"  {'in its text':<33} UTF-8 bytes {found['text_start']:,} to {found['text_end']:,}")
    before, after = (safe(repr(found[side])[1:-1]) for side in ("before", "after"))
    line(f"  {'around it':<33} {before}[reverse]{safe(repr(found['bytes'])[1:-1])}[/]{after}")


def collect(run: Run) -> dict[str, Any]:
    """What the shards hold, read from disk: splits, languages, longest and unused tokens, samples.

    Bytes are of UTF-8 text; bytes per token leave the end-of-text tokens out, which are no text.
    """
    opened, tokenizer = open_shards(run)
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    splits = {}
    tables = []
    for name, split in opened.splits.items():
        for start in range(0, split.tokens, _BLOCK):
            block = split.read(start, min(_BLOCK, split.tokens - start))
            counts += np.bincount(block, minlength=len(counts))
        entry = {"shards": len(split.shards), "documents": split.documents, "tokens": split.tokens}
        splits[name] = entry | density(split.bytes, split.tokens - split.documents)
        tables.append(opened.documents(name).select(["language", "length", "bytes"]))
    rows = (
        pa.concat_tables(tables)
        .group_by("language")
        .aggregate([("length", "sum"), ("length", "count"), ("bytes", "sum")])
    )
    languages = {
        row["language"] or UNKNOWN: {"documents": row["length_count"], "tokens": row["length_sum"]}
        | density(row["bytes_sum"], row["length_sum"] - row["length_count"])
        for row in sorted(rows.to_pylist(), key=lambda row: (-row["length_sum"], row["language"] or ""))
    }
    return {
        "run": str(run.root),
        "dtype": opened.manifest["dtype"],
        "vocab_size": opened.vocab_size,
        "splits": splits,
        "languages": languages,
        **vocabulary(tokenizer, counts),
        "samples": _samples(opened, tokenizer),
    }


def _samples(opened: shards.Shards, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """The beginnings of documents spread evenly over the train split, which is shuffled."""
    split = opened.splits["train"]
    table = opened.documents("train")
    samples = []
    for row in sorted({len(table) * n // SAMPLES for n in range(SAMPLES)} if len(table) else []):
        start, length = table["start"][row].as_py(), table["length"][row].as_py()
        tokens = split.read(start, min(length, SAMPLE_TOKENS))
        samples.append({"position": start, "id": table["id"][row].as_py(), "text": tokenizer.decode(tokens)})
    return samples


def show(told: Mapping[str, Any], console: Console) -> None:
    """The account on the terminal."""
    tokens = sum(split["tokens"] for split in told["splits"].values())
    console.print(
        f"{tokens:,} tokens of a vocabulary of {told['vocab_size']:,}, as {told['dtype']}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table("split", *[_right(name) for name in ("shards", "documents", "tokens", "bytes", "bytes/token")])
    for name, split in told["splits"].items():
        table.add_row(name, f"{split['shards']:,}", *_figures(split))
    console.print(table)
    table = Table("language", *[_right(name) for name in ("documents", "tokens", "bytes", "bytes/token")])
    for name, language in told["languages"].items():
        table.add_row(safe(name), *_figures(language))
    console.print(table)
    unused = told["unused"]
    for title, entries in (
        ("longest tokens", told["longest"]),
        (f"unused tokens ({unused['count']:,})", unused["first"]),
    ):
        shown = "  ".join(safe(repr(entry["token"])) for entry in entries)
        console.print(f"[bold]{title}[/] {shown or 'none'}", highlight=False, soft_wrap=True)
    console.print("[bold]samples[/]")
    for sample in told["samples"]:
        text = safe(" ".join(sample["text"].split()))
        console.print(f"  token {sample['position']:,} ({safe(sample['id'])}): {text}", highlight=False, soft_wrap=True)
    if told["samples"]:
        position = told["samples"][-1]["position"]
        console.print(f"next: python -m pipeline why {told['run']} --token {position}", highlight=False, soft_wrap=True)


def _right(name: str) -> Column:
    return Column(name, justify="right")


def _figures(entry: Mapping[str, Any]) -> list[str]:
    density = entry["bytes_per_token"]
    return [f"{entry[name]:,}" for name in ("documents", "tokens", "bytes")] + [
        "" if density is None else f"{density:.2f}"
    ]
