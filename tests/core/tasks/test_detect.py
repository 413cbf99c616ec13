"""`skiagraph detect`, with the detector that comes along."""

import json

import pydicom
import pytest
import torch

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.carm import GENERIC
from skiagraph.errors import DataError
from skiagraph.geometry import float64
from skiagraph.io.dicom_xray import write_xray_dicom
from skiagraph.io.pictures import read_xray, write_picture
from skiagraph.tasks.detect import Detect, exposure_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def xray(tmp_path, rng):
    """Grey clouds of no anatomy."""
    cloud = torch.nn.functional.interpolate(torch.rand(1, 1, 9, 9, generator=rng), (150, 150), mode="bicubic")[0, 0]
    write_xray_dicom(tmp_path / "x.dcm", cloud.clamp(0, 1), GENERIC.with_pixels(150).aimed_at(float64([0.0, 0.0, 0.0])))
    return tmp_path / "x.dcm"


def test_findings_have_the_names_others_rely_on(xray, tmp_path):
    Detect(xray, tmp_path / "out.json", overlay=False, average=True).run()
    said = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in said["keypoints"]] == list(LANDMARK_NAMES)
    for one in said["keypoints"]:
        assert {"uv", "confidence", "visible", "spread_px"} <= set(one)
    assert "pose" in said and said["size"] == [150, 150]


def test_seg_and_sr_need_a_dicom_and_nothing_is_written_without(xray, tmp_path):
    write_picture(tmp_path / "x.png", read_xray(xray).pixels)
    with pytest.raises(DataError, match="give the X-ray as DICOM"):
        Detect(tmp_path / "x.png", tmp_path / "out.json", seg=tmp_path / "seg.dcm").run()
    assert not (tmp_path / "out.json").exists() and not (tmp_path / "seg.dcm").exists()


def test_what_is_assumed_of_the_exposure_is_what_the_file_does_not_say(xray, tmp_path):
    exact = exposure_of(xray, read_xray(xray))
    assert not exact.assumed and exact.zoom_spread == 0
    dataset = pydicom.dcmread(xray)
    del dataset[0x0071, 0x0010]
    dataset.DistanceSourceToDetector, dataset.ImagerPixelSpacing = 1300, [0.2, 0.2]
    dataset.save_as(tmp_path / "other.dcm")
    said = exposure_of(tmp_path / "other.dcm", read_xray(tmp_path / "other.dcm"))
    assert float(said.view.source_to_panel) == 1300 and said.view.pixel_spacing == pytest.approx((0.2, 0.2))
    assert said.zoom_spread == 0 and "tube" in said.assumed and "1300" not in said.assumed
    write_picture(tmp_path / "x.png", read_xray(xray).pixels)
    nothing = exposure_of(tmp_path / "x.png", read_xray(tmp_path / "x.png"))
    assert nothing.zoom_spread > 0.5 and "1100 mm" in nothing.assumed and "unknown size" in nothing.assumed
