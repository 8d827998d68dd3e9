"""From a response to the text of a page."""
