"""What a job is: its settings as plain data, the tuned recipes, and how a job file is read."""
