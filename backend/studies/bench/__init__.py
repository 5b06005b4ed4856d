"""Benchmarks of the backend's parts, as tables of rows."""
