"""The version of the package, which every run and every signature records."""

__version__ = "0.1.0"
