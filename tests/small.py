"""Settings of a mesh that is made in a tenth of the time, for tests of what is around it."""

MESH = {"resolution": 32, "faces": 400, "texture_side": 128}
