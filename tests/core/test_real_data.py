"""On real CTs, where there are any: the patient's left is on the image's right, and bone is where it should be."""

from dataclasses import replace

import pytest
import torch

from skiagraph.carm import GENERIC
from skiagraph.drr.display import attenuation, picture
from skiagraph.drr.project import project_labels
from skiagraph.drr.render import FIDELITIES
from skiagraph.io.volumes import read_labels, read_volume
from skiagraph.physics.panel import Panel
from skiagraph.planning import VIEWS, plan
from skiagraph.volume import Labels, Landmarks

CTS = (
    "ct_pelvis_totalseg_example/ct.nii.gz",
    "ct_sts_hip_patches/STS_007.nii.gz",
    "ct_sts_hip_patches/STS_026.nii.gz",
    "ct_chest/LIDC-IDRI-0001.nii.gz",
)


@pytest.fixture(scope="module")
def pelvis(data):
    folder = data / "ct_pelvis_totalseg_example"
    found = read_labels(folder / "seg117.nii.gz")
    names = {77: "left_hemipelvis", 78: "right_hemipelvis", 31: "vertebrae", 25: "upper_sacrum"}
    return read_volume(folder / "ct.nii.gz"), Labels(found.index, found.grid, names)


def centroid(mask: torch.Tensor) -> torch.Tensor:
    return mask.nonzero().double().mean(dim=0).flip(0)


def test_a_real_pelvis_stands_head_up_with_its_left_on_the_right(pelvis):
    volume, labels = pelvis
    view = GENERIC.with_pixels(200).aimed_at(volume.grid.center)
    found = project_labels(labels, view)
    shown = dict(zip(found.names, found.masks))
    assert centroid(shown["left_hemipelvis"])[0] > centroid(shown["right_hemipelvis"])[0] + 30
    assert centroid(shown["vertebrae"])[1] < centroid(shown["upper_sacrum"])[1]


def test_the_shadow_of_a_real_bone_is_where_its_voxels_project(pelvis):
    volume, labels = pelvis
    view = GENERIC.with_pixels(200).aimed_at(volume.grid.center, 25.0, -15.0)
    voxels = (labels.index == 77).nonzero().flip(1).double()
    matrix = volume.grid.world_from_ijk
    uv = view.project(voxels @ matrix[:3, :3].T + matrix[:3, 3])
    mask = project_labels(labels, view, ["left_hemipelvis"]).masks[0]
    rounded = uv.round().long()
    inside = ((rounded >= 0) & (rounded < 200)).all(dim=1)
    assert mask[rounded[inside, 1], rounded[inside, 0]].float().mean() > 0.99


def test_bone_attenuates_more_than_the_soft_tissue_around_it(pelvis):
    """The iliac wing against its own shadow with the bone's HU replaced by muscle's."""
    volume, labels = pelvis
    view = GENERIC.with_pixels(200).aimed_at(volume.grid.center)
    bone = labels.mask("left_hemipelvis")
    mask = project_labels(labels, view, ["left_hemipelvis"]).masks[0]
    for renderer in FIDELITIES.values():
        calm = replace(renderer, panel=Panel.ideal())
        without = replace(volume, hu=torch.where(bone, 40.0, volume.hu))
        there, gone = (attenuation(calm(calm.decompose(v), view)) for v in (volume, without))
        assert (there - gone)[mask].mean() > 0.1
        assert (there - gone)[~mask].abs().max() < 0.1


@pytest.mark.parametrize("name", CTS)
def test_every_fidelity_takes_every_view_of_every_ct(data, name):
    volume = read_volume(data / name)
    carm = GENERIC.with_pixels(96)
    for renderer in FIDELITIES.values():
        phantom = renderer.decompose(volume)
        for view in ("ap", "inlet", "outlet", "left_obturator_oblique", "right_obturator_oblique"):
            planned = plan(VIEWS[view], carm, Landmarks.of({}), volume.grid.center)
            transmission = renderer(phantom, planned.view, torch.Generator().manual_seed(0))
            shown = picture(transmission)
            assert 0 <= float(transmission.min()) < 0.5
            assert shown.std() > 0.04
