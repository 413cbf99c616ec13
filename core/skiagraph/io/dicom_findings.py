"""What was found on a DICOM X-ray as DICOM: masks as a Segmentation, points as a TID 1500 Measurement Report.

Both refer to the image they were found on and take over its patient and study (PS3.3 A.51 and A.35.3, PS3.16 TID 1500
and 1410). Landmarks keep their own names in the scheme `99SKIAGRAPH`, for SNOMED CT's subset in DICOM has no code for
most of them; the finding site is the nearest bone that has one. Tools are physical objects, and have no site.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from jaxtyping import Bool, Float
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid
from torch import Tensor

from skiagraph.anatomy import ANATOMY, LATERALITY, Code, Term, term
from skiagraph.errors import DataError
from skiagraph.io.dicom import has, is_dicom, quiet, read_dicom
from skiagraph.io.files import there, writing
from skiagraph.volume import Keypoints

SCHEME = "99SKIAGRAPH"
MAKER = "Skiagraph"
PERCENT = CodedConcept("%", "UCUM", "Percent")
NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Rows", "Columns")
EXPECTED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""Elements every image has, though many are empty (type 2)."""


@dataclass(frozen=True)
class Algorithm:
    """What found it."""

    name: str
    """Of the detector: its bundle."""
    version: str


def read_source(path: Path) -> Dataset:
    """The DICOM image on which things are found. Raises DataError if it is none that can be referred to."""
    there(path, "a DICOM image")
    if not is_dicom(path):
        raise DataError(
            f"{path.name} is no DICOM image, and a SEG or SR refers to one; give the X-ray as DICOM, or first make one "
            "of the picture (img2dcm of DCMTK does)"
        )
    dataset = read_dicom(path, "a DICOM image")
    missing = [name for name in NEEDED if not has(dataset, name)]
    if missing:
        raise DataError(f"{path} has no {', '.join(missing)}; a SEG or SR cannot refer to it")
    if int(dataset.get("NumberOfFrames", 1) or 1) > 1:
        raise DataError(f"{path} has {dataset.NumberOfFrames} frames; save the one you mean as an image of its own")
    for name in EXPECTED:
        if name not in dataset:
            setattr(dataset, name, "")
    # A projection has no plane in the patient, though some files name a frame of reference.
    if "FrameOfReferenceUID" in dataset:
        del dataset.FrameOfReferenceUID
    return dataset


def write_segmentation(
    path: Path, source: Dataset, masks: Bool[Tensor, "m v u"], structures: Sequence[str], algorithm: Algorithm
) -> None:
    """A mask of each structure, they may overlap, as one binary DICOM Segmentation of the image's own pixels.

    Raises DataError if the masks are not of the image's size.
    """
    if tuple(masks.shape[1:]) != (source.Rows, source.Columns):
        raise DataError(f"masks of {tuple(masks.shape[1:])} pixels on an image of {source.Rows} x {source.Columns}")
    shown = [term(name) for name in structures]
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=what.title,
            segmented_property_category=_concept(what.category),
            segmented_property_type=_concept(what.site),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=_identified(algorithm),
            tracking_uid=generate_uid(),
            tracking_id=what.name,
            anatomic_regions=[_concept(what.site)] if what.category == ANATOMY else None,
        )
        for number, what in enumerate(shown, start=1)
    ]
    for segment, what in zip(segments, shown):
        side = _side(what)
        if side is not None:
            segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [side]
    with quiet():
        made = hd.seg.Segmentation(
            source_images=[_of_one_frame(source)],
            pixel_array=np.moveaxis(masks.numpy(), 0, -1)[None].astype(np.uint8),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=segments,
            series_instance_uid=generate_uid(),
            series_number=_after(source, 1),
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=algorithm.name,
            software_versions=algorithm.version,
            device_serial_number=algorithm.version,
            content_description="Structures found on an X-ray",
            series_description="Structures found by Skiagraph; not for clinical use",
            omit_empty_frames=False,
        )
        made.PatientOrientation = source.get("PatientOrientation", "")
        with writing(path) as part:
            made.save_as(part)


def write_report(
    path: Path, source: Dataset, keypoints: Keypoints, confidence: Float[Tensor, "p"], algorithm: Algorithm
) -> None:
    """The visible points as a Comprehensive SR (TID 1500): a POINT, a site and a certainty each.

    DICOM counts from the outer corner of the first pixel, so ours are half a pixel more there. Raises DataError if no
    point is visible.
    """
    image = hd.sr.SourceImageForRegion.from_source_image(source)
    groups = [
        _measured(name, uv, sure, image, algorithm)
        for name, uv, sure, seen in zip(
            keypoints.names, keypoints.uv.tolist(), confidence.tolist(), keypoints.visible.tolist()
        )
        if seen
    ]
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[MAKER, algorithm.name, algorithm.version]),
        name=algorithm.name,
        manufacturer_name=MAKER,
        model_name=algorithm.name,
    )
    observer = hd.sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    context = hd.sr.ObservationContext(observer_device_context=observer)
    _write(path, source, context, groups, "Landmarks found by Skiagraph; not for clinical use")


