"""`python -m featstore` is the command line."""

from featstore.cli.app import main

main()
