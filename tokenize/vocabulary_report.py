"""How a vocabulary fits a corpus: bytes per token, overall and by language; its longest tokens, and those never used."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tokenize.bpe import Tokenizer

SHOWN = 20  # how many of the longest and of the unused tokens to list
UNKNOWN = "unknown"


def measure(
    tokenizer: Tokenizer, batches: Iterable[tuple[pa.Array, pa.Array]], pool: ThreadPoolExecutor | None = None
) -> dict[str, Any]:
    """Encode batches of (texts, languages) and count; null texts count as empty, null languages as unknown.

    `pool` is passed to `encode_batch`.

    Returns `{"vocab_size", "documents", "tokens", "bytes", "bytes_per_token", "languages": {code: the same four}, "longest",
    "unused"}`. Bytes are UTF-8 bytes, languages are sorted by tokens, and the last two come from `vocabulary`.
    """
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    languages: dict[str, np.ndarray] = {}
    for texts, codes in batches:
        ids, offsets = tokenizer.encode_batch(texts, pool)
        counts += np.bincount(ids, minlength=len(counts))
        sizes = pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False)
        names = pc.fill_null(codes, UNKNOWN).dictionary_encode()
        document_figures = np.stack([np.ones(len(sizes), np.int64), np.diff(offsets), sizes])
        for number, name in enumerate(names.dictionary.to_pylist()):
            language_totals = document_figures[:, names.indices.to_numpy() == number].sum(axis=1)
            languages[name] = languages.get(name, np.zeros(3, np.int64)) + language_totals
    ranked = sorted(languages.items(), key=lambda item: (-int(item[1][1]), item[0]))
    return {
        "vocab_size": tokenizer.vocab_size,
        **_figures(sum(languages.values(), np.zeros(3, np.int64))),
        "languages": {name: _figures(language_totals) for name, language_totals in ranked},
        **vocabulary(tokenizer, counts),
    }


def _figures(documents_tokens_bytes: np.ndarray) -> dict[str, Any]:
    documents, tokens, size = documents_tokens_bytes.tolist()
    return {"documents": documents, "tokens": tokens} | density(size, tokens)


def density(size: int, tokens: int) -> dict[str, Any]:
    """`{"bytes", "bytes_per_token"}`, the latter null without tokens."""
    return {"bytes": size, "bytes_per_token": size / tokens if tokens else None}


def vocabulary(tokenizer: Tokenizer, counts: np.ndarray) -> dict[str, Any]:
    """`{"longest": [...], "unused": {"count", "first": [...]}}` without special tokens, from the count of each id.

    A token is `{"id", "token", "bytes", "count"}`: `token` is its text, with invalid UTF-8 as escapes, `bytes` its length.
    """
    special = set(tokenizer.special_tokens.values())
    ordinary = [number for number in sorted(tokenizer.vocab) if number not in special]
    longest = sorted(ordinary, key=lambda number: (-len(tokenizer.vocab[number]), number))[:SHOWN]
    unused = [number for number in ordinary if counts[number] == 0]

    def listed(numbers: list[int]) -> list[dict[str, Any]]:
        return [
            {
                "id": number,
                "token": tokenizer.vocab[number].decode("utf-8", "backslashreplace"),
                "bytes": len(tokenizer.vocab[number]),
                "count": int(counts[number]),
            }
            for number in numbers
        ]

    return {"longest": listed(longest), "unused": {"count": len(unused), "first": listed(unused[:SHOWN])}}
