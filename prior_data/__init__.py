"""Makes the pictures that the embedded prior learns from; runs in an environment of its own, see README.md."""
