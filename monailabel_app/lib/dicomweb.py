"""X-rays of a DICOMweb server, kept as files of a folder of X-rays. QIDO-RS, WADO-RS and STOW-RS: DICOM PS3.18.

A choice between pictures looks at all of them, so all of them are brought here, and those that come later as well; what
is here stays when the server is away. Labels are kept here, version by version, and sent as a report when asked.
"""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.errors import InvalidDicomError

from skiagraph.active.store import REMOVED
from skiagraph.errors import DataError
from skiagraph.io.dicom import quiet, read_dicom
from skiagraph.io.files import writing

MODALITIES = ("DX", "CR", "XA", "RF")
EVERY = 30.0
"""Seconds between looks for new X-rays."""
PATIENCE = (5.0, 60.0)
"""Seconds to wait for a connection, and for an answer."""
STUDY, SERIES, INSTANCE, FRAMES, COUNT = "0020000D", "0020000E", "00080018", "00280008", "00201209"

NOTE = logging.getLogger("skiagraph.serve")
logging.getLogger("dicomweb_client").setLevel(logging.WARNING)


class Mirror:
    """One server's X-rays in a folder, each by its SOP Instance UID. Runs of several frames are left out."""

    def __init__(self, address: str, folder: Path, authorization: str = "") -> None:
        """`authorization` is what its Authorization header is to say, such as `Bearer TOKEN`."""
        self.folder = folder
        session = _Patient()
        if authorization:
            session.headers["Authorization"] = authorization
        self.client = DICOMwebClient(address, session)
        self.client.set_http_retry_params(retry=False)
        self._left_out: set[str] = set()
        self._complete: dict[str, Any] = {}

    def watch(self, stop: threading.Event) -> None:
        """Bring new X-rays now and again until told to stop; a server that does not answer is asked again."""
        while not stop.is_set():
            try:
                new = sum(1 for _ in self.bring(stop))
                if new:
                    NOTE.info("%d new X-rays from the DICOMweb server", new)
            except (requests.RequestException, DataError, ValueError, LookupError, TypeError) as error:
                NOTE.warning("the DICOMweb server did not give its X-rays: %s", type(error).__name__)
            stop.wait(EVERY)

    def bring(self, stop: threading.Event) -> Iterator[Path]:
        """The X-rays that are there and not here, one after the other, whole or not at all."""
        for study, series, instance in self._listed():
            place = self.folder / f"{instance}.dcm"
            gone = any((self.folder / REMOVED).glob(f"*-{instance}.dcm"))
            if stop.is_set():
                return
            if place.exists() or gone or instance in self._left_out:
                continue
            with quiet():
                try:
                    found = self.client.retrieve_instance(study, series, instance)
                except (requests.HTTPError, InvalidDicomError, ValueError) as error:
                    NOTE.warning("an X-ray was not given by the DICOMweb server: %s", type(error).__name__)
                    self._left_out.add(instance)
                    continue
                if found.get("SOPInstanceUID") != instance or int(found.get("NumberOfFrames", 1) or 1) > 1:
                    self._left_out.add(instance)
                    continue
                with writing(place) as part:
                    found.save_as(part)
            yield place

    def send(self, path: Path) -> None:
        """Store a DICOM file there. Raises DataError if it is not taken."""
        try:
            answer = self.client.store_instances([read_dicom(path, "a DICOM file")])
        except (requests.RequestException, ValueError) as error:
            raise DataError(f"the DICOMweb server did not take it ({type(error).__name__}); try again later") from error
        if answer.get("FailedSOPSequence"):
            raise DataError("the DICOMweb server refused it; its log says why")

    def _listed(self) -> Iterator[tuple[str, str, str]]:
        """Study, series and instance UIDs of every X-ray there, of series that have grown since all of them came."""
        for modality in MODALITIES:
            for one in self.client.search_for_series(search_filters={"Modality": modality}, get_remaining=True):
                study, series = _uid(one, STUDY), _uid(one, SERIES)
                count = one.get(COUNT, {}).get("Value")
                if count is not None and self._complete.get(series) == count:
                    continue
                found = self.client.search_for_instances(study, series, fields=["NumberOfFrames"], get_remaining=True)
                for each in found:
                    instance = _uid(each, INSTANCE)
                    if int((each.get(FRAMES, {}).get("Value") or [1])[0]) > 1:
                        self._left_out.add(instance)
                    else:
                        yield study, series, instance
                self._complete[series] = count


class _Patient(requests.Session):
    """One that does not wait for ever."""

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        return super().request(*arguments, **{"timeout": PATIENCE, **options})


def _uid(said: dict[str, Any], tag: str) -> str:
    """A UID of an answer: digits and dots, so that it can be a file's name. Raises DataError for what is none."""
    uid = str(said[tag]["Value"][0])
    if not uid or len(uid) > 64 or set(uid) - set("0123456789.") or not uid[0].isdigit():
        raise DataError("the DICOMweb server gave a UID that is none")
    return uid
