"""Watching jobs in a browser, by viser: `python -m backend view JOB|FOLDER|SERVER`.  It changes nothing it shows."""
