"""How much information a text holds: what compression makes of it, the entropy of its bytes, and what models left in it."""

import zlib

import numpy as np

from pipeline.filters.batch import Batch, FloatArray, ratio


def text_compression_ratio(docs: Batch) -> FloatArray:
    """Bytes of the text per byte of it compressed by zlib at level 1; NaN for an empty text. Repetitive text has a high one."""
    sizes = docs.ends - docs.starts
    view = docs.data.data
    spans = zip(docs.starts.tolist(), docs.ends.tolist(), strict=True)
    packed = [len(zlib.compress(view[start:end], 1)) if end > start else 0 for start, end in spans]
    return ratio(sizes, np.array(packed, np.int64))


def text_byte_entropy(docs: Batch) -> FloatArray:
    """Entropy of the bytes in bits (Shannon 1948); NaN for an empty text."""
    found = np.full(len(docs), np.nan)
    for place, (start, end) in enumerate(zip(docs.starts.tolist(), docs.ends.tolist(), strict=True)):
        if end > start:
            counts = np.bincount(docs.data[start:end])
            shares = counts[counts > 0] / (end - start)
            found[place] = -(shares * np.log2(shares)).sum()
    return found


SPECIAL_TOKENS = (
    "<|endoftext|> <|im_start|> <|im_end|> <|begin_of_text|> <|eot_id|> <s> </s> <unk> <pad> <mask> <bos> <eos> "
    "[CLS] [SEP] [MASK] [PAD] [UNK] [INST] [/INST]"
)
"""Of GPT-2, ChatML, Llama 1 to 3, T5 and BERT: a text that holds them was a model's input or output."""


def text_special_token_ratio(docs: Batch) -> FloatArray:
    """Special tokens of language models ("<|endoftext|>", "</s>", "[MASK]"), in any case, per word; NaN without words."""
    return ratio(docs.count(*SPECIAL_TOKENS.split()), docs.words.words)


SIGNALS = (text_compression_ratio, text_byte_entropy, text_special_token_ratio)
