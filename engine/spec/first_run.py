"""What a first run is made of, in a module of its own: presets take a tenth of a second to import, and hints none."""

from typing import Final

FIRST_PRESET: Final = "vae-2000"
"""The preset that hints name."""
