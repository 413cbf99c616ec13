"""The flat panel: scatter, quanta, blur, readout and saturation, each of which can be off."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from skiagraph.errors import DataError
from skiagraph.physics import native, noise
from skiagraph.physics.blur import blur
from skiagraph.physics.materials import Material, material
from skiagraph.physics.scatter import Scatter
from skiagraph.physics.transmit import Exposure

LATITUDE = 100.0
"""How many times more or fewer photons than by default a tube gives on demand. Ours."""


@dataclass(frozen=True)
class Panel:
    """The flat-panel hardware. Every default is off; `Panel.flat()` is a panel with everything on."""

    photons: float = math.inf
    """Quanta that fall on a pixel in the open field; infinite for no quantum noise."""
    aim: float = 0.0
    """Quanta a pixel that automatic exposure control wants in the middle of the image; 0 for a fixed exposure."""
    readout: float = 0.0
    """Electronic noise: photons, root mean square, a pixel."""
    blur: float = 0.0
    """Millimetres: sigma of the Gaussian the scintillator spreads light with; it correlates the quanta's noise."""
    scintillator: Material | None = None
    """What absorbs the photons; None absorbs them all."""
    thickness: float = 0.45
    """Millimetres of solid scintillator; 0.6 mm of needles that fill three quarters of the room, by default."""
    scatter: Scatter | None = None
    full_well: float = math.inf
    """Where the panel saturates, in open fields of `photons`; sooner in transmission if exposure control gives more."""
    bits: int | None = None
    """Of the converter, over 0 to `full_well`; None does not round."""

    def __post_init__(self) -> None:
        for name in ("photons", "thickness", "full_well"):
            if not getattr(self, name) > 0:
                raise DataError(f"a panel with {name} {getattr(self, name):g}; give more than nothing")
        for name in ("aim", "readout", "blur"):
            if not 0 <= getattr(self, name) < math.inf:
                raise DataError(f"a panel with {name} {getattr(self, name):g}; give zero or more")
        if self.readout and math.isinf(self.photons):
            raise DataError(f"readout noise of {self.readout:g} photons, but photons without end; give photons a pixel")
        if self.bits is not None and not (1 <= self.bits <= 16 and math.isfinite(self.full_well)):
            raise DataError(f"{self.bits} bits over {self.full_well:g} open fields; give 1 to 16 bits and a full well")

    @classmethod
    def ideal(cls) -> "Panel":
        """Absorbs every photon and adds nothing: the signal itself."""
        return cls()

    @classmethod
    def flat(cls) -> "Panel":
        """A typical panel of caesium iodide on amorphous silicon, behind a grid, in one shot. The figures are ours.

        100 000 photons (as many as Killeen 2023 takes) on 0.3 mm pixels are about 35 µGy in the open field and half
        of one behind a pelvis from the front, some 1000 photons. That is what exposure control then aims at in other
        views. A fluoroscopy frame has a fifth of it or less. A Gaussian of 0.15 mm has an MTF of 0.64 at 1 lp/mm; the
        open field is where the panel saturates.
        """
        return cls(
            photons=100_000.0,
            aim=1000.0,
            readout=2.0,
            blur=0.15,
            scintillator=material("caesium_iodide"),
            scatter=Scatter(),
            full_well=1.0,
            bits=16,
        )

    @property
    def noisy(self) -> bool:
        """Whether an exposure needs random numbers."""
        return math.isfinite(self.photons)

    def response(self, energies: Float64[Tensor, "e"]) -> Float64[Tensor, "e"]:
        """keV the panel absorbs of a photon in the mean: E η(E), η = 1 - exp(-μ t), fluorescence not escaping."""
        if self.scintillator is None:
            return energies
        depth = self.scintillator.attenuation(energies) * self.scintillator.density * self.thickness / 10
        return energies * -torch.expm1(-depth)

    def expose(
        self, exposure: Exposure, pixel_spacing: float | tuple[float, float], rng: torch.Generator | None = None
    ) -> Float[Tensor, "*n v u"]:
        """The image, in open fields: scatter, then quanta, blur, readout, saturation and converter.

        Noise belongs to pixels: an image is the same whatever device it was computed on, but for rounding.
        Raises DataError if there is noise to draw and no `rng`.
        """
        rows, columns = pixel_spacing if isinstance(pixel_spacing, tuple) else (pixel_spacing, pixel_spacing)
        if self.scatter is not None and self.scatter.amplitude:
            exposure = self.scatter(exposure, (rows, columns))
        image = exposure.signal
        compute = native if native.serves(image, exposure.variance) else noise
        photons, most, key = self.exposed(image), torch.full_like(image[..., :1, :1], self.full_well), 0
        if self.noisy:
            if rng is None:
                raise DataError("this panel is noisy; give rng=torch.Generator(), or a Panel without photons")
            key, most = noise.draw_key(rng), most * (self.photons / photons)
            image = compute.quanta(image, exposure.variance, photons, key)
        if self.blur:
            image = blur(image, self.blur / rows, self.blur / columns)
        steps = 0 if self.bits is None else 2**self.bits - 1
        return compute.read(image, self.readout / photons, most, steps / most, key)

    def exposed(self, signal: Float[Tensor, "*n v u"]) -> Float[Tensor, "*n 1 1"]:
        """Photons a pixel in the open field for each image: `photons`, or what exposure control makes of them.

        The control sees the middle of the image, a quarter of its area, and stays within `LATITUDE`.
        """
        rows, columns = signal.shape[-2:]
        middle = signal[..., rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
        level = middle.flatten(-2).median(dim=-1).values[..., None, None]
        fixed = torch.full_like(level, self.photons)
        if not self.aim or not self.noisy:
            return fixed
        wanted = self.aim / level.clamp(min=torch.finfo(level.dtype).tiny)
        return wanted.clamp(self.photons / LATITUDE, self.photons * LATITUDE)
