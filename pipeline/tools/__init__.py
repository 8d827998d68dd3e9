"""Making something new from finished runs."""
