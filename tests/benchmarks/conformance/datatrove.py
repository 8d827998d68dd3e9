"""Our signals and verdicts beside datatrove 0.10's own code, on real English pages.

    python -m venv /tmp/datatrove && /tmp/datatrove/bin/pip install "datatrove==0.10.*" "xxhash<4" nltk spacy tokenizers
    python tests/benchmarks/conformance/datatrove.py --peer-python /tmp/datatrove/bin/python [--whole-page]

For each bound: how many pages each side drops, the share of equal verdicts, the mean and largest difference of the
numbers, and why they differ, if they do. `--whole-page` takes menus and footers along, so that more rules fire.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pages import english_pages

from pipeline.filters import c4, fineweb, gopher
from pipeline.filters.edits import LineRules, edit_lines
from pipeline.filters.rules import Rule, decide
from pipeline.filters.signals import measure

# datatrove's numbers are compared: FineWeb's rules are those of its code, not the paper's, and the share with a letter is
# taken among all tokens, not among words.
THEIRS = {
    "alpha_word_ratio": "datatrove_alpha_word_ratio",
    "fineweb_duplicate_line_char_ratio": "datatrove_duplicate_char_ratio",
    **{
        name: f"datatrove_{name}"
        for name in (
            *("bullet_line_ratio", "ellipsis_line_ratio", "line_punct_ratio", "short_line_ratio"),
            *("duplicate_line_ratio", "duplicate_line_char_ratio", "line_break_word_ratio"),
            *("duplicate_paragraph_ratio", "duplicate_paragraph_char_ratio"),
        )
    },
}
"""The signals that count as datatrove does, where the paper's do not."""


def as_datatrove(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The same bounds on datatrove's numbers."""
    return tuple(replace(rule, signal=THEIRS.get(rule.signal, rule.signal)) for rule in rules)


QUALITY = as_datatrove(gopher.GOPHER_QUALITY)
REPETITION = as_datatrove(gopher.GOPHER_REPETITION)
FINEWEB = as_datatrove(fineweb.DATATROVE_RULES)
RULES = QUALITY + REPETITION + FINEWEB + c4.RULES
LINES = LineRules(
    citations=True,
    blank_lines=True,
    max_word_characters=1000,
    end_marks=(".", "?", "!", '"', "'"),
    phrases=(
        "javascript",
        "terms of use",
        "privacy policy",
        "cookie policy",
        "uses cookies",
        "use of cookies",
        "use cookies",
    ),
)
"""C4's line rules as datatrove has them; the peer judges sentences with 5 words a line, the other two with 3."""


def their_name(signal: str) -> str:
    """What datatrove_peer.py calls a signal."""
    for ours, theirs in (
        ("duplicate_char_ratio", "fineweb_duplicate_line_char_ratio"),
        ("alpha_word_ratio", "alpha_token_ratio"),
    ):
        if signal.removeprefix("datatrove_").partition(".")[0] == ours:
            return signal.replace(f"datatrove_{ours}", theirs)
    return signal.removeprefix("datatrove_")


_TOKENS = "spaCy's tokens: do|n't, 's apart; URLs in one piece; © € → count as words"
_NGRAM = "other tokens, so other n-grams"
WHY = {
    "words": _TOKENS,
    "mean_word_length": _TOKENS,
    "hash_word_ratio": _TOKENS,
    "ellipsis_word_ratio": _TOKENS,
    "datatrove_alpha_word_ratio": f"{_TOKENS}; the bound lies where most pages do",
    "datatrove_line_break_word_ratio": _TOKENS,
    "stop_words": "equal but for tokens such as have|n't",
    "datatrove_line_punct_ratio": "other lists of terminal marks",
    "datatrove_duplicate_line_ratio": "an empty first or last line is a line there",
    "lorem_ipsum": "after the line rules on both sides",
    "curly_brackets": "after the line rules; datatrove looks before it drops a line for its policy phrase",
    "sentences": "after the line rules; punkt's sentences there",
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
        [options.peer_python, str(Path(__file__).parents[1] / "datatrove_peer.py"), "measure"],
        input="".join(json.dumps(text) + "\n" for text in texts),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    theirs = [json.loads(line) for line in peer.stdout.splitlines()]
    array = pa.array(texts)
    signals = measure(array, [rule.signal for rule in RULES])
    for words, names in ((5, ["sentences"]), (3, ["lorem_ipsum", "curly_brackets"])):
        left = edit_lines(array, replace(LINES, min_line_words=words)).texts
        signals |= measure(pc.coalesce(left, array), names)
    ours = decide(RULES, signals).to_pylist()

    print(f"{source}; the first {len(texts):,}\n")
    print(f"{'bound':<40}{'drop: ours':>11}{'theirs':>8}{'both':>6}{'agree %':>9}{'mean |d|':>11}{'max |d|':>10}  why")
    for rule in RULES:
        mine = signals[rule.signal].to_numpy()
        other = np.array([row["values"][their_name(rule.signal)] for row in theirs], dtype=float)
        difference = np.abs(mine - other)
        for name in rule.names:
            a = np.array([name in failed for failed in ours])
            b = np.array([their_name(name) in row["dropped"] for row in theirs])
            why = WHY.get(rule.signal, _NGRAM) if difference.max() > 0 or (a != b).any() else "equal"
            print(
                f"{name:<40}{a.sum():>11}{b.sum():>8}{(a & b).sum():>6}{100 * (a == b).mean():>9.2f}"
                f"{np.nanmean(difference):>11.5f}{np.nanmax(difference):>10.4f}  {why}"
            )
    groups = {
        "Gopher quality": QUALITY,
        "Gopher repetition": REPETITION,
        "FineWeb (datatrove's numbers)": FINEWEB,
        "C4 page rules": c4.RULES,
    }
    print(f"\n{'page dropped by any rule of':<40}{'drop: ours':>11}{'theirs':>8}{'both':>6}{'agree %':>9}")
    for title, rules in groups.items():
        bounds = {name for rule in rules for name in rule.names}
        a = np.array([bool(bounds.intersection(failed)) for failed in ours])
        b = np.array([bool({their_name(name) for name in bounds}.intersection(row["dropped"])) for row in theirs])
        print(f"{title:<40}{a.sum():>11}{b.sum():>8}{(a & b).sum():>6}{100 * (a == b).mean():>9.2f}")


if __name__ == "__main__":
    main()
