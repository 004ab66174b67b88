"""`python -m hyperevo`."""

from hyperevo.cli import main

main()
