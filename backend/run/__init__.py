"""One run, from its job to its results: assembly, the loop, events, the job's folder."""
