"""The page: what a browser needs to search, look, listen and judge. Its files are in `static`."""
