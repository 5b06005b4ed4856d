"""Settings of runs that take a tenth of the time, for tests of what is around them."""

MESH = {"resolution": 32, "faces": 400, "texture_side": 128}
SPLATS = {"initial_count": 800, "growth": "none"}
