"""RedPajama-Data v2's signals (Weber et al. 2024; app/src/core/quality_signals) that no other module has; v2 filters nothing.

Its normalized words are pieces between white space in lower case without ASCII punctuation. Its models' scores (CCNet's
perplexity, fastText, DSIR weights) come from model files.
"""

from collections.abc import Callable

import numpy as np

from pipeline.filters.batch import Batch, FloatArray, ratio
from pipeline.filters.pieces import NGRAMS


def redpajama_word_count(docs: Batch) -> FloatArray:
    """Normalized words (rps_doc_word_count)."""
    return docs.folded.counts.pieces.astype(np.float64)


def redpajama_mean_word_length(docs: Batch) -> FloatArray:
    """Mean length of a normalized word (rps_doc_mean_word_length); NaN without words."""
    return ratio(docs.folded.counts.characters, docs.folded.counts.pieces)


def redpajama_unique_word_ratio(docs: Batch) -> FloatArray:
    """Different normalized words per word (rps_doc_frac_unique_words); NaN without words."""
    return ratio(docs.folded.counts.distinct, docs.folded.counts.pieces)


def redpajama_unigram_entropy(docs: Batch) -> FloatArray:
    """Entropy of the normalized words in nats (rps_doc_unigram_entropy; Shannon 1948); NaN without words."""
    return np.where(docs.folded.counts.pieces > 0, docs.folded.entropy, np.nan)


def redpajama_symbol_word_ratio(docs: Batch) -> FloatArray:
    """ "#", "..." and "…" per piece (rps_doc_symbol_to_word_ratio); NaN without pieces."""
    return ratio(docs.words.hashes + docs.words.ellipses, docs.pieces.counts.pieces)


def redpajama_capital_word_ratio(docs: Batch) -> FloatArray:
    """Share of pieces in upper case (rps_doc_frac_all_caps_words); NaN without pieces."""
    return ratio(docs.pieces.counts.capitals, docs.pieces.counts.pieces)


def redpajama_ellipsis_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines, blank ones too, that end with "..." or "…" (rps_doc_frac_lines_end_with_ellipsis)."""
    return ratio(docs.pieces.counts.plain_ellipses, docs.pieces.counts.raw_lines)


def redpajama_no_alpha_word_ratio(docs: Batch) -> FloatArray:
    """Share of pieces without a letter (rps_doc_frac_no_alph_words; there only A to Z are letters); NaN without pieces."""
    return ratio(docs.pieces.counts.pieces - docs.pieces.counts.alphabetic, docs.pieces.counts.pieces)


def _top(n: int) -> Callable[[Batch], FloatArray]:
    def share(docs: Batch) -> FloatArray:
        grams = docs.folded.ngrams
        repeats = grams.top_longest[:, n - NGRAMS[0]] > 0
        return ratio(grams.top_first[:, n - NGRAMS[0]] * repeats, docs.folded.counts.characters)

    share.__name__ = f"redpajama_top_{n}gram_char_ratio"
    share.__doc__ = (
        f"Share of characters in the most frequent {n}-gram of normalized words (rps_doc_frac_chars_top_{n}gram)."
    )
    return share


def _duplicate(n: int) -> Callable[[Batch], FloatArray]:
    def share(docs: Batch) -> FloatArray:
        return ratio(docs.folded.ngrams.covered[:, n - NGRAMS[0]], docs.folded.counts.characters)

    share.__name__ = f"redpajama_duplicate_{n}gram_char_ratio"
    share.__doc__ = f"Share of characters in repeated {n}-grams of normalized words (rps_doc_frac_chars_dupe_{n}grams)."
    return share


SIGNALS = (
    redpajama_word_count,
    redpajama_mean_word_length,
    redpajama_unique_word_ratio,
    redpajama_unigram_entropy,
    redpajama_symbol_word_ratio,
    redpajama_capital_word_ratio,
    redpajama_ellipsis_line_ratio,
    redpajama_no_alpha_word_ratio,
    *(_top(n) for n in (2, 3, 4)),
    *(_duplicate(n) for n in range(5, 11)),
)
