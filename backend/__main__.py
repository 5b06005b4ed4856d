"""The backend's command line: python -m backend generate | serve | kit | image | evaluate | compare | toy | train-lmc | bench."""

import sys

from backend.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
