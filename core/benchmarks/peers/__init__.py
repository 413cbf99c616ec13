"""Engines to measure, one small file each that says how the engine wants its geometry; see `peers.protocol`."""
