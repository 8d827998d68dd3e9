"""decontaminate.find: which documents contain evaluation texts. decontaminate.cut: those texts cut out."""

import glob
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.engines import Progress, Retry
from pipeline.core.fingerprint import Content
from pipeline.core.ledger import row_groups
from pipeline.core.measuring import measure
from pipeline.core.part import EarlierRun, PartFiles, RunFiles
from pipeline.core.step import Step, columns
from pipeline.errors import UserError, did_you_mean
from pipeline.extract.inputs.compressed import open_decompressed
from pipeline.extract.inputs.forms import LINES
from pipeline.filters.decontaminate.options import CUT_OPTIONS, DecontaminateOptions
from pipeline.stages.duplicates.spans import cut_columns, kept_texts, write_cuts
from pipeline.stages.duplicates.verify import DOCUMENTS

if TYPE_CHECKING:
    from pipeline.filters.decontaminate.index import EvaluationIndex

_MAX_LINE = 100_000_000  # bytes


def evaluation_files(options: DecontaminateOptions) -> list[str]:
    """The files of `decontaminate.against`; UserError for a name that matches no file."""
    files = []
    for name in options.against:
        matches = sorted(glob.glob(name, recursive=True))
        if not matches:
            raise UserError(f"decontaminate.against: {name}: no such file")
        for file in matches:
            if not file.lower().endswith(LINES):
                raise UserError(
                    f"decontaminate.against: {file}: not JSON Lines (.jsonl, .ndjson; also .gz, .zst, .bz2, .xz)"
                )
        files += matches
    return files


def read_items(options: DecontaminateOptions) -> tuple[list[str], list[str]]:
    """Texts and names ("file.jsonl#id") of all items; UserError for a line without any of the fields."""
    texts, names = [], []
    for file in evaluation_files(options):
        short = file.rpartition("/")[2]
        with open_decompressed(file) as lines:
            number = 0
            while line := lines.readline(_MAX_LINE):
                number += 1
                if line.strip():
                    item = _item(line, f"decontaminate.against: {file}: line {number:,}")
                    parts = [str(item[name]) for name in options.fields if item.get(name) is not None]
                    if not parts:
                        known = ", ".join(sorted(map(str, item)))
                        fields, near = " or ".join(options.fields), did_you_mean(options.fields[0], map(str, item))
                        raise UserError(
                            f"decontaminate.fields: {file}: line {number:,} has no {fields}{near}; it has: {known}"
                        )
                    texts.append("\n".join(parts))
                    names.append(f"{short}#{item.get(options.id, number)}")
    if not texts:
        raise UserError(f"decontaminate.against: {', '.join(options.against)}: no items")
    return texts, names


def _item(line: bytes, where: str) -> dict[str, Any]:
    try:
        item = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not JSON ({error})") from None
    if not isinstance(item, dict):
        raise UserError(f"{where}: not a JSON object")
    return item


@lru_cache(1)
def open_index(options: DecontaminateOptions) -> "tuple[EvaluationIndex, list[str]]":
    """An index of the items' n-grams, and the items' names."""
    from pipeline.filters.decontaminate.index import EvaluationIndex

    texts, names = read_items(options)
    index = EvaluationIndex(texts, options.ngram)
    if index.short == len(texts):
        raise UserError(f"decontaminate.ngram: {options.ngram}: no item has that many words")
    return index, names


