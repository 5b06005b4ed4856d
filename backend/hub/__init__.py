"""The hub: which files of a model are needed, and how they come into its cache on this machine."""
