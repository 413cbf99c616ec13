import json
from pathlib import Path

import numpy as np
import pytest

from skiagraph.bodies import readings
from skiagraph.errors import DataError
from skiagraph.shipped import shipped

BUNDLE = Path(__file__).parents[3] / "models" / "pelvis_shape"
COLUMNS = {
    "SIDE_OUTLINE": ["y", "z"],
    "SIDE_GAUGE": ["y", "z", "x_of_middle", "half_thickness"],
    "FRONT_OUTLINE": ["x", "z"],
    "FORAMEN": ["x", "z"],
    "FRONT_GAUGE": ["x", "z", "y_of_middle", "half_thickness"],
}


@pytest.fixture(scope="module")
def bundle() -> dict:
    return json.loads((BUNDLE / readings.FILE).read_text(encoding="utf-8"))


def test_the_tables_have_the_stated_columns_and_are_finite(bundle):
    assert {name: table["columns"] for name, table in bundle["tables"].items()} == COLUMNS
    for name, columns in COLUMNS.items():
        rows = getattr(readings, name)
        assert rows.shape[0] > 10 and rows.shape[1] == len(columns)
        assert np.isfinite(rows).all()
        np.testing.assert_array_equal(rows, bundle["tables"][name]["rows"])


@pytest.mark.parametrize("name", ["SIDE_GAUGE", "FRONT_GAUGE"])
def test_bone_has_a_thickness_wherever_it_was_read(name):
    assert (getattr(readings, name)[:, 3] > 0).all()


@pytest.mark.parametrize("file", [readings.FILE, "README.md", "LICENSE"])
def test_whoever_has_a_file_of_the_bundle_reads_whose_it_is(file):
    text = (BUNDLE / file).read_text(encoding="utf-8")
    assert "Han R" in text and "10.1088/1361-6560/ab1456" in text


def test_the_readings_credit_their_source(bundle):
    assert bundle["licence"] == "CC-BY-4.0"
    assert "Johns Hopkins" in bundle["source"] and "CT Lymph Nodes" in bundle["source"]
    assert bundle["units"] == "mm"
    assert all(bundle[key] for key in ("credit", "changes", "frame", "rounding", "made_by"))


def test_without_the_file_the_user_is_told_to_reinstall(monkeypatch):
    assert shipped("bodies", "no_such_file") is None
    monkeypatch.setattr(readings, "shipped", lambda *names, **source: None)
    with pytest.raises(DataError, match="reinstall"):
        readings._read()
