"""RedPajama-Data v2's signals (Weber et al. 2024; app/src/core/quality_signals) that no other module has.

v2 publishes these signals and filters nothing. Its normalized words are pieces between white space in lower case without ASCII
punctuation; the marks of their letters count as separate characters. Its raw words are runs of letters, digits and _, and runs
of other signs. Its model scores (CCNet's perplexity, fastText, DSIR weights) come from model files.
"""

from collections.abc import Callable

import numpy as np

from pipeline.filters.batch import Batch, FloatArray, ratio
from pipeline.filters.kernels.whitespace_words import NGRAMS


def redpajama_word_count(docs: Batch) -> FloatArray:
    """Normalized words (rps_doc_word_count)."""
    return docs.folded.counts.pieces.astype(np.float64)


def redpajama_mean_word_length(docs: Batch) -> FloatArray:
    """Mean length of a normalized word (rps_doc_mean_word_length); NaN without words."""
    return ratio(docs.folded.counts.characters, docs.folded.counts.pieces)


def redpajama_unique_word_ratio(docs: Batch) -> FloatArray:
    """Distinct normalized words per normalized word (rps_doc_frac_unique_words); NaN without words."""
    return ratio(docs.folded.counts.distinct, docs.folded.counts.pieces)


def redpajama_unigram_entropy(docs: Batch) -> FloatArray:
    """Entropy of the normalized words in nats (rps_doc_unigram_entropy; Shannon 1948); NaN without words."""
    return np.where(docs.folded.counts.pieces > 0, docs.folded.entropy, np.nan)


def redpajama_sentences(docs: Batch) -> FloatArray:
    """Pieces of text between runs of . ! ? that contain a letter or digit (rps_doc_num_sentences)."""
    return docs.pieces.counts.clauses.astype(np.float64)


def redpajama_symbol_word_ratio(docs: Batch) -> FloatArray:
    """ "#", "..." and "…" per raw word (rps_doc_symbol_to_word_ratio); NaN without words."""
    return ratio(docs.words.hashes + docs.words.ellipses, docs.pieces.counts.runs)


def redpajama_capital_word_ratio(docs: Batch) -> FloatArray:
    """Share of raw words in upper case (rps_doc_frac_all_caps_words); NaN without words."""
    return ratio(docs.pieces.counts.capital_runs, docs.pieces.counts.runs)


def redpajama_no_alpha_word_ratio(docs: Batch) -> FloatArray:
    """Share of raw words without a letter from A to Z (rps_doc_frac_no_alph_words); NaN without words."""
    return ratio(docs.pieces.counts.runs - docs.pieces.counts.latin_runs, docs.pieces.counts.runs)


def redpajama_ellipsis_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines, blank or not, that end with "..." or "…" (rps_doc_frac_lines_end_with_ellipsis); NaN without text."""
    counts = docs.pieces.counts
    return ratio(counts.plain_ellipses, counts.raw_lines - 1 + counts.unclosed * (docs.words.characters > 0))


def _top(n: int) -> Callable[[Batch], FloatArray]:
    def share(docs: Batch) -> FloatArray:
        grams = docs.folded.ngrams
        repeats = grams.top_longest[:, n - NGRAMS[0]] > 0
        return ratio(grams.top_first[:, n - NGRAMS[0]] * repeats, docs.folded.counts.characters)

    share.__name__ = f"redpajama_top_{n}gram_char_ratio"
    share.__doc__ = (
        f"Share of characters in the most frequent {n}-gram of normalized words (rps_doc_frac_chars_top_{n}gram); "
        "NaN without words."
    )
    return share


def _duplicate(n: int) -> Callable[[Batch], FloatArray]:
    def share(docs: Batch) -> FloatArray:
        return ratio(docs.folded.ngrams.covered[:, n - NGRAMS[0]], docs.folded.counts.characters)

    share.__name__ = f"redpajama_duplicate_{n}gram_char_ratio"
    share.__doc__ = (
        f"Share of characters in repeated {n}-grams of normalized words (rps_doc_frac_chars_dupe_{n}grams); "
        "NaN without words."
    )
    return share


SIGNALS = (
    redpajama_word_count,
    redpajama_mean_word_length,
    redpajama_unique_word_ratio,
    redpajama_unigram_entropy,
    redpajama_sentences,
    redpajama_symbol_word_ratio,
    redpajama_capital_word_ratio,
    redpajama_ellipsis_line_ratio,
    redpajama_no_alpha_word_ratio,
    *(_top(n) for n in (2, 3, 4)),
    *(_duplicate(n) for n in range(5, 11)),
)
