"""How pictures look in training: the published domain randomisations as values, and ours.

Every appearance takes transmission 0...1, as sets of samples hold it, and ends in pictures of mean 0 and deviation 1
in which bone is bright, unless it inverts them. The two published ones follow Gao et al. (SyntheX): the preprint
(arXiv 2206.06127, section 5.1) and the code released with the article (Nature Machine Intelligence 2023) differ, so
each is a value. Where a text names an effect without its numbers, those of the released code stand in, or those of
imgaug's documentation from which its list of effects was taken; they are marked so below.
"""

from dataclasses import dataclass

import torch

from skiagraph.domain.batch import Batch
from skiagraph.domain.damage import (
    AverageBlur,
    AveragePooled,
    Boxes,
    Coarse,
    Compressed,
    Dropout,
    Embossed,
    GaussianBlur,
    GaussianNoise,
    Impulses,
    MaxPooled,
    MedianPooled,
    MinPooled,
    Multiplied,
    Pepper,
    Salt,
    Scattered,
    Sharpened,
    Speckled,
)
from skiagraph.domain.effects import Effect, Some, maybe, one_of
from skiagraph.domain.exposure import Belongings, GridLines, Quanta, Saturated, Shading, Veil
from skiagraph.domain.grey import (
    Equalised,
    Film,
    Gamma,
    Inverted,
    LinearContrast,
    LocalContrast,
    Logarithm,
    LogContrast,
    Negative,
    Normalised,
    SigmoidContrast,
)
from skiagraph.domain.marks import Letterboxed, Marks, Oblong, Shutter
from skiagraph.domain.warps import Affine, Bent, Crop, Mirrored, PiecewiseAffine


@dataclass(frozen=True)
class Appearance:
    """Effects in order; `maybe` and `one_of` give them their probabilities."""

    effects: tuple[Effect, ...]

    def __call__(self, batch: Batch, rng: torch.Generator) -> Batch:
        """The batch as a network sees it: pictures, points, visibility and masks changed together."""
        everyone = torch.ones(len(batch), dtype=torch.bool)
        for effect in self.effects:
            batch = effect.on(batch, everyone, rng)
        return batch


PLAIN = Appearance((Logarithm(), Normalised()))
"""Nothing at random: for validation beside the published appearances."""

ORDINARY = Film(
    compression=(0.6, 0.6), width=(0.08, 0.08), bottom=(0.02, 0.02), top=(0.003, 0.003), slack=(0.2, 0.2),
    gamma=(1.1, 1.1), steepness=(1.0, 1.0), middle=(0.5, 0.5),
)  # fmt: skip
"""An ordinary radiograph."""

DISPLAYED = Appearance((ORDINARY, Normalised()))
"""Nothing at random, as an ordinary radiograph: for validation beside ours."""

_BASIC = (GaussianNoise((0.005, 0.1)), Gamma((0.7, 1.3)), Crop(0.9))

_ELEVEN = (
    Inverted(),
    one_of(Impulses((0.1, 0.1)), Pepper((0.1, 0.1)), Salt((0.1, 0.1))),
    Affine(),  # the code's numbers
    one_of(LinearContrast(), LogContrast(), SigmoidContrast()),  # the code's numbers
    one_of(GaussianBlur((3.0, 3.0)), AverageBlur((2, 3, 4, 5, 6, 7))),
    Boxes(),  # the numbers of a function in the code that nothing there calls
    one_of(Dropout((0.01, 0.1)), Dropout((0.01, 0.1), grain=(0.02, 0.05))),
    one_of(Sharpened((0.0, 1.0), (0.75, 1.5)), Embossed((0.0, 1.0), (0.0, 2.0))),  # lightness, strength: imgaug's
    one_of(*(pooled((2, 3, 4)) for pooled in (AveragePooled, MaxPooled, MinPooled, MedianPooled))),
    one_of(Multiplied((0.5, 1.5)), Speckled((0.5, 1.5))),
    PiecewiseAffine((0.01, 0.05)),  # imgaug's numbers
)

REGULAR_PREPRINT = Appearance((Logarithm(), *_BASIC, Normalised()))
"""Noise, gamma and a crop of 90 %, all three every time; the crop is enlarged to the picture's size again."""

STRONG_PREPRINT = Appearance((Logarithm(), *_BASIC, Some(_ELEVEN, least=0, most=2), Normalised()))
"""The regular ones, then up to two of eleven; whether none, one or two, is as likely."""

_CODE_BASIC = maybe(0.5, maybe(0.5, GaussianNoise((0.005, 0.01))), maybe(0.5, Gamma((0.7, 1.3))))

