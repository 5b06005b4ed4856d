"""Splatsmith's backend: from a sentence to Gaussian splats and a textured mesh."""

import os

# Must be set before torch loads OpenMP, whose idle threads would spin: on a busy machine a step of many small tensors
# then waits for them twenty times as long as it computes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# transformers warns at each start that torchvision, which nothing here needs, is not installed.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
