"""The physics of an X-ray: what bodies are made of, what the tube sends, what the panel makes of it."""
