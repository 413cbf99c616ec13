"""A stand-in for DeepDRR in plain numpy: as much of its documented interface as our worker uses."""

from deepdrr import geo
from deepdrr.vol import Volume

__all__ = ["Volume", "geo"]
