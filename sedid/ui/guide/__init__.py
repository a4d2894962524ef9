"""The Guide tab: the documents, inside the page."""
