"""The training recipe of the built-in checkpoint: sounds, captions, mixtures, objective, training and scoring."""
