"""A family of annotated bodies that comes with the package: no patient, no download."""

from skiagraph.bodies.body import build, build_around
from skiagraph.bodies.person import HipAngles, Person
from skiagraph.bodies.shape import PelvisShape

__all__ = ["HipAngles", "PelvisShape", "Person", "build", "build_around"]
