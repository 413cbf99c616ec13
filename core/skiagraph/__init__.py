"""Skiagraph, a virtual C-arm: labelled synthetic X-rays from CT."""

from skiagraph.carm import CIOS_FUSION, DEVICES, GENERIC, LOOP_X, CArm
from skiagraph.drr.render import HEURISTIC, NAIVE, REALISTIC, Renderer
from skiagraph.errors import BackendError, DataError, GeometryError, ModelError, SkiagraphError
from skiagraph.geometry import Grid, View, rotation
from skiagraph.physics.spectrum import Spectrum
from skiagraph.planning import PelvicFrame, plan, standard_view
from skiagraph.sample import Sample
from skiagraph.volume import Body, Keypoints, Labels, Landmarks, Volume

__version__ = "0.1.0"

__all__ = [
    "CIOS_FUSION",
    "DEVICES",
    "GENERIC",
    "HEURISTIC",
    "LOOP_X",
    "NAIVE",
    "REALISTIC",
    "BackendError",
    "Body",
    "CArm",
    "DataError",
    "GeometryError",
    "Grid",
    "Keypoints",
    "Labels",
    "Landmarks",
    "ModelError",
    "PelvicFrame",
    "Renderer",
    "Sample",
    "SkiagraphError",
    "Spectrum",
    "View",
    "Volume",
    "plan",
    "rotation",
    "standard_view",
]
