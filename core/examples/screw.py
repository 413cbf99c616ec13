"""A titanium screw in the left femoral neck: it keeps its own fine grid and displaces the bone it is put into."""

import torch

import skiagraph as sg
from skiagraph.bodies import Person, build
from skiagraph.bodies.tools import screw
from skiagraph.drr.project import project_labels
from skiagraph.drr.scene import Scene
from skiagraph.physics.materials import material

body = build(Person(), spacing=4.0)
head = body.landmarks["left_femoral_head"]
tool = screw(tip=head.tolist(), head=(head + torch.tensor([75.0, 10.0, -45.0], dtype=torch.float64)).tolist())

bare = Scene.of(body, sg.REALISTIC.decompose)
fixed = bare.with_tool(tool.occupancy, tool.grid, material(tool.material_name), "screw")
view = sg.GENERIC.with_pixels(256).aimed_at(head)
rng = torch.Generator()
before, after = (sg.REALISTIC(scene.phantoms, view, rng.manual_seed(0)) for scene in (bare, fixed))
shadow = project_labels(fixed.labels, view, ["screw"]).masks[0]
share = float(after[shadow].mean() / before[shadow].mean())
print(f"in its shadow of {int(shadow.sum())} pixels the screw lets {share:.0%} of the rays through")
