"""One front door for people: python build.py demo | test | serve | bench | package | release | doctor | setup | lock.

Needs Python 3.11, 3.12 or 3.13 and nothing else.  The first call makes the environments that it needs (see
tools/environments.py).  This file runs under any Python 3, to find the right one.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys

from tools.pythons import python_to_use

if __name__ == "__main__":
    found = python_to_use()
    if found is None:
        sys.exit(
            f"Splatsmith needs Python 3.11, 3.12 or 3.13, and this is {platform.python_version()}: "
            "install python3.11 beside it."
        )
    if found == [sys.executable]:
        from tools.commands import main

        sys.exit(main(sys.argv[1:]))
    again = [*found, os.path.abspath(__file__), *sys.argv[1:]]
    if os.name == "nt":
        sys.exit(subprocess.call(again))
    os.execvp(again[0], again)  # in place of this process, so that Ctrl-C reaches one program
