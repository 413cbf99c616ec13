"""Landmarks and structures found on X-rays by networks."""
