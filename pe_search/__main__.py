"""`python -m pe_search` is the same as `pe-search`."""

from pe_search.cli.app import main

if __name__ == "__main__":
    main()
