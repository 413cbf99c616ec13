"""X-rays as a hospital has them, over HTTP: DICOM of every kind and NIfTI; what is found and read as SEG and SR."""

from collections.abc import Iterator
from io import BytesIO

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from app_server import Server, serving
from dicom_xrays import SIZE, dicom_xray
from monailabel_app.client import Refused

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_NAMES
from skiagraph.io.pictures import read_xray

KINDS = ("DX", "CR", "XA", "RF")


@pytest.fixture(scope="module")
def hospital(can_serve: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("hospital")
    for number, kind in enumerate(KINDS):
        place = home / "studies" / f"patient{number}"
        place.mkdir(parents=True)
        dicom_xray(place / f"{kind}.dcm", kind, number)
    pixels = read_xray(home / "studies/patient0/DX.dcm").pixels.numpy()
    sitk.WriteImage(sitk.GetImageFromArray(pixels[None]), str(home / "studies" / "as_nifti.nii.gz"))
    one = serving(home / "studies", home).start()
    yield one
    one.kill(15)


@pytest.mark.parametrize("name", [*(f"patient{n}:{kind}" for n, kind in enumerate(KINDS)), "as_nifti"])
def test_landmarks_of_every_kind_of_file_here_or_sent_along(hospital, name):
    client = hospital.client("rita")
    here = client.infer(name)
    path = hospital.folder / f"{name.replace(':', '/')}{'.nii.gz' if name == 'as_nifti' else '.dcm'}"
    assert here["size"] == list(SIZE)
    assert [point["name"] for point in here["landmarks"]] == list(LANDMARK_NAMES)
    assert client.infer_file(path)["landmarks"] == here["landmarks"]


def test_structures_come_as_a_segmentation_of_the_x_ray_itself(hospital):
    client, source = hospital.client("rita"), pydicom.dcmread(hospital.folder / "patient0" / "DX.dcm")
    found = hd.seg.segread(BytesIO(client.segmentation("patient0:DX")))
    assert [segment.tracking_id for segment in map(found.get_segment_description, range(1, 7))] == list(STRUCTURE_NAMES)
    assert (found.StudyInstanceUID, found.PatientID) == (source.StudyInstanceUID, "770")
    assert found.get_pixels_by_source_instance([source.SOPInstanceUID]).shape == (1, *SIZE, 6)


def test_landmarks_come_as_a_report_with_their_certainty(hospital):
    client = hospital.client("rita")
    said = {point["name"]: point for point in client.infer("patient1:CR")["landmarks"] if point["visible"]}
    if not said:
        pytest.skip("nothing was found on the picture")
    groups = hd.sr.srread(BytesIO(client.findings("patient1:CR"))).content.get_planar_roi_measurement_groups()
    for group in groups:
        point = said.pop(group.tracking_identifier)
        np.testing.assert_allclose(group.roi.value[0] - 0.5, point["uv"], atol=1e-3)
        assert group.get_measurements()[0].value == pytest.approx(100 * point["confidence"], abs=0.02)
    assert not said


def test_a_readers_label_comes_as_a_report_with_his_name(hospital):
    client = hospital.client("anna")
    client.save("patient2:XA", {"left_femoral_head": [20.25, 30.5], "right_femoral_head": None})
    made = pydicom.dcmread(BytesIO(client.report("patient2:XA")))
    (group,) = hd.sr.ComprehensiveSR.from_dataset(made).content.get_planar_roi_measurement_groups()
    assert group.tracking_identifier == "left_femoral_head"
    np.testing.assert_allclose(group.roi.value[0], [20.75, 31.0], atol=1e-4)
    assert "anna^" in made.to_json()


def test_what_is_no_dicom_has_no_report_and_says_so(hospital):
    client = hospital.client("anna")
    client.save("as_nifti", {"left_femoral_head": [20.25, 30.5]})
    for ask in (client.segmentation, client.findings, client.report):
        with pytest.raises(Refused, match="DICOM") as refused:
            ask("as_nifti")
        assert refused.value.status == 422
    with pytest.raises(Refused) as refused:
        client.send("patient0:DX")
    assert refused.value.status == 409
    with pytest.raises(Refused, match="points") as refused:
        client._inferred({"image": "patient0:DX", "output": "dicom_sr"}, None, {"save_label": True}, {})
    assert refused.value.status == 400
    assert not list(hospital.scratch.rglob("*.dcm"))
