"""A mixture: how many tokens of which source, in which order, decided from the documents' index alone, in bounded memory.

Weights are shares of tokens. A source that is asked for more than it has comes again, up to its `epochs`; documents stay
whole, so a share is met but for less than the shortest document that was passed over. Which documents come and where is
decided by hashes of their ids: neither the order of files nor the number of workers changes anything.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import UserError
from pipeline.tokenize.disk_shuffle import Shuffle
from pipeline.tokenize.encoded import ROW_BYTES
from pipeline.tokenize.shard_writer import Documents

Sizes = dict[str, tuple[int, int]]
"""(documents, tokens) by language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source of a mixture; `files` are the numbers of its encoded parts among all that are merged, and no other's."""

    name: str
    files: tuple[int, ...]
    weight: float = 1.0
    epochs: float = 1.0
    """How often a document may come at most; 2.5: all twice, and half of them a third time."""
    max_tokens: int | None = None
    temperature: float | None = None
    """Languages in proportion to tokens ^ (1 / temperature) (Conneau and Lample 2019, section 3.1); absent: as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pool:
    """Documents that are drawn from together: a source's, or those of one of its languages."""

    source: int
    language: str | None
    documents: int
    whole: int
    """Epochs of all of them."""
    left: int
    """Tokens of one epoch more."""
    spare: int
    """Tokens that its epochs allow beyond those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Sources and their total; without `tokens` as many as weights, epochs and caps allow."""

    sources: tuple[Source, ...]
    tokens: int | None = None
    seed: int = 0

    def select(
        self, index: Documents, held_out: Callable[[pa.Table], np.ndarray], validation: float, folder: Path, memory: int
    ) -> tuple[dict[str, Documents], dict[str, Any]]:
        """By split the rows of the index in the order of the mixture (a row again for each epoch), and what went in.

        Held-out documents are mixed by the same weights, each once at most, to at most `validation` of the training tokens.
        The index is read three times, in tables as large as it comes in. The rows chosen lie in `folder` and are good as long
        as that is there; some `memory` / ROW_BYTES of them are held at once, and how many changes nothing.
        """
        stocks = self._count(index, held_out)
        documents: dict[str, Documents] = {}
        told: dict[str, Any] = {}
        train_total = 0
        for split, held in (("train", False), ("validation", True)):
            stock = [stocks[held][number] for number in range(len(self.sources))]
            have = [sum(tokens for _, tokens in sizes.values()) for sizes in stock]
            if held:
                total = min(_total(_once(self.sources), have, None, strict=False), validation * train_total)
            else:
                total = _total(self.sources, have, self.tokens)
            pools = self._pools(_once(self.sources) if held else self.sources, stock, total)
            rows = sum(pool.documents * (pool.whole + 1) for pool in pools)
            chosen, drawn = (Shuffle(folder / f"{split}-{n}", rows * ROW_BYTES // memory + 1) for n in range(2))
            for some in index():
                self._spread(some.filter(pa.array(held_out(some) == held)), pools, split, chosen, drawn)
            once_more = self._draw(drawn, pools, chosen)
            entries = {
                source.name: _account(number, stock[number], pools, once_more)
                for number, source in enumerate(self.sources)
            }
            train_total = train_total or sum(entry["tokens"] for entry in entries.values())
            _add_shares(entries, self.sources)
            told[split] = entries
            documents[split] = chosen.tables
        return documents, told

    def _count(self, index: Documents, held_out: Callable[[pa.Table], np.ndarray]) -> tuple[dict[int, Sizes], ...]:
        """What there is of each source: to train on, and held out."""
        found: tuple[dict[int, Sizes], dict[int, Sizes]] = (defaultdict(dict), defaultdict(dict))
        for rows in index():
            held = held_out(rows)
            for side in range(2):
                some = rows.filter(pa.array(held == side))
                _add(found[side], pa.array(self._source_of(some)), some)
        return found

    def _pools(self, sources: Sequence[Source], stock: Sequence[Sizes], total: float) -> list[_Pool]:
        pools = []
        weights = sum(source.weight for source in sources)
        for number, (source, sizes) in enumerate(zip(sources, stock, strict=True)):
            documents: dict[str | None, int] = Counter()
            tokens: dict[str | None, int] = Counter()
            for name, (count, size) in sorted(sizes.items()):
                pool = name if source.temperature is not None else None
                documents[pool] += count
                tokens[pool] += size
            targets = _targets(tokens, total * source.weight / weights, source.epochs, source.temperature)
            for language, have in tokens.items():
                target = int(targets[language] + 1e-3)  # a thousandth for what was lost to floating point
                whole, left = divmod(target, have)
                spare = int(have * source.epochs) - target
                count = documents[language]
                pools.append(
                    _Pool(source=number, language=language, documents=count, whole=whole, left=left, spare=spare)
                )
        return pools

    def _spread(self, rows: pa.Table, pools: Sequence[_Pool], split: str, chosen: Shuffle, drawn: Shuffle) -> None:
        """The rows of whole epochs are chosen, and those of which one epoch more needs some are drawn from."""
        if not len(rows) or not pools:
            return
        pool = self._pool_of(rows, pools)
        rows = rows.append_column("pool", pa.array(pool)).filter(pa.array(pool >= 0))
        pool = pool[pool >= 0]
        whole, left = (np.array([getattr(each, name) for each in pools], np.int64) for name in ("whole", "left"))
        for epoch in range(whole.max()):
            again = rows.filter(pa.array(whole[pool] > epoch))
            self._choose(again.append_column("epoch", pa.array(np.full(len(again), epoch))), chosen)
        rows = rows.append_column("epoch", pa.array(whole[pool])).filter(pa.array(left[pool] > 0))
        salts = np.array([self._salt(self.sources[each.source].name, split) for each in pools], np.uint64)
        drawn.add(rows, _mixed(rows["key"].to_numpy(), rows["epoch"].to_numpy(), salts[rows["pool"].to_numpy()]))

    def _draw(self, drawn: Shuffle, pools: Sequence[_Pool], chosen: Shuffle) -> dict[int, Sizes]:
        """Choose documents in hashed order as long as they fit; returns what was taken of each pool.

        What no whole document of a language fitted in goes to its source's others, as far as their epochs allow.
        """
        left = np.array([pool.left for pool in pools], np.int64)
        over = left.copy()
        for rows in drawn.tables():
            _take(rows, over)
        sources = np.array([pool.source for pool in pools], np.int64)
        short = np.bincount(sources, over, len(self.sources)).astype(np.int64)
        room = over + np.array([pool.spare for pool in pools], np.int64)
        found: dict[int, Sizes] = defaultdict(dict)
        for rows in drawn.tables():
            taken = _take(rows, left)
            _take_more(rows, taken, sources, short, room)
            rows = rows.filter(pa.array(taken)).drop_columns("place")
            self._choose(rows, chosen)
            _add(found, rows["pool"], rows)
        return found

    def _choose(self, rows: pa.Table, chosen: Shuffle) -> None:
        salt = self._salt("", "order")
        chosen.add(rows, _mixed(rows["key"].to_numpy(), rows["epoch"].to_numpy(), salt))

    def _source_of(self, rows: pa.Table) -> np.ndarray:
        """The number of each row's source, -1 for none."""
        files = rows["part"].to_numpy()
        found = np.full(len(rows), -1, np.int64)
        for number, source in enumerate(self.sources):
            found[np.isin(files, source.files)] = number
        return found

    def _pool_of(self, rows: pa.Table, pools: Sequence[_Pool]) -> np.ndarray:
        """The number of each row's pool, -1 for none."""
        numbers = {(pool.source, pool.language): number for number, pool in enumerate(pools)}
        coded = _languages(rows).combine_chunks().dictionary_encode()
        names = coded.dictionary.to_pylist()
        table = np.array(
            [
                [numbers.get((source, name), numbers.get((source, None), -1)) for name in names]
                for source in range(len(self.sources))
            ]
        )
        source = self._source_of(rows)
        return np.where(source >= 0, table[source, coded.indices.to_numpy()], -1)

    def _salt(self, name: str, purpose: str) -> int:
        text = f"{self.seed}\n{purpose}\n{name}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8, person=b"mixture").digest(), "little")


def _once(sources: Sequence[Source]) -> list[Source]:
    return [replace(source, epochs=1.0, max_tokens=None) for source in sources]


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


def _targets(
    have: Mapping[str | None, int], total: float, epochs: float, temperature: float | None
) -> dict[str | None, float]:
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


def _languages(rows: pa.Table) -> pa.ChunkedArray:
    return rows["language"].fill_null("unknown")


def _add(found: dict[int, Sizes], group: Any, rows: pa.Table) -> None:
    """Count the rows' documents and tokens by group and language."""
    table = pa.table([group, _languages(rows), rows["length"]], ["group", "language", "length"])
    sums = table.group_by(["group", "language"]).aggregate([("length", "count"), ("length", "sum")])
    for row in sums.to_pylist():
        documents, tokens = found[row["group"]].get(row["language"], (0, 0))
        found[row["group"]][row["language"]] = documents + row["length_count"], tokens + row["length_sum"]


def _take(rows: pa.Table, left: np.ndarray) -> np.ndarray:
    """Which of the rows, in their order, fit in what is left of their pools, which they then lessen."""
    lengths, pool = rows["length"].to_numpy(), rows["pool"].to_numpy()
    taken = np.zeros(len(rows), bool)
    for number in np.unique(pool).tolist():
        some = np.flatnonzero(pool == number)
        while len(some):
            fitting = int(np.searchsorted(np.cumsum(lengths[some]), left[number], side="right"))
            taken[some[:fitting]] = True
            left[number] -= lengths[some[:fitting]].sum()
            some = some[fitting + 1 :]
            some = some[lengths[some] <= left[number]]
    return taken


def _take_more(rows: pa.Table, taken: np.ndarray, sources: np.ndarray, short: np.ndarray, room: np.ndarray) -> None:
    """Take further rows, in their order, that fit both in what their source is short of and in the room of their pool."""
    lengths, pool = rows["length"].to_numpy(), rows["pool"].to_numpy()
    for row in np.flatnonzero(~taken & (lengths <= np.minimum(short[sources[pool]], room[pool]))).tolist():
        length, number = lengths[row], pool[row]
        if length <= min(short[sources[number]], room[number]):
            taken[row] = True
            short[sources[number]] -= length
            room[number] -= length


def _mixed(keys: np.ndarray, epochs: np.ndarray, salt: int | np.ndarray) -> np.ndarray:
    """A hash of each (key, epoch) under a salt, or under one each: the finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    value = keys.astype(np.uint64) ^ np.asarray(salt, np.uint64)
    value = value + epochs.astype(np.uint64) * golden + golden
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _account(number: int, stock: Sizes, pools: Sequence[_Pool], once_more: Mapping[int, Sizes]) -> dict[str, Any]:
    documents = distinct = 0
    languages = Counter[str]()
    for place, pool in enumerate(pools):
        if pool.source == number:
            more = once_more.get(place, {})
            count = sum(some for some, _ in more.values())
            documents += pool.whole * pool.documents + count
            distinct += pool.documents if pool.whole else count
            for language, (_, tokens) in stock.items():
                if pool.language in (language, None):
                    languages[language] += pool.whole * tokens + more.get(language, (0, 0))[1]
    tokens, have = languages.total(), sum(tokens for _, tokens in stock.values())
    return {
        "documents": documents,
        "distinct_documents": distinct,
        "tokens": tokens,
        "available": have,
        "epochs": tokens / have if have else 0.0,
        "languages": {
            name: languages[name]
            for name in sorted(languages, key=lambda name: (-languages[name], name))
            if languages[name]
        },
    }


def _add_shares(entries: dict[str, Any], sources: Sequence[Source]) -> None:
    tokens = sum(entry["tokens"] for entry in entries.values())
    weights = sum(source.weight for source in sources)
    for source in sources:
        entry = entries[source.name]
        entry["weight"] = source.weight / weights
        entry["share"] = entry["tokens"] / tokens if tokens else 0.0
