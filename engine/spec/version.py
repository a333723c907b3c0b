"""The version of histotui, for the package, run folders and reports."""

from typing import Final

VERSION: Final = "0.1.0"
