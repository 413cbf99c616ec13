"""A tool is found by a detector trained, asked and measured with the commands that the pelvis has."""

import json
import math
from pathlib import Path

import pydicom
import pytest
import torch
from PIL import Image

from skiagraph.bodies.manipulator import BASE, BODY, TIP
from skiagraph.errors import DataError
from skiagraph.experiments.presets import TOOL_OR_NONE
from skiagraph.factory.card import finish
from skiagraph.factory.making import begin, make_subject
from skiagraph.factory.order import Order
from skiagraph.factory.reading import SampleSet
from skiagraph.factory.subjects import parametric
from skiagraph.io.dicom_xray import write_xray_dicom
from skiagraph.tasks.detect import BUNDLE, Detect, the_bundle
from skiagraph.tasks.evaluate import Evaluate
from skiagraph.tasks.train_detector import TrainDetector

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """A tool, or none, before each of three bodies."""
    folder = tmp_path_factory.mktemp("tools")
    order = Order(TOOL_OR_NONE, tuple(parametric(3, 0, 6.0)), 18, 64, 4, (0.34, 0.34), 6)
    begin(order, folder)
    for subject in range(3):
        make_subject(order, subject, folder)
    finish(order, folder)
    return folder


@pytest.fixture(scope="module")
def bundle(tools, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    TrainDetector((tools,), folder, steps=2, batch=2, size=64, start=Path(BUNDLE), workers=0, every=2).run()
    return folder


def test_a_tool_is_looked_for_and_no_pelvis_is_put_behind_it(tools, bundle, tmp_path):
    sample = next(SampleSet(tools).samples("test")).sample
    write_xray_dicom(tmp_path / "x.dcm", sample.image, sample.view)
    Detect(
        tmp_path / "x.dcm", tmp_path / "out.json", bundle=bundle, reach=0.1, average=True, markups=True, masks=True,
        seg=tmp_path / "seg.dcm",
    ).run()  # fmt: skip
    said = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in said["keypoints"]] == [BASE, TIP] and said["pose"] is None
    for name in ("out_overlay.png", f"out_{BODY}.png", "out.mrk.json"):
        assert (tmp_path / name).stat().st_size > 0
    assert pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence[0].SegmentLabel == "Continuum manipulator"


def test_a_tool_is_measured_where_it_is_and_where_it_is_not_body_by_body(tools, bundle, tmp_path):
    Evaluate(tools, tmp_path / "report.html", bundle=bundle).run()
    said = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    truths = [one.sample for one in SampleSet(tools).samples("test")]
    there = [bool(one.masks.any()) for one in truths]
    assert said["landmarks"] == sum(int(one.keypoints.visible.sum()) for one in truths) > 0
    assert said["absent"] == sum(int((~one.keypoints.visible).sum()) for one in truths)
    assert math.isfinite(said["mean_mm"]) and said["swapped"] is None
    (subject,) = said["per_subject"].values()
    assert subject["structures"] == said["structures"] and set(subject["structures"]) == {BODY}
    dice = said["structures"][BODY]
    assert dice["dice_where_there"] is not None and any(there)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Manipulator tip" in page and "plane of the isocentre" in page and "hips" not in page


def test_what_a_pelvis_bears_out_is_not_learned_of_tools_and_that_is_said_at_once(tools, tmp_path):
    for n in range(2):
        pixels = (255 * torch.rand(80, 80, generator=torch.Generator().manual_seed(n))).byte().numpy()
        Image.fromarray(pixels).save(tmp_path / f"{n}.png")
    task = TrainDetector((tools,), tmp_path / "out", steps=2, batch=2, size=64, adapt="selftaught", real=(tmp_path,))
    with pytest.raises(DataError, match="0 of these landmarks are its, fewer than 8; adapt with cyclegan or adda"):
        task.run()
    assert not (tmp_path / "out" / "checkpoint.pt").exists()


def test_a_detector_that_comes_along_is_known_by_its_name(tmp_path):
    assert the_bundle() == the_bundle(the_bundle()) == the_bundle(Path(BUNDLE))
    assert the_bundle(tmp_path) == tmp_path
    with pytest.raises(DataError, match="no models/elbow_detector is installed"):
        the_bundle(Path("elbow_detector"))
