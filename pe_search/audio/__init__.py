"""Find clips, read them as 48 kHz mono, cut them into windows."""

SAMPLE_RATE_HZ = 48_000
