"""Entry point of ``python -m optsearch``, equivalent to the command ``optsearch``."""

from optsearch.runs.cli.app import main

if __name__ == "__main__":
    main()
