"""Looking at a run: NAME.py finds a report in the files on disk, show_NAME.py shows it on a terminal."""
