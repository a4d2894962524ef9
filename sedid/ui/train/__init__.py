"""The Train tab: start, watch, stop and resume the loops as jobs."""
