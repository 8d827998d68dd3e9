"""What a run's tokens are made of, and where one of them comes from."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.errors import UserError, did_you_mean
from pipeline.run.open_shards import open_shards
from pipeline.run.run import Run
from pipeline.tokenize import shards
from pipeline.tokenize.bpe import Tokenizer
from pipeline.tokenize.shards import Document
from pipeline.tokenize.vocabulary_report import UNKNOWN, density, vocabulary

AROUND = 24
"""Tokens shown on each side of one that is asked for."""
SAMPLES, SAMPLE_TOKENS = 3, 60
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFigures:
    """A split of the shards."""

    shards: int
    documents: int
    tokens: int
    """The end-of-text of each document among them."""
    bytes: int
    """Of UTF-8 text."""
    bytes_per_token: float | None
    """Not counting the end-of-text tokens; None without tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageFigures:
    """The documents of a language; the fields are those of `SplitFigures`."""

    documents: int
    tokens: int
    bytes: int
    bytes_per_token: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUse:
    """A token of the vocabulary."""

    id: int
    token: str
    """The text it stands for; bytes that are not UTF-8 as escapes."""
    bytes: int
    count: int
    """How often the shards have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """Tokens that the shards do not have."""

    count: int
    first: tuple[TokenUse, ...]
    """Those of the smallest ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSample:
    """The beginning of a document."""

    position: int
    """Of its first token in the train split."""
    id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a run's shards hold."""

    run: str
    """The run directory."""
    dtype: str
    """Of a token in the shards."""
    vocab_size: int
    splits: dict[str, SplitFigures]
    languages: dict[str, LanguageFigures]
    """Language code -> figures, most tokens first."""
    longest: tuple[TokenUse, ...]
    """The longest tokens of the vocabulary."""
    unused: Unused
    samples: tuple[TextSample, ...]
    """Spread evenly over the train split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlace:
    """Where a token is and comes from."""

    split: str
    position: int
    """In the split."""
    shard: str
    """The file."""
    offset: int
    """In the file, in tokens."""
    id: int
    bytes: str
    """The text it stands for; bytes that are not UTF-8 as escapes."""
    document: Document
    text_start: int
    """First byte of the document's UTF-8 text that it stands for."""
    text_end: int
    """Byte behind the last; the same for the end-of-text."""
    before: str
    """The text of the tokens before it in the document."""
    after: str


def tokens(run: Run) -> Tokens:
    """What the shards of a run hold, read from disk. UserError where there are none."""
    opened, tokenizer = open_shards(run)
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    splits = {}
    tables = []
    for name, split in opened.splits.items():
        for start in range(0, split.tokens, _BLOCK):
            block = split.read(start, min(_BLOCK, split.tokens - start))
            counts += np.bincount(block, minlength=len(counts))
        splits[name] = SplitFigures(
            shards=len(split.shards),
            documents=split.documents,
            tokens=split.tokens,
            **density(split.bytes, split.tokens - split.documents),
        )
        tables.append(opened.documents(name).select(["language", "length", "bytes"]))
    used = vocabulary(tokenizer, counts)
    return Tokens(
        run=str(run.root),
        dtype=opened.manifest["dtype"],
        vocab_size=opened.vocab_size,
        splits=splits,
        languages=_languages(pa.concat_tables(tables)),
        longest=tuple(TokenUse(**entry) for entry in used["longest"]),
        unused=Unused(
            count=used["unused"]["count"], first=tuple(TokenUse(**entry) for entry in used["unused"]["first"])
        ),
        samples=_samples(opened, tokenizer),
    )


def _languages(documents: pa.Table) -> dict[str, LanguageFigures]:
    sums = documents.group_by("language").aggregate([("length", "sum"), ("length", "count"), ("bytes", "sum")])
    rows = sorted(sums.to_pylist(), key=lambda row: (-row["length_sum"], row["language"] or ""))
    return {
        row["language"] or UNKNOWN: LanguageFigures(
            documents=row["length_count"],
            tokens=row["length_sum"],
            **density(row["bytes_sum"], row["length_sum"] - row["length_count"]),
        )
        for row in rows
    }


def _samples(opened: shards.Shards, tokenizer: Tokenizer) -> tuple[TextSample, ...]:
    split = opened.splits["train"]
    table = opened.documents("train")
    samples = []
    for row in sorted({len(table) * n // SAMPLES for n in range(SAMPLES)} if len(table) else []):
        start, length = table["start"][row].as_py(), table["length"][row].as_py()
        text = tokenizer.decode(split.read(start, min(length, SAMPLE_TOKENS)))
        samples.append(TextSample(position=start, id=table["id"][row].as_py(), text=text))
    return tuple(samples)


def find_token(run: Run, split: str, position: int) -> TokenPlace:
    """Where token `position` of a split is and comes from. UserError for an unknown split or a position out of range."""
    opened, tokenizer = open_shards(run)
    if split not in opened.splits:
        raise UserError(
            f"--split {split}: unknown{did_you_mean(split, opened.splits)}; known: {', '.join(opened.splits)}"
        )
    stream = opened.splits[split]
    if not 0 <= position < stream.tokens:
        raise UserError(f"--token {position}: the {split} split has tokens 0 to {stream.tokens - 1:,}")
    number, offset = stream.shard_at(position)
    document = opened.locate(split, position)
    ids = stream.read(document.start, document.length)
    index = position - document.start
    sizes = tokenizer.token_bytes
    text_start = int(sizes[ids[:index]].sum())
    return TokenPlace(
        split=split,
        position=position,
        shard=str(opened.directory / opened.manifest["splits"][split]["shards"][number]["file"]),
        offset=offset,
        id=int(ids[index]),
        bytes=tokenizer.decode_bytes(ids[index : index + 1]).decode("utf-8", "backslashreplace"),
        document=document,
        text_start=text_start,
        text_end=text_start + int(sizes[ids[index]]),
        before=tokenizer.decode(ids[max(0, index - AROUND) : index]),
        after=tokenizer.decode(ids[index + 1 : index + 1 + AROUND]),
    )