def write_reading(path: Path, source: Dataset, keypoints: Keypoints, reader: str) -> None:
    """The visible points that a reader said, as such a report: a POINT and a site each, and who said it.

    Raises DataError if no point is visible.
    """
    image = hd.sr.SourceImageForRegion.from_source_image(source)
    groups = [
        hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(**_place(name, uv, image))
        for name, uv, seen in zip(keypoints.names, keypoints.uv.tolist(), keypoints.visible.tolist())
        if seen
    ]
    person = hd.sr.PersonObserverIdentifyingAttributes(name=f"{reader}^")
    observer = hd.sr.ObserverContext(observer_type=codes.DCM.Person, observer_identifying_attributes=person)
    context = hd.sr.ObservationContext(observer_person_context=observer)
    _write(path, source, context, groups, "Landmarks read with Skiagraph; not for clinical use")


def _write(
    path: Path,
    source: Dataset,
    context: hd.sr.ObservationContext,
    groups: list[hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations],
    title: str,
) -> None:
    if not groups:
        raise DataError("no landmark is in the picture, so there is nothing to report; leave the SR out")
    content = hd.sr.MeasurementReport(
        observation_context=context,
        procedure_reported=codes.LN.XRUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    with quiet():
        made = hd.sr.ComprehensiveSR(
            evidence=[source],
            content=content,
            series_instance_uid=generate_uid(),
            series_number=_after(source, 2),
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer=MAKER,
            is_complete=True,
            is_final=False,
            is_verified=False,
            series_description=title,
            coding_schemes=[CodingSchemeIdentificationItem(SCHEME, name="Names of Skiagraph", version="1")],
        )
        with writing(path) as part:
            made.save_as(part)


def _measured(
    name: str, uv: Sequence[float], sure: float, image: hd.sr.SourceImageForRegion, algorithm: Algorithm
) -> hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """The measurement group of one landmark."""
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        **_place(name, uv, image),
        algorithm_id=hd.sr.AlgorithmIdentification(f"{MAKER} {algorithm.name}", algorithm.version),
        measurements=[hd.sr.Measurement(name=codes.DCM.CertaintyOfFeature, value=round(100 * sure, 2), unit=PERCENT)],
    )


def _place(name: str, uv: Sequence[float], image: hd.sr.SourceImageForRegion) -> dict[str, Any]:
    """What a measurement group says of where one landmark is, and what it is."""
    what = term(name)
    sites = [hd.sr.FindingSite(_concept(what.site), laterality=_side(what))] if what.category == ANATOMY else None
    return {
        "tracking_identifier": hd.sr.TrackingIdentifier(uid=generate_uid(), identifier=name),
        "referenced_region": hd.sr.ImageRegion(
            graphic_type=hd.sr.GraphicTypeValues.POINT,
            graphic_data=np.array([[uv[0] + 0.5, uv[1] + 0.5]]),
            source_image=image,
        ),
        "finding_category": _concept(what.category),
        "finding_type": CodedConcept(what.alias, SCHEME, what.title),
        "finding_sites": sites,
    }


def _of_one_frame(source: Dataset) -> Dataset:
    """The image as highdicom takes one of a class that may have many frames; of those it knows the enhanced alone."""
    copy = Dataset()
    copy.update(source)
    copy.file_meta = source.file_meta
    copy.NumberOfFrames = 1
    if "SharedFunctionalGroupsSequence" not in copy:
        shared = Dataset()
        # A plain attribute: highdicom asks for it, and takes None for an image without measures in the patient.
        object.__setattr__(shared, "PixelMeasuresSequence", None)
        copy.SharedFunctionalGroupsSequence = [shared]
    return copy


def _concept(code: Code) -> CodedConcept:
    return CodedConcept(code.value, "SCT", code.meaning)


def _side(what: Term) -> CodedConcept | None:
    return None if what.side is None else _concept(LATERALITY[what.side])


def _identified(algorithm: Algorithm) -> hd.AlgorithmIdentificationSequence:
    return hd.AlgorithmIdentificationSequence(
        name=f"{MAKER} {algorithm.name}",
        family=codes.DCM.ArtificialIntelligence,
        version=algorithm.version,
    )


def _after(source: Dataset, by: int) -> int:
    """A number for a series beside the image's own."""
    return 100 * int(source.get("SeriesNumber", 0) or 0) + by
