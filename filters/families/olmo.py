"""OLMo 2's repetition filter (OLMo et al. 2025) drops documents with 32 or more repetitions of a sequence of 1 to 13 tokens."""

import numpy as np

from pipeline.filters.batch import Batch, FloatArray


def olmo_token_repeats(docs: Batch) -> FloatArray:
    """The most consecutive repetitions of a sequence of 1 to 13 tokens (words and symbols, not a model's tokens)."""
    return docs.word_ngrams.repeats.astype(np.float64)


SIGNALS = (olmo_token_repeats,)
