"""A detector on disk and off it; what it makes of pictures."""

import json
from dataclasses import replace

import pytest
import torch

from skiagraph.detect.bundle import read_bundle, write_bundle
from skiagraph.detect.detector import Detector, Reading
from skiagraph.detect.losses import Likelihood, MeanSquares
from skiagraph.detect.network import Network
from skiagraph.detect.trunks import ResidualUNet, SwinUNet, ViTUNet
from skiagraph.errors import DataError, ModelError
from skiagraph.io.bundles import CONFIG, WEIGHTS

# MONAI's blocks still use what torch calls old.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

NAMES = ("left_femoral_head", "right_femoral_head", "left_greater_sciatic_notch")
SMALL = ResidualUNet((4, 8, 8), features=6)


@pytest.fixture
def detector() -> Detector:
    torch.manual_seed(0)
    reading = Reading(NAMES, ("left_hemipelvis", "left_femur"), 64, temperature=1.5, visible_shift=0.25)
    return Detector(Network(SMALL, Likelihood(1.5), 64, 3, 2), reading)


@pytest.fixture
def picture(rng) -> torch.Tensor:
    return torch.rand(70, 110, generator=rng)


@pytest.mark.parametrize(
    "trunk",
    [SMALL, SwinUNet(12), ViTUNet(features=4, hidden=24, heads=2, perceptron=32)],
    ids=lambda one: type(one).__name__,
)
def test_every_trunk_answers_for_every_pixel(trunk, rng):
    network = Network(trunk, MeanSquares(2.0), 64, 3, 2).eval()
    answers = network(torch.randn(2, 1, 64, 64, generator=rng))
    assert answers.heatmaps.shape == (2, 3, 64, 64) and answers.masks.shape == (2, 2, 64, 64)
    assert answers.visible.shape == (2, 3)


def test_what_visibility_learns_moves_no_heatmap(detector, rng):
    answers = detector.network(torch.randn(2, 1, 64, 64, generator=rng))
    answers.visible.square().sum().backward()
    assert detector.network.landmarks.weight.grad is None


def test_findings_are_on_the_picture_with_probabilities_for_confidences(detector, picture):
    found = detector(picture)
    assert found.keypoints.names == NAMES and found.masks.shape == (2, 70, 110)
    assert bool(((found.confidence >= 0) & (found.confidence <= 1)).all())
    u, v = found.keypoints.uv[found.keypoints.visible].unbind(-1)
    assert bool(((u >= -0.5) & (u <= 109.5) & (v >= -0.5) & (v <= 69.5)).all())


def test_brightness_and_contrast_change_nothing(detector, picture):
    one, other = detector(picture), detector(40 * picture - 7)
    torch.testing.assert_close(one.keypoints.uv, other.keypoints.uv, atol=1e-3, rtol=0)


def test_a_landmark_is_looked_for_about_its_own_structure_alone(detector, rng):
    picture = torch.rand(64, 64, generator=rng)
    reading = replace(detector.reading, reach=0.0)
    anywhere, near = detector(picture), replace(detector, reading=reading)(picture)
    mask = anywhere.masks[anywhere.structures.index("left_femur")]
    assert bool(mask.any()) and not bool(mask.all())
    u, v = near.keypoints.uv[0].round().long().tolist()
    around = mask[max(0, v - 4) : v + 5, max(0, u - 4) : u + 5]
    assert bool(around.any())
    assert float(near.confidence[0]) <= float(anywhere.confidence[0]) + 1e-6
    # No structure of its side is in the reading, so it is looked for everywhere.
    assert near.keypoints.uv[1].tolist() == anywhere.keypoints.uv[1].tolist()


@pytest.mark.parametrize("broken", [torch.full((40, 40), 0.3), torch.full((40, 40), float("nan"))])
def test_pictures_that_show_nothing_are_refused(detector, broken):
    with pytest.raises(DataError, match=r"give an X-ray|fill those pixels"):
        detector(broken)


def test_a_bundle_finds_what_the_detector_it_was_made_of_finds(detector, picture, tmp_path):
    write_bundle(tmp_path, detector, SMALL)
    again = read_bundle(tmp_path)
    assert again.reading == detector.reading
    torch.testing.assert_close(again(picture).keypoints.uv, detector(picture).keypoints.uv)


def test_a_bundle_is_a_config_that_monai_builds_too(detector, tmp_path):
    from monai.bundle import ConfigParser

    write_bundle(tmp_path, detector, SMALL)
    parser = ConfigParser(json.loads((tmp_path / CONFIG).read_text(encoding="utf-8")))
    network = parser.get_parsed_content("network_def")
    assert [p.shape for p in network.parameters()] == [p.shape for p in detector.network.parameters()]


def test_a_bundle_names_only_what_we_know(detector, tmp_path):
    write_bundle(tmp_path, detector, SMALL)
    config = json.loads((tmp_path / CONFIG).read_text(encoding="utf-8"))
    config["network_def"]["trunk"]["_target_"] = "os.system"
    (tmp_path / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(DataError, match=r"os\.system"):
        read_bundle(tmp_path)


def test_weights_of_another_network_are_refused(detector, tmp_path):
    write_bundle(tmp_path, detector, SMALL)
    write_bundle(tmp_path / "other", detector, replace(SMALL, channels=(4, 8, 16)))
    (tmp_path / "other" / WEIGHTS).write_bytes((tmp_path / WEIGHTS).read_bytes())
    with pytest.raises(ModelError, match="get the bundle again"):
        read_bundle(tmp_path / "other")


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(DataError, match="bundle"):
        read_bundle(tmp_path)