def check_evaluations(config: Config) -> list[str]:
    """Raise UserError for files that cannot be used; return notes on items that cannot be found."""
    options = config.decontaminate
    index, names = open_index(options)
    if not index.short:
        return []
    return [
        f"decontaminate: {index.short:,} of {len(names):,} items have fewer than {options.ngram} words and cannot be found"
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The evaluation texts by their content, and how they are compared."""

    options: DecontaminateOptions
    content: tuple[tuple[str, Content], ...]
    """(name, file) pairs: the name is part of the items' names."""

    def hashed(self) -> object:
        """What keys hash."""
        return [self.options.fields, self.options.id, self.options.ngram, self.content]


def _items(config: Config, earlier: Sequence[EarlierRun]) -> Items:
    files = evaluation_files(config.decontaminate)
    return Items(options=config.decontaminate, content=tuple((Path(file).name, Content.of(file)) for file in files))


CONTAMINATION = pa.schema(
    [
        ("contamination", pa.float64()),
        ("contamination_ngrams", pa.int32()),
        ("contaminated_by", pa.list_(pa.struct([("item", pa.string()), ("share", pa.float32())]))),
    ]
)
"""Columns of ledger/decontaminate.find."""
COLUMNS = {
    "contamination": "the largest share of one evaluation item's n-grams that the text contains",
    "contamination_ngrams": "how many n-grams of any item it contains",
    "contaminated_by": "the items, and the share of each item's n-grams",
}


def find(files: PartFiles, options: Items, progress: Progress, retry: Retry) -> int:
    """Write which evaluation items share n-grams with the text so far."""
    index, names = open_index(options.options)

    def compute(text: pa.Array) -> list[pa.Array]:
        null = text.is_null().to_numpy(zero_copy_only=False)
        matches = index.search(text)
        items = [
            None if empty else [{"item": names[item], "share": share} for item, share in entries]
            for empty, entries in zip(null, matches.items, strict=True)
        ]
        return [
            pa.array(matches.share, mask=null),
            pa.array(matches.ngrams, mask=null),
            pa.array(items, CONTAMINATION.field("contaminated_by").type),
        ]

    return measure(files, CONTAMINATION, compute, progress, retry)


def _kernels(options: Items) -> None:
    open_index(options.options)[0].search(pa.array(["Warm up."], pa.string()))


FIND = Step(
    name="decontaminate.find",
    title="find evaluation texts",
    version=1,
    run=find,
    options=_items,
    text=True,
    needed=lambda config: config.contamination is not None,
    libraries=("unicode",),
    kernels=_kernels,
    compiles=2,
    check=check_evaluations,
    columns=lambda: columns(CONTAMINATION, COLUMNS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutting:
    """How evaluation texts are cut out."""

    items: Items

    def hashed(self) -> object:
        """What keys hash."""
        return [self.items, *(getattr(self.items.options, name) for name in CUT_OPTIONS)]


def cut(files: RunFiles, cutting: Cutting, progress: Progress) -> int:
    """Write the ranges of evaluation texts to cut out of the documents; only the few that contain any are read again."""
    from pipeline.filters.decontaminate.cuts import collision_cuts
    from pipeline.filters.kernels.spans import Ranges

    options = cutting.items.options
    index, _ = open_index(options)

    def contaminated() -> Iterator[tuple[int, list[str | None]]]:
        """The texts of each row group; None for those without evaluation texts."""
        for part in files.parts:
            measured = row_groups(files.file(FIND, part), ["contamination_ngrams"])
            for (number, texts), table in zip(kept_texts(files, [part]), measured, strict=True):
                contains = pc.greater(table["contamination_ngrams"].combine_chunks(), 0)
                yield number, pc.if_else(contains, texts, pa.scalar(None, texts.type)).to_pylist()

    documents = np.zeros(index.grams, np.int64)
    for _, texts in contaminated():
        for text in filter(None, texts):
            documents[np.unique(index.occurrences(text)[1])] += 1
    rare = documents <= options.max_documents

    def cuts(text: str | None) -> list[tuple[int, int]]:
        if text is None:
            return []
        words, grams = index.occurrences(text)
        return collision_cuts(
            text,
            words[rare[grams]],
            ngram=options.ngram,
            window=options.window,
            min_characters=options.min_characters,
            max_pieces=options.max_pieces,
        )

    def ranges() -> Iterator[tuple[int, Ranges]]:
        for number, texts in contaminated():
            by_text = [cuts(text) for text in texts]
            edges = np.array([edge for pairs in by_text for edge in pairs], np.int64).reshape(-1, 2)
            offsets = np.cumsum([0, *map(len, by_text)], dtype=np.int64)
            yield number, Ranges(offsets, edges[:, 0].copy(), edges[:, 1].copy())

    return write_cuts(files, progress, ranges())


def fate(options: DecontaminateOptions) -> str:
    """What happens to a document out of which texts are cut, in words."""
    return (
        f"; a document in more than {options.max_pieces} pieces is dropped, "
        f"and so are pieces of fewer than {options.min_characters} characters"
    )


CUT = Step(
    name="decontaminate.cut",
    title="cut evaluation texts",
    version=1,
    run=cut,
    options=lambda config, earlier: Cutting(items=_items(config, earlier)),
    reads=(DOCUMENTS, FIND),
    whole=True,
    gated=False,
    text=True,
    needed=lambda config: config.contamination == "cut",
    libraries=("unicode",),
    cuts=True,
    shows=False,
    columns=cut_columns,
)
