"""A family of annotated bodies that comes with the package: no patient, no download."""

from skiagraph.bodies.body import build
from skiagraph.bodies.person import HipAngles, Person

__all__ = ["HipAngles", "Person", "build"]
