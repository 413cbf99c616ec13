"""Public data sets as they are published: one file for each, and one that tells them apart."""
