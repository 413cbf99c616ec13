"""A folder of X-rays being annotated: its labels, its detectors, its leases, and what was made of each picture."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pydicom
import SimpleITK as sitk
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from skiagraph.active.choosing import looked
from skiagraph.active.labels import Frame
from skiagraph.active.lease import Leases
from skiagraph.active.looking import Evidence, Look, evidence
from skiagraph.active.store import LABELS, MODELS, LabelStore
from skiagraph.active.weights import Current, Shelf
from skiagraph.detect.detector import Detector, Findings
from skiagraph.detect.pose import PelvisPose, pose_of
from skiagraph.errors import DataError
from skiagraph.io.dicom import quiet
from skiagraph.io.files import decoding, suffix_of
from skiagraph.io.pictures import read_xray
from skiagraph.io.xray import Bone
from skiagraph.tasks.detect import exposure_of, the_bundle
from skiagraph.tasks.xray import grown, stretched
from skiagraph.volume import Keypoints

MODEL = "hip_landmarks"
MOST_PIXELS = 36_000_000
"""Of a picture: larger ones are refused before they are unpacked."""
REMEMBERED = 24
"""Pictures whose findings are kept at hand, some 3 MB each."""
DEFLATED = "1.2.840.10008.1.2.1.99"

READING = threading.Lock()
"""Readers of files change what warnings do, which threads share: one reads at a time."""


class TooLarge(DataError):
    """A picture that would take too much memory."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture, and what the detector in use makes of it."""

    path: Path
    picture: Float[Tensor, "v u"]
    """Larger where bone is."""
    frame: Frame
    found: Findings
    detector: Detector
    weights: int
    """The number of the detector's weights."""

    @cached_property
    def where(self) -> Evidence:
        """Where else the landmarks may be."""
        return evidence(self.detector, self.picture)

    def pose(self, points: Keypoints) -> PelvisPose | None:
        """How the pelvis lies that has these landmarks; its picture's file is read once more."""
        with READING:
            exposure = exposure_of(self.path, read_xray(self.path))
        return pose_of(points, self.found.confidence, exposure)

    @cached_property
    def look(self) -> Look:
        """Everything that makes the picture worth labelling."""
        return looked(self.picture, self.detector)


class Study:
    """Everything that the app's parts share. Safe for threads."""

    def __init__(self, folder: Path) -> None:
        self.store = LabelStore(folder)
        self.shelf = Shelf(folder / MODELS, the_bundle())
        self.current = Current(self.shelf)
        self.leases = Leases(folder / LABELS / ".leases.json")
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[object, ...], Seen] = OrderedDict()
        self._looks: dict[tuple[object, ...], Look] = {}
        self._frames: dict[tuple[object, ...], Frame] = {}

    def frame(self, picture: str) -> Frame:
        """How points lie on a picture."""
        path = self.store.path(picture)
        key = (path, path.stat().st_mtime_ns)
        with self._lock:
            known = self._frames.get(key)
        if known is None:
            known = read(path, "bright")[1]
            with self._lock:
                self._frames[key] = known
        return known

    def seen(self, path: Path, bone: Bone = "bright") -> Seen:
        """A picture and its findings; those of the last few pictures are at hand."""
        number, detector = self.current.get()
        key = (path, path.stat().st_mtime_ns, number, bone)
        with self._lock:
            if key in self._seen:
                self._seen.move_to_end(key)
                return self._seen[key]
        seen = see(path, detector, number, bone)
        with self._lock:
            self._frames[key[:2]] = seen.frame
            self._seen[key] = seen
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return seen

    def look(self, picture: str) -> Look:
        """What a strategy needs to know of a picture; looked at once for every detector."""
        path = self.store.path(picture)
        number, detector = self.current.get()
        key = (path, path.stat().st_mtime_ns, number)
        with self._lock:
            if key in self._looks:
                return self._looks[key]
        look = looked(read(path, "bright")[0], detector)
        with self._lock:
            self._looks[key] = look
        return look

    def glanced(self, picture: str) -> Look | None:
        """That of a picture which was looked at already."""
        path = self.store.path(picture)
        with self._lock:
            return self._looks.get((path, path.stat().st_mtime_ns, self.shelf.current))


def read(path: Path, bone: Bone) -> tuple[Float[Tensor, "v u"], Frame]:
    """A picture in which bone is bright, and how points lie on it. Raises DataError, TooLarge for what is none."""
    with READING:
        check_size(path)
        image = read_xray(path)
    rows, columns = image.pixels.shape
    return grown(image, suffix_of(path), bone), Frame((rows, columns), image.pixel_spacing, image.view)


def grey(path: Path) -> tuple[int, int, bytes]:
    """Rows, columns, and a picture as it is shown: bone bright, its values spread over 16 bits, little-endian."""
    picture, _ = read(path, "bright")
    rows, columns = picture.shape
    return rows, columns, (stretched(picture) * 65535).round().numpy().astype("<u2").tobytes()


def see(path: Path, detector: Detector, number: int, bone: Bone = "bright") -> Seen:
    """A picture and what a detector makes of it."""
    picture, frame = read(path, bone)
    return Seen(path, picture, frame, detector(picture), detector, number)


def check_size(path: Path) -> None:
    """Raise TooLarge if a file says that it unpacks to more than `MOST_PIXELS`; what it is, its reader finds out."""
    kind = suffix_of(path)
    with decoding(path, "an X-ray: DICOM, PNG, JPEG, TIFF, NIfTI, NRRD or MetaImage"), quiet():
        if kind in (".nii", ".nii.gz", ".nrrd", ".mha"):
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            size = list(reader.GetSize())
        elif kind in (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"):
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                with Image.open(path) as image:
                    size = [image.width, image.height]
            finally:
                Image.MAX_IMAGE_PIXELS = limit
        else:
            meta = pydicom.filereader.read_file_meta_info(path)
            if meta.get("TransferSyntaxUID") == DEFLATED:
                raise DataError("the DICOM file is deflated as a whole; save it uncompressed (dcmconv +te)")
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "Columns", "NumberOfFrames"])
            size = [int(header.get(name, 1) or 1) for name in ("Rows", "Columns", "NumberOfFrames")]
    count = 1
    for n in size:
        count *= n
    if count > MOST_PIXELS:
        raise TooLarge(f"the picture has {' x '.join(map(str, size))} pixels; give at most {MOST_PIXELS}")


def threads(count: int) -> None:
    """How many threads one inference takes."""
    torch.set_num_threads(count)
