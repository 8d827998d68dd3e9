"""Mathematics by its LaTeX, as the text of a page has it (pipeline.filters.latex)."""

import numpy as np

from pipeline.filters.batch import Batch, FloatArray
from pipeline.filters.latex import common_commands, formulas


def latex_formulas(docs: Batch) -> FloatArray:
    """Formulas in dollars, brackets or environments; in plain text our extractor writes formulas without dollars."""
    return np.array([sum(1 for _ in formulas(text)) if text else 0 for text in docs.array.to_pylist()], np.float64)


def latex_commands(docs: Batch) -> FloatArray:
    r"""Common LaTeX commands of formulas, such as \frac and \alpha."""
    return np.array([common_commands(text) if text else 0 for text in docs.array.to_pylist()], np.float64)


SIGNALS = (latex_formulas, latex_commands)
