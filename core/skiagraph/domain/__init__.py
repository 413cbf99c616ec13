"""How training pictures are made to look like those of any hospital: domain randomisation."""

from skiagraph.domain.appearance import (
    DISPLAYED,
    PLAIN,
    REGULAR,
    REGULAR_NMI,
    REGULAR_PREPRINT,
    STRONG,
    STRONG_NMI,
    STRONG_PREPRINT,
    Appearance,
)
from skiagraph.domain.batch import Batch

__all__ = [
    "DISPLAYED",
    "PLAIN",
    "REGULAR",
    "REGULAR_NMI",
    "REGULAR_PREPRINT",
    "STRONG",
    "STRONG_NMI",
    "STRONG_PREPRINT",
    "Appearance",
    "Batch",
]
