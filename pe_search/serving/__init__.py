"""A process that keeps a store and its text tower warm, and those who ask it: over a Unix socket, and over HTTP."""
