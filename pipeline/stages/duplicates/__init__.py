"""duplicates: exact copies, near copies, and passages that repeat within texts."""
