"""Our own main-content extractor: one compiled pass over a page's bytes, features, boosted trees, text."""

from pathlib import Path

MODEL_FILE = Path(__file__).with_name("model.npz")
"""Trained by tests/benchmarks/train_extractor.py; holds split thresholds and leaf values, no text."""
