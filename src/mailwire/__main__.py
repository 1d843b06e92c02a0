"""`python -m mailwire`, the same as `mailwire`."""

import sys

from .cli import main

sys.exit(main())
