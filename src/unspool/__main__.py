"""`python -m unspool`: the command line."""

from .cli import main

main()
