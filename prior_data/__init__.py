"""Photographs the objects of the kit that ships; see README.md."""
