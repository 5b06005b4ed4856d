"""Kits made of anybody's objects: photographed, told by colour, written to a folder that is a prior."""
