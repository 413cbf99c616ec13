"""What measures labels and models."""
