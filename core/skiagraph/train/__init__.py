"""Networks trained on sets of samples."""
