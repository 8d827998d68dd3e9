"""Reading evaluation texts, and their index, which a worker makes once."""

import glob
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pipeline.config import Decontaminate
from pipeline.errors import UserError, did_you_mean
from pipeline.extract.inputs.documents import LINES, open_lines

if TYPE_CHECKING:
    from pipeline.filters.decontaminate.index import EvaluationIndex

_MOST = 100_000_000  # bytes of a line


def evaluation_files(options: Decontaminate) -> list[str]:
    """The files of `decontaminate.against`; UserError for a name that is none."""
    files = []
    for name in options.against:
        found = sorted(glob.glob(name, recursive=True))
        if not found:
            raise UserError(f"decontaminate.against: {name}: no such file")
        for file in found:
            if not file.lower().endswith(LINES):
                raise UserError(f"decontaminate.against: {file}: not JSON Lines ({', '.join(LINES)})")
        files += found
    return files


def read_items(options: Decontaminate) -> tuple[list[str], list[str]]:
    """Texts and names ("file.jsonl#id") of all items. UserError for a line that has none of the fields."""
    texts, names = [], []
    for file in evaluation_files(options):
        short = file.rpartition("/")[2]
        with open_lines(file) as lines:
            number = 0
            while line := lines.readline(_MOST):
                number += 1
                if line.strip():
                    item = _item(line, f"decontaminate.against: {file}: line {number:,}")
                    parts = [str(item[name]) for name in options.fields if item.get(name) is not None]
                    if not parts:
                        known = ", ".join(sorted(map(str, item)))
                        wanted, near = " or ".join(options.fields), did_you_mean(options.fields[0], map(str, item))
                        raise UserError(
                            f"decontaminate.fields: {file}: line {number:,} has no {wanted}{near}; it has: {known}"
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
def open_index(options: Decontaminate) -> "tuple[EvaluationIndex, list[str]]":
    """The items' n-grams, and their names."""
    from pipeline.filters.decontaminate.index import EvaluationIndex

    texts, names = read_items(options)
    index = EvaluationIndex(texts, options.ngram)
    if index.short == len(texts):
        raise UserError(f"decontaminate.ngram: {options.ngram}: no item has so many words")
    return index, names


def check_evaluations(options: Decontaminate) -> list[str]:
    """UserError for what cannot be looked for; notes on what cannot be found."""
    index, names = open_index(options)
    if not index.short:
        return []
    return [
        f"decontaminate: {index.short:,} of {len(names):,} items have fewer than {options.ngram} words and cannot be found"
    ]
