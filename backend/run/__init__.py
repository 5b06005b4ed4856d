"""One run, from its job to its results: the loop, its events, its folder."""
