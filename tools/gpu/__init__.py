"""The stages of `tools/on_gpu.py`, a module each with `measure(part)`; they run where the backend runs."""
