"""C4's rules for whole pages: Raffel et al. 2020 (JMLR 21:140), section 2.2.

C4 first drops lines (those without a terminal punctuation mark, with few words, with "javascript", …) and then judges
the rest of the page. The rules here judge the text they are given; they do not include C4's line edits. `sentences`
counts only text that ends in a terminal, so menus and headings, which those edits would drop, do not count.

How many sentences? "Fewer than 3", with at least 5 words per line, in the journal's text and in the code that made C4
(tensorflow_datasets, c4_utils.py: _MIN_NUM_SENTENCES = 3, _MIN_WORDS_PER_LINE = 5). The first arXiv version has the two
swapped (5 sentences, 3 words), and datatrove's defaults follow it. We follow the code.

Only "{" counts as a curly bracket, as in that code. A brace or a "lorem ipsum" anywhere on the page drops it, as the
paper says; the code looks only at lines it has not already dropped.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.filters.batch import Batch, FloatArray
from pipeline.filters.kernels.arrays import Texts
from pipeline.filters.rules import Rule
from pipeline.filters.verdicts import Verdicts, judge


def lorem_ipsum(docs: Batch) -> FloatArray:
    """Occurrences of "lorem ipsum", in any case."""
    return docs.count("lorem ipsum")


def curly_brackets(docs: Batch) -> FloatArray:
    """Opening curly brackets, "{"."""
    return docs.words.curly_brackets.astype(np.float64)


def sentences(docs: Batch) -> FloatArray:
    """Sentences: text that contains a letter and ends in a sentence terminal (see `pipeline.filters.kernels.words`)."""
    return docs.words.sentences.astype(np.float64)


SIGNALS = (lorem_ipsum, curly_brackets, sentences)

RULES = (
    Rule(signal="lorem_ipsum", max=0),  # "any page where the phrase 'lorem ipsum' appeared"
    Rule(signal="curly_brackets", max=0),  # "any pages that contained a curly bracket"
    Rule(signal="sentences", min=3),  # "any page with fewer than 3 sentences"
)


def evaluate(texts: Texts, rules: Sequence[Rule] = RULES) -> Verdicts:
    """Judge texts by C4's page rules, or by rules of your own on this module's signals."""
    return judge(texts, rules, SIGNALS)
