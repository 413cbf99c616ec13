"""Which public data set a path is a copy of."""

from pathlib import Path

from skiagraph.io.datasets import (
    ctpelvic1k,
    deepfluoro,
    deepfluoro_small,
    fracatlas,
    nmdid,
    pxr,
    qata,
    totalsegmentator,
)
from skiagraph.io.datasets.dataset import Dataset
from skiagraph.io.poses import Poses, read_pose_records

DATASETS: tuple[Dataset, ...] = (
    deepfluoro.DATASET,
    deepfluoro_small.DATASET,
    totalsegmentator.DATASET,
    nmdid.DATASET,
    qata.DATASET,
    fracatlas.DATASET,
    pxr.DATASET,
    ctpelvic1k.DATASET,  # last: its files may lie anywhere below
)
"""In the order in which a path is tried."""


def recognised(path: Path) -> Dataset | None:
    """The data set that a file or folder looks like a copy of; None if it looks like none that we know."""
    return next((dataset for dataset in DATASETS if dataset.holds(path)), None)


def read_poses(path: Path) -> Poses:
    """The poses of real X-rays: DeepFluoro's file, a record beside a picture, or a folder of records."""
    return deepfluoro.read_poses(path) if deepfluoro.is_hdf5(path) else read_pose_records(path)
