"""datatrove's side of the comparisons, run by a Python that has datatrove (and nltk, spacy) and not this project.

    python datatrove_peer.py time < texts.jsonl       {"seconds": CPU seconds of the four filters, one core}
    python datatrove_peer.py tokens < pieces.jsonl    a line a piece: spaCy's English tokens
    python datatrove_peer.py measure < rows.jsonl     a line a {"text", "language"}: {"values": {signal: number}, "dropped": [rule, …],
                                                      "c4": the text as the lines of C4QualityFilter leave it}, or null without a tokenizer

`measure` computes the numbers with datatrove's own functions and expressions, and takes each rule's verdict from
datatrove's own filter with all its other rules switched off. A signal's name is ours.
"""

import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
from datatrove.data import Document  # type: ignore[import-not-found]
from datatrove.pipeline.filters import (  # type: ignore[import-not-found]
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.filters import gopher_repetition_filter as repetition
from datatrove.utils.text import (  # type: ignore[import-not-found]
    PUNCTUATION_SET,
    TERMINAL_PUNCTUATION,
    split_into_sentences,
    split_into_words,
)

TOP = {2: 0.2, 3: 0.18, 4: 0.16}
DUPLICATE = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}

REPETITION_OFF: dict[str, Any] = {
    **dict.fromkeys(("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac")),
    "top_n_grams": (),
    "dup_n_grams": (),
}
QUALITY_OFF: dict[str, Any] = dict.fromkeys(
    (
        *("min_doc_words", "max_doc_words", "min_avg_word_length", "max_avg_word_length", "max_symbol_word_ratio"),
        *("max_bullet_lines_ratio", "max_ellipsis_lines_ratio", "max_non_alpha_words_ratio", "min_stop_words"),
    )
)
FINEWEB_OFF: dict[str, Any] = {
    "line_punct_thr": 0.0,
    "short_line_thr": 1.0,
    "char_duplicates_ratio": 1.0,
    "new_line_ratio": 1e9,
}
C4_OFF: dict[str, Any] = {
    "min_num_sentences": -1,
    "filter_lorem_ipsum": False,
    "filter_curly_bracket": False,
}


@cache
def rules(language: str) -> dict[str, tuple[Any, str | None]]:
    """Our name of each bound: a filter with that rule alone, and the reason to look for where it holds two."""
    table: dict[str, tuple[Any, str | None]] = {}

    def add(name: str, make: Callable[..., Any], off: dict[str, Any], reason: str | None = None, **on: Any) -> None:
        family = "" if name.startswith(("lorem", "curly")) else "datatrove_"
        table[family + name] = make(**{**off, **on, "language": language}), reason

    add("words.min", GopherQualityFilter, QUALITY_OFF, min_doc_words=50)
    add("words.max", GopherQualityFilter, QUALITY_OFF, max_doc_words=100_000)
    add("mean_word_length.min", GopherQualityFilter, QUALITY_OFF, min_avg_word_length=3)
    add("mean_word_length.max", GopherQualityFilter, QUALITY_OFF, max_avg_word_length=10)
    symbols = {"max_symbol_word_ratio": 0.1}
    add("hash_word_ratio.max", GopherQualityFilter, QUALITY_OFF, "gopher_too_many_hashes", **symbols)
    add("ellipsis_word_ratio.max", GopherQualityFilter, QUALITY_OFF, "gopher_too_many_ellipsis", **symbols)
    add("bullet_line_ratio.max", GopherQualityFilter, QUALITY_OFF, max_bullet_lines_ratio=0.9)
    add("ellipsis_line_ratio.max", GopherQualityFilter, QUALITY_OFF, max_ellipsis_lines_ratio=0.3)
    add("alpha_word_ratio.min", GopherQualityFilter, QUALITY_OFF, max_non_alpha_words_ratio=0.8)
    add("stop_words.min", GopherQualityFilter, QUALITY_OFF, min_stop_words=2)
    add("duplicate_line_ratio.max", GopherRepetitionFilter, REPETITION_OFF, dup_line_frac=0.3)
    add("duplicate_paragraph_ratio.max", GopherRepetitionFilter, REPETITION_OFF, dup_para_frac=0.3)
    add("duplicate_line_char_ratio.max", GopherRepetitionFilter, REPETITION_OFF, dup_line_char_frac=0.2)
    add("duplicate_paragraph_char_ratio.max", GopherRepetitionFilter, REPETITION_OFF, dup_para_char_frac=0.2)
    for n, limit in TOP.items():
        add(f"top_{n}gram_char_ratio.max", GopherRepetitionFilter, REPETITION_OFF, top_n_grams=((n, limit),))
    for n, limit in DUPLICATE.items():
        add(f"duplicate_{n}gram_char_ratio.max", GopherRepetitionFilter, REPETITION_OFF, dup_n_grams=((n, limit),))
    add("line_punct_ratio.min", FineWebQualityFilter, FINEWEB_OFF, "line_punct_ratio", line_punct_thr=0.12)
    add("short_line_ratio.max", FineWebQualityFilter, FINEWEB_OFF, "short_line_ratio", short_line_thr=0.67)
    add("duplicate_char_ratio.max", FineWebQualityFilter, FINEWEB_OFF, "char_dup_ratio", char_duplicates_ratio=0.01)
    add("line_break_word_ratio.max", FineWebQualityFilter, FINEWEB_OFF, "list_ratio", new_line_ratio=0.3)
    add("lorem_ipsum.max", C4QualityFilter, C4_OFF, "lorem_ipsum", filter_lorem_ipsum=True)
    add("curly_brackets.max", C4QualityFilter, C4_OFF, "curly_bracket", filter_curly_bracket=True)
    add("sentences.min", C4QualityFilter, C4_OFF, "too_few_sentences", min_num_sentences=5)
    return table


