"""Bodies and X-rays from noise."""
