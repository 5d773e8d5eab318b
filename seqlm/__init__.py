"""seqlm: train, score, sample and compare language models from one command line."""

__version__ = "0.1.0"
