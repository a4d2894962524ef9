"""From a file to the pixels a network sees, and what may be wrong with them."""
