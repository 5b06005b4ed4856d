"""Splats drawn in the viewport."""
