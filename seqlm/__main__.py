"""`python -m seqlm`."""

from seqlm.cli.process import main

main()
