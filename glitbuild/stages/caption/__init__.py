"""Long captions for images that have none, from a vision model behind an OpenAI-compatible API."""
