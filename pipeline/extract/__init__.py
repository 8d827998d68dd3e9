"""Web archives in, text out."""

from pipeline.extract.html import html_to_text

__all__ = ["html_to_text"]
