"""duplicates: exact copies, near copies, and what repeats within texts."""
