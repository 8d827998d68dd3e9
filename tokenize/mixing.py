"""A mixture: how many tokens of which source, in which order, decided from the documents' index alone.

Weights are shares of tokens. A source that is asked for more than it has comes again, up to its `epochs`; documents stay
whole, so a share is met but for less than the shortest document that was passed over. Which documents come and where is
decided by hashes of their ids: neither the order of files nor the number of workers changes anything.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source of a mixture; `files` are the numbers of its encoded parts among all that are merged."""

    name: str
    files: tuple[int, ...]
    weight: float = 1.0
    epochs: float = 1.0
    """How often a document may come at most; 2.5: all twice, and half of them a third time."""
    max_tokens: int | None = None
    temperature: float | None = None
    """Languages in proportion to tokens ^ (1 / temperature) (Conneau and Lample 2019, section 3.1); absent: as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Sources and their total; without `tokens` as many as weights, epochs and caps allow."""

    sources: tuple[Source, ...]
    tokens: int | None = None
    seed: int = 0

    def select(
        self, index: pa.Table, held_out: np.ndarray, validation: float
    ) -> tuple[pa.Table, np.ndarray, dict[str, Any]]:
        """Rows of the index in the order of the mixture (a row again for each epoch), which are held out, and what went in.

        Held-out documents are mixed by the same weights, each once at most, to at most `validation` of the training tokens.
        """
        lengths = index["length"].to_numpy()
        languages = index["language"].fill_null("unknown").combine_chunks().dictionary_encode()
        codes = languages.indices.to_numpy()
        names = languages.dictionary.to_pylist()
        files = index["file"].to_numpy()
        keys = index["key"].to_numpy()
        chosen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        told: dict[str, Any] = {}
        train_total = 0
        for split, mask in (("train", ~held_out), ("validation", held_out)):
            members = [np.flatnonzero(mask & np.isin(files, source.files)) for source in self.sources]
            pools = [
                {code: rows[codes[rows] == code] for code in np.unique(codes[rows]).tolist()}
                if source.temperature is not None
                else {-1: rows}
                for source, rows in zip(self.sources, members, strict=True)
            ]
            if split == "train":
                total = _total(self.sources, [int(lengths[rows].sum()) for rows in members], self.tokens)
            else:
                most = _total(_once(self.sources), [int(lengths[rows].sum()) for rows in members], None, strict=False)
                total = min(most, validation * train_total)
            entries = {}
            weights = sum(source.weight for source in self.sources)
            for source, pool in zip(self.sources, pools, strict=True):
                limit = source.epochs if split == "train" else 1.0
                have = {code: int(lengths[rows].sum()) for code, rows in pool.items()}
                targets = _targets(have, total * source.weight / weights, limit, source.temperature)
                found = []
                over = 0.0  # what no whole document fitted in goes to the next larger language
                for code in sorted(pool, key=lambda code: have[code]):
                    target = min(targets[code] + over, have[code] * limit)
                    found.append(_draw(pool[code], target, lengths, keys, self._salt(source.name, split)))
                    over += targets[code] - int(lengths[found[-1][0]].sum())
                rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in found)])
                epochs = np.concatenate([np.empty(0, np.int64), *(epochs for _, epochs in found)])
                chosen.append((rows, epochs, np.full(len(rows), split == "validation")))
                entries[source.name] = _account(rows, lengths, codes, names, sum(have.values()))
            train_total = train_total or sum(entry["tokens"] for entry in entries.values())
            _add_shares(entries, self.sources)
            told[split] = entries
        rows, epochs, held = (np.concatenate(columns) for columns in zip(*chosen, strict=True))
        order = _mixed(keys[rows], epochs, self._salt("", "order"))
        # Equal hashes (one document twice in an epoch, or in two sources) keep the order of the index.
        place = np.lexsort((epochs, rows, order))
        return index.take(pa.array(rows[place])), held[place], told

    def _salt(self, name: str, purpose: str) -> int:
        text = f"{self.seed}\n{purpose}\n{name}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8, person=b"mixture").digest(), "little")


def _once(sources: Sequence[Source]) -> list[Source]:
    return [Source(name=source.name, files=source.files, weight=source.weight) for source in sources]


