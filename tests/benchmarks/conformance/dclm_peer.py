"""DCLM's side of the comparison: its rules written again from their description, since its code is in no package.

    python dclm_peer.py < texts.jsonl      a line a text: {"signals": {name: number}, "edited": text after the line modifiers,
                                           "removed": share of words removed}

Needs `uniseg`, whose words DCLM's n-grams run over. Read: baselines/mappers (modifiers.py, filters/content_filters.py, core_utils.py)
and baselines_configs/dclm_baseline_refinedweb.yaml of the public repository mlfoundations/dclm; what differs is said here:
URLs are not taken out of the text, and runs of blank lines stay.
"""

import json
import math
import re
import sys
from collections import Counter
from typing import Any

from uniseg.wordbreak import words as uax_words  # type: ignore[import-not-found]

STOP = {"the", "be", "to", "of", "and", "that", "have", "with"}
COUNTER = re.compile(
    r"^\W*\d[,.\d]*[kmb]?\s+"
    r"(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|followers)\W*$"
)


def repeated(segments: list[str]) -> tuple[float, float]:
    """Shares of segments, and of their characters, that occur more than once."""
    counts = Counter(segments)
    characters = sum(map(len, segments))
    if len(segments) < 2:
        return 0.0, 0.0
    many = [segment for segment in segments if counts[segment] > 1]
    return len(many) / len(segments), sum(map(len, many)) / characters


def signals(text: str) -> dict[str, float]:
    """The numbers that its filters compare."""
    pieces = text.split()
    lines = [line for part in text.split("\n") if (line := part.strip())]
    paragraphs = [paragraph for part in text.split("\n\n") if (paragraph := part.strip())]
    words = [word for word in uax_words(text) if word[0].isalnum()]
    number = len(pieces) or math.nan
    found: dict[str, float] = {
        "words": len([piece for piece in re.split("[ \t\n\r\v\f\0]+", text) if piece and piece[0].isalnum()]),
        "mean_word_length": sum(map(len, pieces)) / number,
        "symbol_word_ratio": sum(text.count(symbol) for symbol in ("#", "...", ". . .", "…")) / number,
        "alpha_word_ratio": sum(any(map(str.isalpha, piece)) for piece in pieces) / number,
        "stop_words": sum(piece.lower() in STOP for piece in pieces),
        "bullet_line_ratio": sum(line.startswith(("●", "•", "*", "-")) for line in lines) / (len(lines) or math.nan),
        "ellipsis_line_ratio": sum(line.endswith(("...", ". . .", "…")) for line in lines) / (len(lines) or math.nan),
    }
    found["duplicate_line_ratio"], found["duplicate_line_char_ratio"] = repeated(lines)
    found["duplicate_paragraph_ratio"], found["duplicate_paragraph_char_ratio"] = repeated(paragraphs)
    characters = sum(map(len, words)) or math.nan
    for n in range(2, 11):
        grams = list(zip(*(words[k:] for k in range(n)), strict=False))
        counts = Counter(grams)
        most = max(counts.values(), default=0)
        if n < 5:
            longest = max((sum(map(len, gram)) for gram, count in counts.items() if count == most), default=0)
            found[f"top_{n}gram_char_ratio"] = longest * most / characters if most > 1 else 0.0
        else:
            places = {i + k for i, gram in enumerate(grams) if counts[gram] > 1 for k in range(n)}
            found[f"duplicate_{n}gram_char_ratio"] = sum(len(words[place]) for place in places) / characters
    return found


def edited(text: str) -> str:
    """RefinedWeb's line modifiers, one after the other."""
    lines = [line for line in text.split("\n") if sum(map(str.isupper, line)) <= 0.5 * len(line)]
    lines = [line for line in lines if not line or sum(map(str.isdigit, line)) / len(line) <= 0.999999]
    lines = [line for line in lines if not COUNTER.search(line.lower())]
    lines = [line for line in lines if not line or len(line.split()) >= 2]
    for pattern in (r"\s?items in cart", r"\s?read more...$", r"^sign-in\s?"):
        kept = []
        for line in lines:
            if len(line.split()) <= 10:
                shorter = re.sub(pattern, "", line, flags=re.I)
                if line and not shorter.strip():
                    continue
                kept.append(shorter)
            else:
                kept.append(line)
        lines = kept
    return "\n".join(lines).strip()


def worded(text: str) -> int:
    """Words as its removal ratio counts them."""
    return sum(piece[:1].isalnum() for piece in re.split("[ \t\n\r\v\f\0]+", text))


def main() -> None:
    for line in sys.stdin:
        text = json.loads(line)
        after = edited(text)
        before = worded(text)
        row: dict[str, Any] = {"signals": signals(text), "edited": after}
        row["removed"] = (before - worded(after)) / before if before else math.nan
        print(json.dumps(row))


if __name__ == "__main__":
    main()
