"""`python -m mailwire`, the same as `mailwire`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
