import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from skiagraph.bodies import PelvisShape
from skiagraph.errors import DataError
from skiagraph.io.markups import read_landmarks
from skiagraph.tasks.body import MakeBody

PARTS = ("left_hemipelvis", "right_hemipelvis", "upper_sacrum")


def test_a_body_of_a_shape_says_that_it_is_a_phantom_and_of_what(tmp_path):
    task = MakeBody(tmp_path, seed=7, anatomy="shape", spacing=6.0)
    files = task.run()
    said = json.loads((tmp_path / "phantom.json").read_text(encoding="utf-8"))
    assert tmp_path / "phantom.json" in files
    assert said["phantom"] is True
    assert said["seed"] == 7
    assert said["anatomy"] == "shape"
    assert said["sources"][0]["licence"] == "CC-BY-4.0"


def test_the_seed_names_the_shape(tmp_path):
    task = MakeBody(tmp_path, seed=7, anatomy="shape")
    np.testing.assert_array_equal(task.shape().vertices, task.shape().vertices)
    assert not np.allclose(task.shape().vertices, replace(task, seed=8).shape().vertices)


def test_a_folder_of_surfaces_becomes_a_body_with_their_landmarks(tmp_path):
    meshio = pytest.importorskip("meshio")
    shape = PelvisShape.draw(torch.Generator().manual_seed(2))
    for name, surface in shape.surfaces.items():
        meshio.write(tmp_path / f"{name}.stl", meshio.Mesh(surface.vertices + 50.0, [("triangle", surface.faces)]))
    MakeBody(tmp_path / "body", surfaces=tmp_path, tilt=0.0, spacing=6.0).run()
    found = read_landmarks(tmp_path / "body" / "landmarks.mrk.json")
    assert (found.points - shape.landmarks.points).norm(dim=-1).max() < 5.0


def test_surfaces_in_ras_are_refused(tmp_path):
    meshio = pytest.importorskip("meshio")
    for name, surface in PelvisShape.of(np.zeros(0)).surfaces.items():
        vertices = surface.vertices * np.array([-1.0, -1.0, 1.0])
        meshio.write(tmp_path / f"{name}.ply", meshio.Mesh(vertices, [("triangle", surface.faces)]))
    with pytest.raises(DataError, match="RAS"):
        MakeBody(tmp_path / "body", surfaces=tmp_path).body()


def test_a_folder_without_a_bone_is_refused_by_its_name(tmp_path):
    with pytest.raises(DataError, match="no left_hemipelvis"):
        MakeBody(tmp_path / "body", surfaces=tmp_path).body()


def test_a_torso_needs_real_anatomy(tmp_path):
    with pytest.raises(DataError, match="give anatomy 'shape'"):
        MakeBody(tmp_path / "body", torso=tmp_path / "a_label.nii.gz").body()
