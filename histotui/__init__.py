"""A laboratory bench in the terminal: is what this generator makes of histopathology patches any use?"""

__version__ = "0.1.0"
