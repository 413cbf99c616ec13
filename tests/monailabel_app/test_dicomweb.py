"""X-rays of a real DICOMweb server, and labels sent back to it."""

import time
from collections.abc import Iterator

import orthanc
import pytest
from app_server import Server, serving
from dicom_xrays import dicom_xray
from monailabel_app.client import Client, Refused
from orthanc import Orthanc

KINDS = ("DX", "CR", "XA", "RF")


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if (why := orthanc.missing()) is not None:
        pytest.skip(why)
    one = Orthanc(tmp_path_factory.mktemp("pacs")).start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def xrays(pacs: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """SOP Instance UIDs of an X-ray of each kind; a CT slice and a run of frames are there as well."""
    folder, found = tmp_path_factory.mktemp("xrays"), {}
    for number, kind in enumerate((*KINDS, "CT")):
        found[kind] = dicom_xray(folder / f"{kind}.dcm", kind, number)
    found["run"] = dicom_xray(folder / "run.dcm", "XA", 9, frames=3)
    for path in folder.glob("*.dcm"):
        pacs.put(path)
    return found


@pytest.fixture(scope="module")
def ward(can_serve: None, pacs: Orthanc, xrays: dict[str, str], tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("ward")
    one = serving(home / "studies", home, "--folder", str(home / "studies"))
    one.studies = pacs.dicomweb
    yield one.start()
    one.kill(15)


def there(client: Client, count: int, seconds: float = 120.0) -> set[str]:
    until = time.monotonic() + seconds
    while len(found := set(client.pictures())) < count:
        assert time.monotonic() < until, found
        time.sleep(0.5)
    return found


def test_its_x_rays_are_served_and_nothing_else_of_it(ward: Server, xrays):
    client = ward.client("anna")
    assert there(client, 4) == {xrays[kind] for kind in KINDS}
    assert len(client.infer(xrays["XA"])["landmarks"]) == 14
    assert client.next_sample("random")["id"] in {xrays[kind] for kind in KINDS}


def test_a_label_is_kept_here_and_sent_there_beside_its_x_ray(ward: Server, pacs: Orthanc, xrays):
    client = ward.client("anna")
    there(client, 4)
    with pytest.raises(Refused) as refused:
        client.send(xrays["DX"])
    assert refused.value.status == 404
    client.save(xrays["DX"], {"left_femoral_head": [20.0, 30.0]})
    assert (ward.folder / "labels" / f"{xrays['DX']}.dcm" / "000001.mrk.json").is_file()
    assert client.send(xrays["DX"]) == 1
    (study,) = pacs.ask("/dicom-web/studies?PatientID=770&includefield=ModalitiesInStudy")
    assert set(study["00080061"]["Value"]) == {"DX", "SR"}


def test_what_comes_later_is_served_as_well_and_what_was_taken_away_stays_away(ward: Server, pacs, xrays, tmp_path):
    ada = ward.client("ada")
    there(ada, 4)
    ada._send("DELETE", "/datastore/image", {"id": xrays["RF"]})
    later = dicom_xray(tmp_path / "later.dcm", "DX", 11)
    pacs.put(tmp_path / "later.dcm")
    until = time.monotonic() + 120
    while later not in ada.pictures():
        assert time.monotonic() < until
        time.sleep(1.0)
    assert xrays["RF"] not in ada.pictures()


def test_what_is_here_is_served_when_the_server_is_away(ward: Server, pacs: Orthanc, xrays):
    client = ward.client("anna")
    there(client, 4)
    client.save(xrays["CR"], {"left_femoral_head": [20.0, 30.0]})
    pacs.stop()
    try:
        assert len(client.infer(xrays["CR"])["landmarks"]) == 14
        with pytest.raises(Refused, match="did not take it") as refused:
            client.send(xrays["CR"])
        assert refused.value.status == 422
    finally:
        pacs.start()
