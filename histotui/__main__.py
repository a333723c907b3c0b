"""`python -m histotui`."""

import sys

from histotui.cli import main

if __name__ == "__main__":
    sys.exit(main())