def values(text: str, language: str, edited: str) -> dict[str, float]:
    """datatrove's numbers under our names, by the expressions of its four filters; C4's of what its lines leave."""
    words = split_into_words(text, language)
    number = len(words) or math.nan
    plain = [word for word in words if any(ch not in PUNCTUATION_SET for ch in word)]
    lines = text.splitlines()
    found: dict[str, float] = {
        "words": len(plain),
        "mean_word_length": float(np.mean([len(word) for word in plain])) if plain else math.nan,
        "hash_word_ratio": text.count("#") / number,
        "ellipsis_word_ratio": (text.count("...") + text.count("…")) / number,
        "bullet_line_ratio": sum(line.lstrip().startswith(("•", "-")) for line in lines) / len(lines),
        "ellipsis_line_ratio": sum(line.rstrip().endswith(("...", "…")) for line in lines) / len(lines),
        "alpha_word_ratio": sum(any(c.isalpha() for c in word) for word in words) / number,
        "stop_words": len({"the", "be", "to", "of", "and", "that", "have", "with"} & set(words)),
    }
    paragraphs = re.split(r"\n{2,}", text.strip())
    copies, characters = repetition.find_duplicates(paragraphs)
    found["duplicate_paragraph_ratio"] = copies / len(paragraphs)
    found["duplicate_paragraph_char_ratio"] = characters / len(text)
    parts = re.split("\n+", text)
    copies, characters = repetition.find_duplicates(parts)
    found["duplicate_line_ratio"] = copies / len(parts)
    found["duplicate_line_char_ratio"] = characters / len(text)
    for n in TOP:
        grams = repetition.get_n_grams(words, n)
        found[f"top_{n}gram_char_ratio"] = repetition.find_top_duplicate(grams) / len(text) if grams else 0.0
    for n in DUPLICATE:
        found[f"duplicate_{n}gram_char_ratio"] = repetition.find_all_duplicate(words, n) / len(text)
    visible = [line for line in text.split("\n") if line.strip()]
    found["line_punct_ratio"] = sum(line.endswith(tuple(TERMINAL_PUNCTUATION)) for line in visible) / len(visible)
    found["short_line_ratio"] = sum(len(line) <= 30 for line in visible) / len(visible)
    share = repetition.find_duplicates(visible)[1] / len(text.replace("\n", ""))
    found["duplicate_char_ratio"] = share
    found["line_break_word_ratio"] = text.count("\n") / number
    found["sentences"] = sum(len(split_into_sentences(line, language)) for line in edited.split("\n") if line)
    found = {f"datatrove_{name}": value for name, value in found.items()}
    return found | {"lorem_ipsum": edited.lower().count("lorem ipsum"), "curly_brackets": edited.count("{")}


def measured(rows: list[dict[str, str]]) -> Iterator[dict[str, Any] | None]:
    for row in rows:
        text, language = row["text"], row["language"]
        try:
            split_into_words(text, language)
        except (ImportError, ValueError):  # the library is not there, or no tokenizer is assigned
            yield None
            continue
        dropped = []
        for name, (rule, reason) in rules(language).items():
            try:
                verdict = rule.filter(Document(text=text, id="0"))
            except ZeroDivisionError:  # a text without tokens
                continue
            if isinstance(verdict, tuple) and (reason is None or verdict[1] == reason):
                dropped.append(name)
        left = Document(text=text, id="0")
        C4QualityFilter(**C4_OFF, language=language).filter(left)
        yield {"values": values(text, language, left.text), "dropped": dropped, "c4": left.text}


def main() -> None:
    texts = [json.loads(line) for line in sys.stdin]
    if sys.argv[1] == "measure":
        for row in measured(texts):
            print(json.dumps(row))
        return
    if sys.argv[1] == "tokens":
        for piece in texts:
            print(json.dumps(split_into_words(piece)))
        return
    # C4 last: it edits the text, and the others would have to find the words again (they share them through a cache).
    filters = [GopherRepetitionFilter(), GopherQualityFilter(), FineWebQualityFilter(), C4QualityFilter()]
    for one in filters:
        one.filter(Document(text="Load the tokenizer. " * 20, id="0"))
    documents = [Document(text=text, id=str(i)) for i, text in enumerate(texts)]
    start = time.process_time()
    for document in documents:
        for one in filters:
            one.filter(document)
    print(json.dumps({"seconds": time.process_time() - start}))


if __name__ == "__main__":
    main()
