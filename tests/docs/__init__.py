"""The pages for readers: what they print is what pe-search prints."""
