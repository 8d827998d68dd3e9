"""What every room stands on: files, ledger, steps, engines, progress."""
