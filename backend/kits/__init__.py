"""Makes kits from the user's objects: photographs them, finds their colours, writes a folder that is a prior."""
