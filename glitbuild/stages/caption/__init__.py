"""Stage that has a vision model behind an OpenAI-compatible API write long captions for images without any."""
