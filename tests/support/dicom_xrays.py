"""DICOM X-rays of the kinds a hospital has."""

from pathlib import Path

import pydicom
import torch
from pydicom.uid import generate_uid

from skiagraph.carm import GENERIC
from skiagraph.geometry import float64
from skiagraph.io.dicom_xray import write_xray_dicom

CLASSES = {
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "XA": "1.2.840.10008.5.1.4.1.1.12.1",
    "RF": "1.2.840.10008.5.1.4.1.1.12.2",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
}
SIZE = (160, 200)


def dicom_xray(path: Path, modality: str, seed: int = 0, frames: int = 1) -> str:
    """One that looks a little like a pelvis from afar; its SOP Instance UID."""
    v, u = torch.meshgrid(torch.linspace(-1, 1, SIZE[0]), torch.linspace(-1, 1, SIZE[1]), indexing="ij")
    bone = sum(torch.exp(-((u - x) ** 2 + (v - y) ** 2) / 0.02) for x, y in ((-0.5, 0.3), (0.5, 0.3), (0, -0.2)))
    noise = 0.05 * torch.rand(*SIZE, generator=torch.Generator().manual_seed(seed))
    view = GENERIC.with_pixels(SIZE[1]).aimed_at(float64([0.0, 0.0, 0.0])).cropped(slice(0, SIZE[0]), slice(0, SIZE[1]))
    write_xray_dicom(path, (0.2 + 0.5 * bone + noise).clamp(0, 1), view)
    dataset = pydicom.dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CLASSES[modality]
    dataset.Modality, dataset.PatientName, dataset.PatientID = modality, "Doe^Jane", f"77{seed}"
    for word in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, word, generate_uid(entropy_srcs=[word, modality, str(seed), str(frames)]))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if frames > 1:
        dataset.NumberOfFrames, dataset.PixelData = frames, dataset.PixelData * frames
    dataset.save_as(path)
    return str(dataset.SOPInstanceUID)
