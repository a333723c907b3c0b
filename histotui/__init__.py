"""A laboratory bench in the terminal: is what this generator makes of histopathology patches any use?"""

from engine.spec.version import VERSION

__version__ = VERSION
