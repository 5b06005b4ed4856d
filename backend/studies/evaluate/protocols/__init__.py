"""The protocols of the papers: T3Bench, DreamMapping and DiverseDream, by judges that the user gives."""
