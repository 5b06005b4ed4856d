"""The pages of the documentation site; `generate` makes those that come from the code."""
