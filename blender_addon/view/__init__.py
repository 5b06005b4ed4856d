"""Draws splats in the viewport."""
