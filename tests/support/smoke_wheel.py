"""Whether an installed wheel works: the native library is in it, loads, and sees what the reference sees.

python tests/support/smoke_wheel.py
"""

import torch

import skiagraph
from skiagraph.carm import GENERIC
from skiagraph.drr import native, reference, sliced
from skiagraph.drr.render import REALISTIC
from skiagraph.geometry import Grid
from skiagraph.volume import Volume

grid = Grid.centred((80, 80, 80), (2.5, 2.5, 2.5))
distance = (grid.centers() - grid.center).norm(dim=-1)
body = Volume(torch.where(distance < 40, 900.0, torch.where(distance < 90, 40.0, -1000.0)).float(), grid)
view = GENERIC.with_pixels(256).aimed_at(grid.center, 20.0, 10.0)

phantom = REALISTIC.decompose(body)
found = {one.__name__: one.integrate(phantom.density, grid, view) for one in (reference, native, sliced)}
expected = found.pop("skiagraph.drr.reference")
for name, columns in found.items():
    apart = float((columns - expected).norm() / expected.norm())
    print(f"{name}: {apart:.1e} from the reference")
    assert apart < 1e-2
picture = REALISTIC(phantom, view, torch.Generator().manual_seed(0))
assert picture.shape == (256, 256) and bool(picture.isfinite().all())
print(f"{skiagraph.__file__}, {sliced.level()} of {', '.join(sliced.levels())}")