_CODE_STRONG = maybe(
    0.5,
    maybe(0.5, Inverted()),
    maybe(0.5, one_of(Impulses((0.1, 0.1)), Impulses((0.1, 0.1)), Impulses((0.05, 0.05), grain=(0.01, 0.1)))),
    maybe(0.5, one_of(LinearContrast((0.5, 2.0)), Gamma((0.5, 2.0)), LogContrast((0.6, 1.4)),
                      SigmoidContrast((3.0, 10.0), (0.4, 0.6)))),
    maybe(0.5, Affine(turn=5.0, shift=20 / 360, shear=2.0, scale=(0.9, 1.1))),
    Some(
        (
            maybe(0.5, one_of(GaussianBlur((0.0, 3.0)), AverageBlur((4, 5, 6)))),
            maybe(0.5, one_of(Dropout((0.1, 0.15)), Dropout((0.1, 0.15), grain=(0.1, 0.15)))),
            maybe(0.5, one_of(Sharpened((0.5, 1.0), (1.0, 1.5)), Embossed((0.5, 1.0), (1.0, 2.0)))),
            maybe(0.5, one_of(*(pooled((2, 4)) for pooled in (AveragePooled, MaxPooled, MinPooled, MedianPooled)))),
            maybe(0.5, one_of(Multiplied((0.5, 1.5)), Speckled((0.5, 1.5)))),
            maybe(0.5, Scattered((0.5, 3.5), sigma=0.25)),
        ),
        least=1,
        most=2,
    ),
)  # fmt: skip

REGULAR_NMI = Appearance((Logarithm(), _CODE_BASIC, Normalised()))
"""As the released code does: half of the pictures are left alone, the others get each effect with 0.5; no crop."""

STRONG_NMI = Appearance((Logarithm(), _CODE_BASIC, _CODE_STRONG, Normalised()))
"""As the released code does. Its impulse and its salt-and-pepper noise are one on grey pictures, and its elastic
transformation frays a picture without moving what it shows. Its linear contrast, uncut, is undone by its z-score; ours
is cut."""

_FILM = one_of(
    Film(),
    Film(blank=(0.0, 0.2)),
    Film(compression=(0.5, 1.0), bottom=(0.02, 0.12), top=(0.0, 0.02), slack=(0.0, 0.15), blank=(0.8, 1.0)),
    Film(power=(0.0, 0.5), compression=(0.0, 0.4)),
)
"""An ordinary radiograph twice as often as one windowed for bone, or as one between logarithmic and linear."""

REGULAR = Appearance(
    (
        maybe(0.5, Quanta((1e4, 1e6))),
        maybe(0.3, Veil((0.0, 0.5))),
        maybe(0.3, Shading((0.0, 0.3), (0.0, 0.2))),
        _FILM,
        maybe(0.5, Mirrored()),
        maybe(0.8, Affine(turn=10.0, shift=0.06, shear=2.0, scale=(0.85, 1.15), beyond="zeros")),
        maybe(0.3, Gamma((0.7, 1.4))),
        maybe(0.2, GaussianBlur((0.3, 1.2))),
        maybe(0.3, Compressed((50.0, 95.0))),
        Normalised(),
        maybe(0.5, Oblong()),
    )
)
"""What any radiograph may be: another dose, another display, a patient a little elsewhere."""

STRONG = Appearance(
    (
        maybe(0.35, Belongings()),
        maybe(0.4, Veil()),
        maybe(0.4, Shading()),
        maybe(0.15, GridLines()),
        maybe(0.6, Quanta()),
        maybe(0.25, Saturated()),
        _FILM,
        maybe(0.35, one_of(LocalContrast(), LocalContrast((0.3, 1.0), (0.05, 0.15)), Equalised())),
        maybe(0.5, Mirrored()),
        maybe(0.85, Affine(turn=15.0, shift=0.08, shear=4.0, scale=(0.85, 1.35), beyond="zeros")),
        maybe(0.25, Bent()),
        maybe(0.3, Shutter()),
        maybe(0.15, Letterboxed()),
        maybe(0.35, Marks()),
        maybe(0.15, Negative()),
        maybe(0.3, Gamma((0.6, 1.6))),
        maybe(0.35, one_of(GaussianBlur((0.3, 2.0)), Coarse(), AverageBlur((2, 3)))),
        maybe(0.25, one_of(GaussianNoise((0.005, 0.05)), Speckled((0.8, 1.2)), Impulses((0.001, 0.02)))),
        maybe(0.1, one_of(Boxes(3), Dropout((0.02, 0.08), grain=(0.02, 0.08)))),
        maybe(0.4, Compressed()),
        Normalised(),
        maybe(0.5, Oblong()),
    )
)
"""What radiographs of trauma rooms, old films and mobile C-arms are too, so that theirs lie well inside."""

TAKEN = Appearance(
    (
        maybe(0.3, one_of(LocalContrast(), Equalised())),
        maybe(0.5, Mirrored()),
        maybe(0.85, Affine(turn=15.0, shift=0.08, shear=4.0, scale=(0.85, 1.35), beyond="zeros")),
        maybe(0.25, Bent()),
        maybe(0.3, Shutter()),
        maybe(0.25, Marks()),
        maybe(0.15, Negative()),
        maybe(0.4, Gamma((0.5, 2.0))),
        maybe(0.35, one_of(GaussianBlur((0.3, 2.0)), Coarse(), AverageBlur((2, 3)))),
        maybe(0.25, one_of(GaussianNoise((0.005, 0.05)), Speckled((0.8, 1.2)), Impulses((0.001, 0.02)))),
        maybe(0.2, one_of(Boxes(3), Dropout((0.02, 0.08), grain=(0.02, 0.08)))),
        maybe(0.3, Compressed()),
        Normalised(),
    )
)
"""What else a radiograph that is there might have been: the part of `STRONG` that comes after the film."""
