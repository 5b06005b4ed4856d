"""The backend's command line: python -m backend COMMAND; without one it lists them."""

import sys

from backend.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
