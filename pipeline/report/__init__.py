"""Looking at a run: what it found, and showing that on a terminal."""
