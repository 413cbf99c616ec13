"""Stands in for pydicom-seg, which MONAI Label imports at start and which does not know pydicom 3 (MONAILabel#1841).

Only DICOM SEG of label maps would need it, and that is not served here.
"""


class _Absent:
    def __init__(self, *arguments: object, **options: object) -> None:
        raise NotImplementedError("DICOM SEG through pydicom-seg is not available with pydicom 3")


class SegmentReader(_Absent):
    """Not available."""


class MultiClassWriter(_Absent):
    """Not available."""