def _total(sources: Sequence[Source], have: Sequence[int], wanted: int | None, *, strict: bool = True) -> float:
    """The tokens of the whole mixture; UserError naming the source that cannot give its share."""
    weights = sum(source.weight for source in sources)
    room: dict[str, float] = {}
    for source, tokens in zip(sources, have, strict=True):
        if not tokens and strict:
            raise UserError(f"mix.sources.{source.name}: holds no token to train on")
        most = tokens * source.epochs if source.max_tokens is None else min(source.max_tokens, tokens * source.epochs)
        room[source.name] = most * weights / source.weight
    scarcest = min(room, key=lambda name: room[name])
    if wanted is None:
        return room[scarcest]
    if wanted > room[scarcest]:
        raise UserError(
            f"mix.tokens is {wanted:,}, but mix.sources.{scarcest} with its weight, epochs and max_tokens allows "
            f"{int(room[scarcest]):,} in all"
        )
    return float(wanted)


def _targets(have: Mapping[int, int], total: float, epochs: float, temperature: float | None) -> dict[int, float]:
    """Tokens wanted of each language: by temperature, none beyond its epochs, what is over going to the others."""
    targets = dict.fromkeys(have, 0.0)
    power = 1.0 if temperature is None else 1 / temperature
    open_ = [code for code in have if have[code]]
    left = total
    while open_ and left > 1e-9 * total:
        shares = {code: have[code] ** power for code in open_}
        whole = sum(shares.values())
        full = [code for code in open_ if left * shares[code] / whole >= have[code] * epochs]
        if not full:
            return targets | {code: left * shares[code] / whole for code in open_}
        for code in full:
            targets[code] = have[code] * epochs
            left -= targets[code]
        open_ = [code for code in open_ if code not in full]
    return targets


def _draw(
    rows: np.ndarray, target: float, lengths: np.ndarray, keys: np.ndarray, salt: int
) -> tuple[np.ndarray, np.ndarray]:
    """Whole epochs of the rows, then documents in hashed order as long as they fit: (rows, epoch of each)."""
    have = int(lengths[rows].sum())
    whole = int(target // have) if have else 0
    left = target - whole * have
    order = rows[np.argsort(_mixed(keys[rows], np.full(len(rows), whole), salt), kind="stable")]
    partial: list[np.ndarray] = []
    while len(order):
        fitting = int(np.searchsorted(np.cumsum(lengths[order]), left, side="right"))
        partial.append(order[:fitting])
        left -= int(lengths[order[:fitting]].sum())
        order = order[fitting + 1 :]
        order = order[lengths[order] <= left]
    last = np.concatenate([np.empty(0, np.int64), *partial])
    epochs = np.repeat(np.arange(whole + 1), [len(rows)] * whole + [len(last)])
    return np.concatenate([*([rows] * whole), last]), epochs


def _mixed(keys: np.ndarray, epochs: np.ndarray, salt: int) -> np.ndarray:
    """A hash of each (key, epoch) under a salt: the finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    value = keys.astype(np.uint64) ^ np.uint64(salt)
    value = value + epochs.astype(np.uint64) * golden + golden
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _account(
    rows: np.ndarray, lengths: np.ndarray, codes: np.ndarray, names: Sequence[str], have: int
) -> dict[str, Any]:
    tokens = int(lengths[rows].sum())
    languages = np.bincount(codes[rows], lengths[rows], minlength=len(names)).astype(np.int64)
    return {
        "documents": len(rows),
        "distinct_documents": len(np.unique(rows)),
        "tokens": tokens,
        "available": have,
        "epochs": tokens / have if have else 0.0,
        "languages": {
            names[code]: int(languages[code])
            for code in sorted(range(len(names)), key=lambda code: (-languages[code], names[code]))
            if languages[code]
        },
    }


def _add_shares(entries: dict[str, Any], sources: Sequence[Source]) -> None:
    tokens = sum(entry["tokens"] for entry in entries.values())
    weights = sum(source.weight for source in sources)
    for source in sources:
        entry = entries[source.name]
        entry["weight"] = source.weight / weights
        entry["share"] = entry["tokens"] / tokens if tokens else 0.0
