"""RedPajama-Data v2's side of the comparison: its signals written again from their description, since its code is in no package.

    python redpajama_peer.py < texts.jsonl      a line a text: {signal: number}

Read: app/src/core/document.py, quality_signals/natural_language.py and repetitions.py, utilities/text/normalization.py of the public
repository togethercomputer/RedPajama-Data. Its rounding to 8 digits is left out. NLTK's WordPunctTokenizer is the expression below.
"""

import json
import math
import re
import string
import sys
import unicodedata
from collections import Counter

WORD = re.compile(r"\w+|[^\w\s]+")
LATIN = re.compile("[a-zA-Z]")
SENTENCE = re.compile(r"\b[^.!?]+[.!?]*")
LINE = re.compile(r"[^\n]*\n|[^\n]+$")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def signals(text: str) -> dict[str, float]:
    """The numbers, by our names."""
    words = unicodedata.normalize("NFD", text.translate(NO_PUNCTUATION).lower()).split()
    raw = WORD.findall(text)
    lines = LINE.findall(text)
    counts = Counter(words)
    number, raws = len(words) or math.nan, len(raw) or math.nan
    characters = sum(map(len, words))
    found = {
        "word_count": len(words),
        "mean_word_length": characters / number,
        "unique_word_ratio": len(counts) / number,
        "unigram_entropy": sum(-count / number * math.log(count / number) for count in counts.values())
        if words
        else math.nan,
        "sentences": len(SENTENCE.findall(text)),
        "symbol_word_ratio": sum(map(text.count, ("#", "...", "…"))) / raws,
        "capital_word_ratio": sum(map(str.isupper, raw)) / raws,
        "no_alpha_word_ratio": 1 - sum(LATIN.search(word) is not None for word in raw) / raws,
        "ellipsis_line_ratio": sum(line.rstrip().endswith(("...", "…")) for line in lines) / (len(lines) or math.nan),
    }
    for n in range(2, 11):
        grams = list(zip(*(words[k:] for k in range(n)), strict=False))
        many = Counter(grams)
        if n < 5:
            gram, count = many.most_common(1)[0] if grams else ((), 0)
            found[f"top_{n}gram_char_ratio"] = sum(map(len, gram)) * count / characters if count > 1 else 0.0
        else:
            places = {place + k for place, gram in enumerate(grams) if many[gram] > 1 for k in range(n)}
            found[f"duplicate_{n}gram_char_ratio"] = sum(len(words[place]) for place in places) / max(characters, 1)
    return {f"redpajama_{name}": value for name, value in found.items()}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(signals(json.loads(line))))


if __name__ == "__main__":
    main()
