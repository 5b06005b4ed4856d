"""Photographs the objects of the shipped kit; see README.md."""
