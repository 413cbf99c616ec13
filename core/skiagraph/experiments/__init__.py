"""The controlled experiments, and the sets they are made of, as values."""
