"""Long work beside the page: commands as child processes that a page can follow, stop and resume."""
