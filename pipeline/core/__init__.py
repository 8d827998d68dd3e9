"""The basis of runs: steps, parts, ledger, journal, engines, progress."""
