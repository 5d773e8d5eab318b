"""`python -m seqlm`."""

from seqlm.cli.app import main

main()
