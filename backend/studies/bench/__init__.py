"""Measurements: what the product's parts cost, as plain rows."""
