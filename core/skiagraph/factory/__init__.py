"""Labelled X-rays by the ten thousand: who is looked at, from where, how, and how the pictures are kept."""
