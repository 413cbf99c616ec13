"""A set made on a real Ray cluster of two nodes, one of which dies on the way, is whole and the same to the bit."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from skiagraph.errors import BackendError
from skiagraph.factory.card import finish
from skiagraph.factory.cluster import make_on_ray
from skiagraph.factory.making import begin, done_in, make_subject

ray = pytest.importorskip("ray", reason="Ray is not installed")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Ray's test cluster needs a POSIX system"),
    pytest.mark.filterwarnings("ignore"),
]


def test_a_node_that_dies_loses_nothing(order, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    alone, together = tmp_path / "alone", tmp_path / "together"
    begin(order, alone)
    for subject in range(len(order.subjects)):
        make_subject(order, subject, alone)
    finish(order, alone)
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        victim = cluster.add_node(num_cpus=1)
        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(make_on_ray, order, together, cluster.address, lambda *_: None)
            while not running.done() and done_in(order, together) == 0:
                time.sleep(0.1)
            cluster.remove_node(victim, allow_graceful=False)
            running.result(timeout=300)
    finally:
        cluster.shutdown()
    finish(order, together)
    assert [(path.name, path.read_bytes()) for path in sorted(alone.glob("*.tar"))] == [
        (path.name, path.read_bytes()) for path in sorted(together.glob("*.tar"))
    ]


def test_a_cluster_that_is_not_there_is_named(order, tmp_path):
    with pytest.raises(BackendError, match="no Ray cluster"):
        make_on_ray(order, tmp_path, "127.0.0.1:1", lambda *_: None)
