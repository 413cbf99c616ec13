"""What the panel keeps in the scene: nodes of the patient and the plan by their roles, and the next shot's settings.

The roles of more than one class, `labels` and `tool`, are kept by the panel itself: no Slicer before 5.10 takes unions.
"""

from typing import Annotated

import slicer
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

TOOLS = {
    "no tool": None,
    "K-wire": "k_wire",
    "screw": "screw",
    "continuum manipulator": "manipulator",
    "model": "model",
}
"""What the panel calls the logic's tools."""
ANYBODY = "anybody"


@parameterNodeWrapper
class CArmParameters:
    """Fields tied to widgets of the same name by the property SlicerParameterName of the .ui file."""

    ct: slicer.vtkMRMLScalarVolumeNode
    landmarks: slicer.vtkMRMLMarkupsFiducialNode
    corridor: slicer.vtkMRMLMarkupsLineNode
    target: slicer.vtkMRMLMarkupsPlaneNode

    sex: Annotated[str, Choice([ANYBODY, "female", "male"])] = ANYBODY
    bodySeed: Annotated[int, WithinRange(0, 1000000)] = 0
    tiltAsked: bool = False
    tilt: Annotated[float, WithinRange(-30.0, 30.0)] = 5.0
    sizeAsked: bool = False
    size: Annotated[float, WithinRange(130.0, 230.0)] = 175.0

    fidelity: Annotated[str, Choice(["realistic", "heuristic", "naive"])] = "realistic"
    kvp: Annotated[float, WithinRange(40.0, 125.0)] = 90.0
    exposureAutomatic: bool = True
    photons: Annotated[float, WithinRange(10.0, 1000000.0)] = 10000.0
    noiseSeed: Annotated[int, WithinRange(0, 1000000)] = 0
    columns: Annotated[int, WithinRange(128, 3072)] = 768
    shutterTop: Annotated[float, WithinRange(0.0, 200.0)] = 0.0
    shutterBottom: Annotated[float, WithinRange(0.0, 200.0)] = 0.0
    shutterLeft: Annotated[float, WithinRange(0.0, 200.0)] = 0.0
    shutterRight: Annotated[float, WithinRange(0.0, 200.0)] = 0.0
    toolKind: Annotated[str, Choice(list(TOOLS))] = "no tool"
    diameter: Annotated[float, WithinRange(0.5, 20.0)] = 2.8
    bend: Annotated[float, WithinRange(-180.0, 180.0)] = 0.0
