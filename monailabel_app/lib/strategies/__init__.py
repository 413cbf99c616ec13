"""What chooses the next picture."""
