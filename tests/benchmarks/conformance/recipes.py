"""The same documents through all recipes: what each keeps, and how the kept ones overlap.

    python tests/benchmarks/conformance/recipes.py --cache /tmp/texts [--whole-page]

Judged are language, rules, edits and rules on the edited text; recipes that need a model's score are judged without it, and
duplicates are left aside, since they are a matter of the corpus. A cell of the second table is the Jaccard similarity, in percent, of
what two recipes keep.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from documents import documents

from pipeline.config import Config
from pipeline.config_file import load
from pipeline.config_names import recipe_files
from pipeline.filters.decisions import decide
from pipeline.filters.edits import edit_lines
from pipeline.filters.language import LanguageIdentifier
from pipeline.filters.rules import EDITED
from pipeline.filters.signals import all_signals, measure


def keeps(
    config: Config, texts: pa.Array, signals: dict[str, pa.Array], labels: pa.Array, scores: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.bool_], pa.Array]:
    """Which documents a recipe keeps, and their texts as it leaves them."""
    stays = scores >= config.language.min_score
    if config.language.keep is not None:
        stays &= pc.is_in(labels, pa.array(config.language.keep)).to_numpy(zero_copy_only=False)
    rules = [rule for rule in config.quality.values() if rule.signal in signals]
    columns = {rule.signal: signals[rule.signal] for rule in rules}
    if config.edits:
        found = edit_lines(texts, config.edit)
        texts = pc.coalesce(found.texts, texts)
        names = {*config.edited}
        measured = measure(texts, sorted(names - set(found.measures)))
        measured |= {name: pa.array(found.measures[name]) for name in names & set(found.measures)}
        columns |= {f"{EDITED}{name}": column for name, column in measured.items()}
        rules += config.edited.values()
    if rules:
        stays &= np.array([not failing for failing in decide(rules, columns, labels).to_pylist()])
    return stays, texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="a folder for the extracted texts")
    parser.add_argument("--whole-page", action="store_true", help="menus and footers too")
    options = parser.parse_args()
    texts = pa.array(documents(options.cache, main_content=not options.whole_page))
    sizes = pc.utf8_length(texts).to_numpy()
    labels, probabilities = LanguageIdentifier().predict_columns(texts)
    scores = probabilities.to_numpy(zero_copy_only=False)
    english = pc.equal(labels, "en").to_numpy(zero_copy_only=False)
    signals = measure(texts, list(all_signals()))
    print(f"{len(texts):,} documents ({english.sum():,} English), {sizes.sum() / 1e6:.1f} million characters\n")
    print(f"{'recipe':<20}{'documents':>10}{'%':>7}{'English %':>11}{'characters %':>14}")
    kept: dict[str, npt.NDArray[np.bool_]] = {}
    for name, file in recipe_files().items():
        stays, left = keeps(load(file, ['input.paths=["-"]']), texts, signals, labels, scores)
        kept[name] = stays
        share = pc.utf8_length(left).to_numpy()[stays].sum() / sizes.sum()
        print(
            f"{name:<20}{stays.sum():>10,}{100 * stays.mean():>7.1f}{100 * stays[english].mean():>11.1f}{100 * share:>14.1f}"
        )
    print(f"\n{'':<20}" + "".join(f"{place:>4}" for place in range(1, len(kept) + 1)))
    for place, (name, mine) in enumerate(kept.items(), 1):
        row = [100 * (mine & other).sum() / max((mine | other).sum(), 1) for other in kept.values()]
        print(f"{place:>2} {name:<17}" + "".join(f"{value:>4.0f}" for value in row))


if __name__ == "__main__":
    main()
