"""The backend's command line: python -m backend COMMAND; without one it lists them.

Also python /where/it/is/backend generate ..., from any folder.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    if not __package__:  # this folder was run: what is to be imported is the package
        sys.path[0] = str(Path(__file__).resolve().parents[1])
    from backend.cli.main import main

    sys.exit(main())
