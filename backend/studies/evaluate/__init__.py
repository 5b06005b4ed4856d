"""Evaluation of finished jobs."""
