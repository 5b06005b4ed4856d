#!/bin/sh
# Makes .venv-data: Blender 4.2 as a Python module and infinigen, from wheels alone. About a minute and 2 GB.
set -eu
cd "$(dirname "$0")/.."
python3.11 -m venv .venv-data
.venv-data/bin/pip install --only-binary=:all: -r prior_data/requirements.txt
# Its own list of dependencies asks for a scikit-image that has no wheel for Python 3.11.
.venv-data/bin/pip install --only-binary=:all: --no-deps infinigen==1.15.5
.venv-data/bin/python -c "import bpy, infinigen; print('ready: Blender', bpy.app.version_string)"
