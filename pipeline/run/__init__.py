"""Bringing a run directory up to date."""
