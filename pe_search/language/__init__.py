"""Audio-language models, on this machine and over HTTP: a sound and a question become an answer in words."""
