"""What the core makes of the patient's nodes, made once and kept until a node's voxels or points change.

Where the nodes lie in the world is read anew every time, so moving the patient costs nothing.
"""

from dataclasses import replace

from .convert import grid_of, hu_of, labels_of, landmarks_of
from .errors import CArmError


class Sight:
    """One scene's patient as values of the core."""

    def __init__(self):
        self._kept = {}

    def forget(self):
        """Let go of everything, as when the scene is closed."""
        self._kept.clear()

    def _keep(self, what, key, make):
        known = self._kept.get(what)
        if known is None or known[0] != key:
            self._kept.pop(what, None)
            known = self._kept[what] = (key, make())
        return known[1]

    def volume(self, ct):
        """The CT where it is now; its numbers are not kept. Raises DataError unless they can be Hounsfield units."""
        from skiagraph.io.volumes import check_hounsfield
        from skiagraph.volume import Volume

        hu = hu_of(ct)
        check_hounsfield(hu, ct.GetName())
        return Volume(hu, grid_of(ct))

    def phantom(self, ct, fidelity, decompose):
        """The CT's matter as a fidelity sees it, where it is now. The last of each but `naive` is kept, and `naive`."""
        place = "naive" if fidelity == "naive" else "fine"
        made = self._keep(place, (fidelity, *_state(ct)), lambda: decompose(self.volume(ct)))
        return replace(made, grid=grid_of(ct))

    def labels(self, ct, node):
        """Anatomy on the CT's voxels, None if no node is given."""
        if node is None:
            return None
        key = (_state(ct), node.GetID(), _content(node), _relative(ct, node))
        return replace(self._keep("labels", key, lambda: labels_of(node, ct)), grid=grid_of(ct))

    def landmarks(self, node):
        """The patient's points, none if no node is given."""
        return landmarks_of(node)

    def center(self, ct, node):
        """What to aim at if nothing else is known: the middle of the pelvis or of the body, LPS."""
        from skiagraph.geometry import transform
        from skiagraph.io.patient import Patient
        from skiagraph.volume import Landmarks

        def find():
            volume = self.volume(ct)
            middle = Patient(volume, self.labels(ct, node), Landmarks.of({})).center
            return transform(volume.grid.ijk_from_world, middle)

        key = (_state(ct), None if node is None else (node.GetID(), _content(node), _relative(ct, node)))
        return transform(grid_of(ct).world_from_ijk, self._keep("center", key, find))


def _state(ct):
    """What changes whenever a volume's voxels do."""
    image = ct.GetImageData()
    if image is None:
        raise CArmError(f"{ct.GetName()} holds no voxels; load its file again, or pick another volume")
    return ct.GetID(), image.GetMTime(), image.GetPointData().GetScalars().GetMTime() if _scalars(image) else 0


def _scalars(image):
    return image.GetPointData() is not None and image.GetPointData().GetScalars() is not None


def _content(node):
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        every = [segmentation.GetNthSegment(number) for number in range(segmentation.GetNumberOfSegments())]
        source = segmentation.GetSourceRepresentationName()
        return tuple((one.GetName(), _changed(one.GetRepresentation(source))) for one in every)
    table = node.GetDisplayNode().GetColorNode() if node.GetDisplayNode() is not None else None
    return node.GetImageData().GetMTime() if node.GetImageData() else 0, table.GetMTime() if table is not None else 0


def _changed(representation):
    """What changes whenever a segment is painted; its segmentation does not say so."""
    if representation is None:
        return 0
    scalars = representation.GetPointData().GetScalars()
    return representation.GetMTime(), 0 if scalars is None else scalars.GetMTime()


def _relative(ct, node):
    """Where the labels lie as the CT sees them, to a thousandth."""
    import numpy as np

    from .convert import ijk_to_ras, world_from

    return (np.linalg.inv(ijk_to_ras(ct)) @ world_from(node)).round(3).tobytes()
