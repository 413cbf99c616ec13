"""Where a body stands, found from its pictures."""
