"""Our *-datatrove recipes beside datatrove 0.10's own code, on real documents of many languages: per bound, how many each drops.

    python -m venv /tmp/datatrove
    /tmp/datatrove/bin/pip install "datatrove==0.10.*" "xxhash<4" nltk spacy tokenizers
    python tests/benchmarks/conformance/datatrove.py --peer-python /tmp/datatrove/bin/python --cache /tmp/texts [--whole-page]

Bounds are those of configs/recipes/gopher-datatrove.toml, fineweb-datatrove.toml and c4-datatrove.toml; each verdict of datatrove's is
its own filter's, with all other rules off. FineWeb's rules judge the text as it is here, C4's what their lines leave of it.
First, the tokens: of all different pieces between white space, how many are divided otherwise than by spaCy.

--languages: datatrove is told each document's language (by our identification), as for FineWeb-2, and takes that language's
tokenizer where it can (pip install jieba sudachipy sudachidict_core pythainlp kiwipiepy pyvi); ours stays the English one.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from documents import documents
from families import recipe

from pipeline.filters.decisions import decide
from pipeline.filters.edits import edit_lines
from pipeline.filters.kernels.spacy_tokens import tokenize
from pipeline.filters.language import LanguageIdentifier
from pipeline.filters.rules import Rule
from pipeline.filters.signals import measure

PEER = Path(__file__).parents[1] / "datatrove_peer.py"
_TERMINALS = "Unicode's sentence terminals there less some, with some Khmer signs"
WHY = {
    "datatrove_line_punct_ratio": _TERMINALS,
    "datatrove_bullet_line_ratio": "there a form feed or a line separator also ends a line",
    "datatrove_ellipsis_line_ratio": "there a form feed or a line separator also ends a line",
    "datatrove_duplicate_line_ratio": "an empty first or last line is a line there",
    "curly_brackets": "datatrove looks before it drops a line for its policy phrase",
    "lorem_ipsum": "datatrove looks before it drops a line for its phrase",
}


def ask(python: str, mode: str, rows: list[Any]) -> list[Any]:
    """The peer's answers, a line a row."""
    given = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run([python, str(PEER), mode], input=given, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare_tokens(python: str, texts: list[str]) -> None:
    """How many different pieces are divided otherwise."""
    pieces = list(dict.fromkeys(piece for text in texts for piece in text.split()))
    other = [
        (piece, theirs)
        for piece, theirs in zip(pieces, ask(python, "tokens", pieces), strict=True)
        if tokenize(piece) != theirs
    ]
    print(f"{len(pieces):,} different pieces between white space, {len(other):,} divided otherwise than by spaCy")
    for piece, theirs in other[:10]:
        print(f"    {theirs} here {tokenize(piece)}")


def show(rules: tuple[Rule, ...], signals: dict[str, pa.Array], theirs: list[Any], told: bool) -> None:
    """A line a bound: drops, agreement, and why they differ, if they do."""
    ours = decide(rules, signals).to_pylist()
    for rule in rules:
        mine = signals[rule.signal].to_numpy()
        other = np.array([row["values"][rule.signal] for row in theirs], dtype=float)
        apart = np.abs(mine - other)
        for name in rule.names:
            a = np.array([name in failed for failed in ours])
            b = np.array([name in row["dropped"] for row in theirs])
            same = not (a != b).any() and not (apart > 1e-9).any()
            why = "equal" if same else "another tokenizer" if told else WHY.get(rule.signal, "")
            print(
                f"{name:<46}{a.sum():>7}{b.sum():>8}{(a & b).sum():>7}{100 * (a == b).mean():>9.2f}"
                f"{np.nansum(apart > 1e-9):>9.0f}{np.nanmax(apart):>10.4f}  {why}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="a Python that has datatrove 0.10, nltk and spacy")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for the extracted texts")
    parser.add_argument("--documents", type=int, help="so many of them, evenly taken")
    parser.add_argument("--whole-page", action="store_true", help="menus and footers too, so that more rules fire")
    parser.add_argument(
        "--languages", action="store_true", help="datatrove takes the tokenizer of each document's language"
    )
    options = parser.parse_args()
    texts = documents(options.cache, main_content=not options.whole_page)
    if options.documents:
        texts = [texts[int(place)] for place in np.linspace(0, len(texts) - 1, min(options.documents, len(texts)))]
    labels = LanguageIdentifier().predict_columns(pa.array(texts))[0].to_pylist()
    if not options.languages:
        compare_tokens(options.peer_python, texts)
    rows = [
        {"text": text, "language": label if options.languages else "en"}
        for text, label in zip(texts, labels, strict=True)
    ]
    theirs = ask(options.peer_python, "measure", rows)
    places = [place for place, row in enumerate(theirs) if row is not None]
    missing = Counter(labels[place] for place, row in enumerate(theirs) if row is None)
    if missing:
        print(f"without a tokenizer there: {sum(missing.values()):,} documents ({', '.join(sorted(missing))})")
    texts, labels, theirs = ([column[place] for place in places] for column in (texts, labels, theirs))

    array = pa.array(texts)
    gopher, fineweb, c4 = recipe("gopher-datatrove"), recipe("fineweb-datatrove"), recipe("c4-datatrove")
    own = tuple(replace(rule, signal=name) for name, rule in fineweb.edited.items())
    page = tuple(replace(rule, signal=name) for name, rule in c4.edited.items())
    own = tuple(rule for rule in own if rule.signal not in {other.signal for other in page})
    signals = measure(array, [rule.signal for rule in (*gopher.rules, *own)])
    edited = edit_lines(array, c4.edit)
    left = measure(pc.coalesce(edited.texts, array), [rule.signal for rule in page])

    many = Counter(labels)
    print(
        f"{len(texts):,} documents, {sum(map(len, texts)):,} characters; {len(many)} languages: {dict(many.most_common(12))}\n"
    )
    print(
        f"{'bound':<46}{'ours':>7}{'theirs':>8}{'both':>7}{'agree %':>9}{'numbers':>9}{'max |d|':>10}  why, if they differ"
    )
    show((*gopher.rules, *own), signals, theirs, options.languages)
    show(page, left, theirs, options.languages)
    kept = [text if new is None else new for text, new in zip(texts, edited.texts.to_pylist(), strict=True)]
    same = sum(mine == row["c4"] for mine, row in zip(kept, theirs, strict=True))
    print(f"\nC4's lines: {same:,} of {len(texts):,} texts are left the same, to the character")

    print(f"\n{'page dropped by any rule of':<46}{'ours':>7}{'theirs':>8}{'both':>7}{'agree %':>9}")
    for title, rules, columns in (
        ("gopher-datatrove", gopher.rules, signals),
        ("FineWeb's own", own, signals),
        ("c4-datatrove", page, left),
    ):
        bounds = {name for rule in rules for name in rule.names}
        a = np.array([bool(failed) for failed in decide(rules, columns).to_pylist()])
        b = np.array([bool(bounds.intersection(row["dropped"])) for row in theirs])
        print(f"{title:<46}{a.sum():>7}{b.sum():>8}{(a & b).sum():>7}{100 * (a == b).mean():>9.2f}")
        if options.languages:
            for label, number in many.most_common(16):
                mine = np.array([other == label for other in labels])
                print(
                    f"    {label:<42}{(a & mine).sum():>7}{(b & mine).sum():>8}{'':>7}{100 * (a == b)[mine].mean():>9.2f}  of {number}"
                )


if __name__ == "__main__":
    main()
