"""The Gallery tab: the reference set, many files at once, two pictures side by side."""
