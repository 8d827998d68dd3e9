"""Our signals and verdicts beside datatrove 0.10's own code, on real English pages.

    python -m venv /tmp/datatrove && /tmp/datatrove/bin/pip install "datatrove==0.10.*" "xxhash<4" nltk spacy tokenizers
    python tests/benchmarks/conformance_datatrove.py --peer-python /tmp/datatrove/bin/python [--whole-page]

For each bound: how many pages each side drops, the share of equal verdicts, the mean and largest difference of the
numbers, and why they differ, if they do. `--whole-page` takes menus and footers along, so that more rules fire.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pages import english_pages

from pipeline.filters import c4, fineweb, gopher
from pipeline.filters.rules import Rule, decide
from pipeline.filters.signals import measure

# datatrove's numbers are compared: FineWeb's rules are those of its code, not the paper's, and the share with a letter is
# taken among all tokens, not among words.
QUALITY = tuple(
    Rule(signal="alpha_token_ratio", min=0.8) if rule.signal == "alpha_word_ratio" else rule
    for rule in gopher.GOPHER_QUALITY
)
RULES = QUALITY + gopher.GOPHER_REPETITION + fineweb.DATATROVE_RULES + c4.RULES

_TOKENS = "spaCy's tokens: do|n't, 's apart; URLs in one piece; © € → count as words"
_BLANK = "datatrove counts blank lines as lines"
_STRIP = "we strip lines"
_NGRAM = "other tokens, so other n-grams"
WHY = {
    "words": _TOKENS,
    "mean_word_length": _TOKENS,
    "hash_word_ratio": _TOKENS,
    "ellipsis_word_ratio": _TOKENS,
    "alpha_token_ratio": f"{_TOKENS}; the bound lies where most pages do",
    "line_break_word_ratio": _TOKENS,
    "stop_words": "equal but for tokens such as have|n't",
    "bullet_line_ratio": f"{_BLANK}; bullets • - there, • ● * - here",
    "ellipsis_line_ratio": _BLANK,
    "duplicate_line_ratio": "lines of spaces are lines, and copies of each other, in datatrove; we strip lines",
    "duplicate_line_char_ratio": _STRIP,
    "duplicate_paragraph_ratio": "only \\n\\n divides paragraphs in datatrove, here a line of spaces does too",
    "duplicate_paragraph_char_ratio": "as above",
    "line_punct_ratio": "a space after the full stop hides it from datatrove",
    "short_line_ratio": "under 30 here (paper), up to 30 there; lines stripped",
    "fineweb_duplicate_line_char_ratio": _STRIP,
    "lorem_ipsum": "anywhere here (paper); there only in lines that C4 has not dropped yet",
    "curly_brackets": "anywhere here (paper); there only in lines that C4 has not dropped yet",
    "sentences": "line edits (5 words, policy, javascript) there, none here; rule: 3 sentences on both sides",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="a Python that has datatrove 0.10, nltk and spacy")
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--whole-page", action="store_true", help="not only the main content")
    options = parser.parse_args()
    texts, source = english_pages(main_content=not options.whole_page)
    texts = texts[: options.pages]
    peer = subprocess.run(
        [options.peer_python, str(Path(__file__).with_name("datatrove_peer.py")), "measure"],
        input="".join(json.dumps(text) + "\n" for text in texts),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    theirs = [json.loads(line) for line in peer.stdout.splitlines()]
    signals = measure(pa.array(texts), [rule.signal for rule in RULES])
    ours = decide(RULES, signals).to_pylist()

    print(f"{source}; the first {len(texts):,}\n")
    print(f"{'bound':<40}{'drop: ours':>11}{'theirs':>8}{'both':>6}{'agree %':>9}{'mean |d|':>11}{'max |d|':>10}  why")
    for rule in RULES:
        mine = signals[rule.signal].to_numpy()
        other = np.array([row["values"][rule.signal] for row in theirs], dtype=float)
        difference = np.abs(mine - other)
        for name in rule.names:
            a = np.array([name in failed for failed in ours])
            b = np.array([name in row["dropped"] for row in theirs])
            why = WHY.get(rule.signal, _NGRAM) if difference.max() > 0 or (a != b).any() else "equal"
            print(
                f"{name:<40}{a.sum():>11}{b.sum():>8}{(a & b).sum():>6}{100 * (a == b).mean():>9.2f}"
                f"{np.nanmean(difference):>11.5f}{np.nanmax(difference):>10.4f}  {why}"
            )
    groups = {
        "Gopher quality": QUALITY,
        "Gopher repetition": gopher.GOPHER_REPETITION,
        "FineWeb (datatrove's numbers)": fineweb.DATATROVE_RULES,
        "C4 page rules": c4.RULES,
    }
    print(f"\n{'page dropped by any rule of':<40}{'drop: ours':>11}{'theirs':>8}{'both':>6}{'agree %':>9}")
    for title, rules in groups.items():
        names = {name for rule in rules for name in rule.names}
        a = np.array([bool(names.intersection(failed)) for failed in ours])
        b = np.array([bool(names.intersection(row["dropped"])) for row in theirs])
        print(f"{title:<40}{a.sum():>11}{b.sum():>8}{(a & b).sum():>6}{100 * (a == b).mean():>9.2f}")


if __name__ == "__main__":
    main()
