"""Making something new from finished runs; show_*.py shows the results on a terminal."""
