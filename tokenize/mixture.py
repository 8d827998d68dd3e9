"""A mixture: how many tokens of which source, in which order; decided from the index of the documents, in bounded memory.

Weights are shares of tokens. A source with too few tokens is repeated, up to its `epochs`. Documents stay whole, so a share is
met up to less than the shortest document passed over. Hashes of the ids decide which documents are taken and in which order,
so the order of files and the number of workers make no difference.
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
    """One source of a mixture; `files` are the numbers of its own encoded parts among all that are merged."""

    name: str
    files: tuple[int, ...]
    weight: float = 1.0
    epochs: float = 1.0
    """At most how often a document occurs; 2.5: all twice, and half of them a third time."""
    max_tokens: int | None = None
    temperature: float | None = None
    """Languages in proportion to tokens ^ (1 / temperature) (Conneau and Lample 2019, section 3.1); absent: as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pool:
    """Documents that are sampled together: those of a source, or of one of its languages."""

    source: int
    language: str | None
    documents: int
    whole_epochs: int
    """How often all of them are taken."""
    extra_tokens: int
    """Tokens to take in one more, partial epoch."""
    spare_tokens: int
    """Further tokens that its epochs allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Sources and the total of their tokens; without `tokens`, as many as weights, epochs and caps allow."""

    sources: tuple[Source, ...]
    tokens: int | None = None
    seed: int = 0

    def select(
        self, index: Documents, held_out: Callable[[pa.Table], np.ndarray], validation: float, folder: Path, memory: int
    ) -> tuple[dict[str, Documents], dict[str, Any]]:
        """For each split, the rows of the index in the order of the mixture (one row per epoch), and a report of the mixture.

        Held-out documents are mixed by the same weights, each at most once, up to the share `validation` of the training
        tokens. The index is read three times. The chosen rows are stored in `folder` and are valid as long as it exists; about
        `memory` / ROW_BYTES of them are in memory at a time, which makes no difference to the result.
        """
        stocks = self._count(index, held_out)
        documents: dict[str, Documents] = {}
        report: dict[str, Any] = {}
        train_total = 0
        for split, is_held_out in (("train", False), ("validation", True)):
            stock = [stocks[is_held_out][number] for number in range(len(self.sources))]
            available = [sum(tokens for _, tokens in sizes.values()) for sizes in stock]
            if is_held_out:
                total = min(_total(_once(self.sources), available, None, strict=False), validation * train_total)
            else:
                total = _total(self.sources, available, self.tokens)
            pools = self._pools(_once(self.sources) if is_held_out else self.sources, stock, total)
            rows = sum(pool.documents * (pool.whole_epochs + 1) for pool in pools)
            chosen, drawn = (Shuffle(folder / f"{split}-{n}", rows * ROW_BYTES // memory + 1) for n in range(2))
            for table in index():
                self._spread(table.filter(pa.array(held_out(table) == is_held_out)), pools, split, chosen, drawn)
            drawn_sizes = self._draw(drawn, pools, chosen)
            accounts = {
                source.name: _account(number, stock[number], pools, drawn_sizes)
                for number, source in enumerate(self.sources)
            }
            train_total = train_total or sum(account["tokens"] for account in accounts.values())
            _add_shares(accounts, self.sources)
            report[split] = accounts
            documents[split] = chosen.tables
        return documents, report

    def _count(self, index: Documents, held_out: Callable[[pa.Table], np.ndarray]) -> tuple[dict[int, Sizes], ...]:
        """The sizes of each source: for training, and held out."""
        sizes: tuple[dict[int, Sizes], dict[int, Sizes]] = (defaultdict(dict), defaultdict(dict))
        for rows in index():
            held_out_rows = held_out(rows)
            for side in range(2):
                selected = rows.filter(pa.array(held_out_rows == side))
                _add(sizes[side], pa.array(self._source_of(selected)), selected)
        return sizes

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
            for language, available in tokens.items():
                target = int(targets[language] + 1e-3)  # a thousandth makes up for rounding errors
                whole_epochs, extra_tokens = divmod(target, available)
                spare_tokens = int(available * source.epochs) - target
                count = documents[language]
                pools.append(
                    _Pool(
                        source=number,
                        language=language,
                        documents=count,
                        whole_epochs=whole_epochs,
                        extra_tokens=extra_tokens,
                        spare_tokens=spare_tokens,
                    )
                )
        return pools

    def _spread(self, rows: pa.Table, pools: Sequence[_Pool], split: str, chosen: Shuffle, drawn: Shuffle) -> None:
        """Choose the rows of whole epochs, and collect the rows to draw from for the partial epochs."""
        if not len(rows) or not pools:
            return
        pool = self._pool_of(rows, pools)
        rows = rows.append_column("pool", pa.array(pool)).filter(pa.array(pool >= 0))
        pool = pool[pool >= 0]
        whole_epochs, extra_tokens = (
            np.array([getattr(each_pool, name) for each_pool in pools], np.int64)
            for name in ("whole_epochs", "extra_tokens")
        )
        for epoch in range(whole_epochs.max()):
            repeated = rows.filter(pa.array(whole_epochs[pool] > epoch))
            self._choose(repeated.append_column("epoch", pa.array(np.full(len(repeated), epoch))), chosen)
        rows = rows.append_column("epoch", pa.array(whole_epochs[pool])).filter(pa.array(extra_tokens[pool] > 0))
        salts = np.array([self._salt(self.sources[each_pool.source].name, split) for each_pool in pools], np.uint64)
        drawn.add(rows, _mixed(rows["key"].to_numpy(), rows["epoch"].to_numpy(), salts[rows["pool"].to_numpy()]))

    def _draw(self, drawn: Shuffle, pools: Sequence[_Pool], chosen: Shuffle) -> dict[int, Sizes]:
        """Choose documents in hashed order as long as they fit; returns what was taken from each pool.

        Tokens left over in a language, where no document fits, go to the other languages of its source, up to their epochs.
        """
        remaining = np.array([pool.extra_tokens for pool in pools], np.int64)
        unused = remaining.copy()
        for rows in drawn.tables():
            _take(rows, unused)
        sources = np.array([pool.source for pool in pools], np.int64)
        shortfall = np.bincount(sources, unused, len(self.sources)).astype(np.int64)
        room = unused + np.array([pool.spare_tokens for pool in pools], np.int64)
        drawn_sizes: dict[int, Sizes] = defaultdict(dict)
        for rows in drawn.tables():
            taken = _take(rows, remaining)
            _take_more(rows, taken, sources, shortfall, room)
            rows = rows.filter(pa.array(taken)).drop_columns("place")
            self._choose(rows, chosen)
            _add(drawn_sizes, rows["pool"], rows)
        return drawn_sizes

    def _choose(self, rows: pa.Table, chosen: Shuffle) -> None:
        salt = self._salt("", "order")
        chosen.add(rows, _mixed(rows["key"].to_numpy(), rows["epoch"].to_numpy(), salt))

    def _source_of(self, rows: pa.Table) -> np.ndarray:
        """The number of each row's source; -1 without one."""
        files = rows["part"].to_numpy()
        numbers = np.full(len(rows), -1, np.int64)
        for number, source in enumerate(self.sources):
            numbers[np.isin(files, source.files)] = number
        return numbers

    def _pool_of(self, rows: pa.Table, pools: Sequence[_Pool]) -> np.ndarray:
        """The number of each row's pool; -1 without one."""
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


def _total(
    sources: Sequence[Source], available: Sequence[int], tokens_requested: int | None, *, strict: bool = True
) -> float:
    """The tokens of the whole mixture; UserError naming the source that cannot provide its share."""
    weights = sum(source.weight for source in sources)
    possible: dict[str, float] = {}
    for source, tokens in zip(sources, available, strict=True):
        if not tokens and strict:
            raise UserError(f"mix.sources.{source.name}: has no tokens to train on")
        limit = tokens * source.epochs if source.max_tokens is None else min(source.max_tokens, tokens * source.epochs)
        possible[source.name] = limit * weights / source.weight
    scarcest = min(possible, key=lambda name: possible[name])
    if tokens_requested is None:
        return possible[scarcest]
    if tokens_requested > possible[scarcest]:
        raise UserError(
            f"mix.tokens is {tokens_requested:,}, but mix.sources.{scarcest} with its weight, epochs and max_tokens allows "
            f"{int(possible[scarcest]):,} in all"
        )
    return float(tokens_requested)


def _targets(
    available: Mapping[str | None, int], total: float, epochs: float, temperature: float | None
) -> dict[str | None, float]:
    """Tokens to take of each language: by temperature, at most its epochs; the rest goes to the other languages."""
    targets = dict.fromkeys(available, 0.0)
    power = 1.0 if temperature is None else 1 / temperature
    open_languages = [code for code in available if available[code]]
    remaining = total
    while open_languages and remaining > 1e-9 * total:
        shares = {code: available[code] ** power for code in open_languages}
        total_share = sum(shares.values())
        exhausted = [
            code for code in open_languages if remaining * shares[code] / total_share >= available[code] * epochs
        ]
        if not exhausted:
            return targets | {code: remaining * shares[code] / total_share for code in open_languages}
        for code in exhausted:
            targets[code] = available[code] * epochs
            remaining -= targets[code]
        open_languages = [code for code in open_languages if code not in exhausted]
    return targets


def _languages(rows: pa.Table) -> pa.ChunkedArray:
    return rows["language"].fill_null("unknown")


def _add(sizes: dict[int, Sizes], group: Any, rows: pa.Table) -> None:
    """Count the rows' documents and tokens by group and language."""
    table = pa.table([group, _languages(rows), rows["length"]], ["group", "language", "length"])
    sums = table.group_by(["group", "language"]).aggregate([("length", "count"), ("length", "sum")])
    for row in sums.to_pylist():
        documents, tokens = sizes[row["group"]].get(row["language"], (0, 0))
        sizes[row["group"]][row["language"]] = documents + row["length_count"], tokens + row["length_sum"]


def _take(rows: pa.Table, remaining: np.ndarray) -> np.ndarray:
    """Take rows in order while they fit into what remains of their pools, which is reduced; returns the mask of rows taken."""
    lengths, pool = rows["length"].to_numpy(), rows["pool"].to_numpy()
    taken = np.zeros(len(rows), bool)
    for number in np.unique(pool).tolist():
        candidates = np.flatnonzero(pool == number)
        while len(candidates):
            fitting = int(np.searchsorted(np.cumsum(lengths[candidates]), remaining[number], side="right"))
            taken[candidates[:fitting]] = True
            remaining[number] -= lengths[candidates[:fitting]].sum()
            candidates = candidates[fitting + 1 :]
            candidates = candidates[lengths[candidates] <= remaining[number]]
    return taken


def _take_more(rows: pa.Table, taken: np.ndarray, sources: np.ndarray, shortfall: np.ndarray, room: np.ndarray) -> None:
    """Take further rows, in order, that fit both into the shortfall of their source and into the room of their pool."""
    lengths, pool = rows["length"].to_numpy(), rows["pool"].to_numpy()
    for row in np.flatnonzero(~taken & (lengths <= np.minimum(shortfall[sources[pool]], room[pool]))).tolist():
        length, number = lengths[row], pool[row]
        if length <= min(shortfall[sources[number]], room[number]):
            taken[row] = True
            shortfall[sources[number]] -= length
            room[number] -= length


def _mixed(keys: np.ndarray, epochs: np.ndarray, salt: int | np.ndarray) -> np.ndarray:
    """A hash of each (key, epoch) with one salt, or one each: the finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    value = keys.astype(np.uint64) ^ np.asarray(salt, np.uint64)
    value = value + epochs.astype(np.uint64) * golden + golden
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _account(number: int, stock: Sizes, pools: Sequence[_Pool], drawn_sizes: Mapping[int, Sizes]) -> dict[str, Any]:
    documents = distinct = 0
    languages = Counter[str]()
    for index, pool in enumerate(pools):
        if pool.source == number:
            extra = drawn_sizes.get(index, {})
            count = sum(documents for documents, _ in extra.values())
            documents += pool.whole_epochs * pool.documents + count
            distinct += pool.documents if pool.whole_epochs else count
            for language, (_, tokens) in stock.items():
                if pool.language in (language, None):
                    languages[language] += pool.whole_epochs * tokens + extra.get(language, (0, 0))[1]
    tokens, available = languages.total(), sum(tokens for _, tokens in stock.values())
    return {
        "documents": documents,
        "distinct_documents": distinct,
        "tokens": tokens,
        "available": available,
        "epochs": tokens / available if available else 0.0,
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
