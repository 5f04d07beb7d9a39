"""Speech becomes words: recognisers behind one protocol, and what brings them audio and joins their windows."""
