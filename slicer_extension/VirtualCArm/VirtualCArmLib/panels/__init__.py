"""The tabs of the panel, one file each."""
