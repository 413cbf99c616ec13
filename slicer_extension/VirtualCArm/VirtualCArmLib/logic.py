"""What the Virtual C-arm can do, for the panel and for scripts: `VirtualCArmLogic().shoot()`.

All that is known is in the scene, so it is saved with it. Nothing is observed and nothing happens by itself: whoever
wants the X-ray to follow the C-arm observes `carm_node()` and asks for `fluoro()`.
"""

import time
from dataclasses import replace

import slicer

from . import aim, annotate, live, patient, plan, radiographs, shots
from .convert import grid_of, ras
from .errors import CArmError, need_core
from .home import held, hold, home
from .sight import Sight


class CArmLogic:
    """The module's logic on one scene; the application's if none is given."""

    def __init__(self, scene=None):
        self.scene = slicer.mrmlScene if scene is None else scene
        self._sight = Sight()

    def home(self):
        """The node that holds the roles: the module's parameter node."""
        return home(self.scene)

    def forget(self):
        """Let go of what was made of the patient, as when the scene is closed."""
        self._sight.forget()

    # 1. Patient

    def set_patient(self, ct, landmarks=None, labels=None):
        """Make a CT, points and anatomy the patient. Raises CArmError for nodes that cannot be."""
        return patient.set_patient(self.scene, ct, landmarks, labels)

    def patient_nodes(self):
        """The patient's nodes. Raises CArmError if there is no CT."""
        return patient.patient_of(self.scene)

    def check_patient(self):
        """What is missing or looks wrong, a sentence each."""
        return patient.warnings_of(self.scene)

    def landmark_names(self):
        """The names of the hip task's landmarks."""
        need_core()
        from skiagraph.anatomy import LANDMARK_NAMES

        return LANDMARK_NAMES

    def phantom_request(self, folder, spacing=1.5, seed=None, sex=None, tilt=None):
        """The request for a body the project makes itself; `import_body(folder)` afterwards."""
        return patient.phantom_request(folder, spacing, seed, sex, tilt)

    def generate_request(self, output, **traits):
        """The request for a CT out of the generator; `import_body(output)` afterwards."""
        return patient.generate_request(output, **traits)

    def landmarks_request(self, folder):
        """Write the patient to a folder; the request to find landmarks. `import_found` afterwards."""
        files = self.write_patient(folder)
        return {"task": "find-landmarks", "volume": str(folder), "output": str(files[0].parent / "found.mrk.json")}

    def run(self, request, report=None):
        """Do what a request asks for, in this process; the files written."""
        return patient.run(request, report)

    def import_body(self, path):
        """A phantom's folder or a generated CT as nodes, made the patient."""
        return patient.import_body(self.scene, path)

    def import_landmarks(self, path):
        """Points from a file, made the patient's."""
        self.patient_nodes()
        return patient.import_landmarks(self.scene, path)

    def import_found(self, path, ct):
        """Points that a request found on a CT, which is the patient's or was; made his if it is."""
        return patient.import_found(self.scene, path, ct)

    def landmarks_to_place(self):
        """The patient's points, those that are missing placed nowhere, for the user to place; what is placed stays."""
        return patient.landmarks_to_place(self.scene, self.landmark_names())

    def sample_body(self, spacing=2.0, seed=None):
        """The phantom, made here and now: a few seconds."""
        return patient.sample_body(self.scene, spacing, seed)

    def find_landmarks(self):
        """The 14 landmarks on the patient's labelled hip bones, here and now: some seconds."""
        need_core()
        nodes = self.patient_nodes()
        return patient.find_landmarks(self.scene, self._sight.labels(nodes.ct, nodes.labels))

    def write_patient(self, folder):
        """The patient's files, in a folder that every command of the core takes for a CT."""
        need_core()
        nodes = self.patient_nodes()
        landmarks, labels = self._sight.landmarks(nodes.landmarks), self._sight.labels(nodes.ct, nodes.labels)
        return patient.write_patient(folder, self._sight.volume(nodes.ct), labels, landmarks)

    # 2. Aim

    def devices(self):
        """The C-arms there are."""
        return aim.devices()

    def carm_node(self):
        """The C-arm's transform. Drag it, and `reading` reads its angles back."""
        return aim.carm_node(self.scene)

    def set_device(self, name, side="right"):
        """Make another device of the C-arm, on one side of the patient, where it stands."""
        aim.set_device(self.carm_node(), name, side)
        return self.reading()

    def reading(self):
        """What the C-arm's display says, as it stands."""
        return aim.reading(self.carm_node())

    def standard_views(self, frame="pelvis"):
        """The standard views of this patient by this device, in the frame of his `pelvis` or of the `table`."""
        return aim.choices(self.carm_node(), *self._known(), frame)

    def aim(self, view=None, primary=None, secondary=None, roll=None, isocenter=None, frame="pelvis"):
        """Stand for a standard view of the patient, or at two angles; what is None stays. RAS millimetres, degrees.

        The device's limits do not stop it: the reading says whether the angles are in reach. Raises GeometryError for a
        view there is not, or angles DICOM does not know.
        """
        node = self.carm_node()
        if view is not None:
            aim.to_standard(node, view, *self._known(), frame)
        if any(one is not None for one in (primary, secondary, roll, isocenter)):
            now = self.reading()
            aim.turn(
                node,
                now.primary if primary is None else primary,
                now.secondary if secondary is None else secondary,
                now.roll if roll is None else roll,
                now.isocenter if isocenter is None else isocenter,
            )
        return self.reading()

    def misses(self):
        """Whether the beam passes by the CT altogether."""
        need_core()
        return shots.misses(grid_of(self.patient_nodes().ct), aim.view_of(self.carm_node(), 64))

    def shift(self, right=0.0, anterior=0.0, superior=0.0):
        """Move the C-arm, as one moves the table the other way: RAS millimetres."""
        x, y, z = self.reading().isocenter
        return self.aim(isocenter=(x + right, y + anterior, z + superior))

    def tidy_carm(self):
        """Take scale and shear out of a C-arm that was dragged so."""
        aim.tidy(self.carm_node())
        return self.reading()

    def draw_carm(self, visible=True):
        """The C-arm, its beam, its panel and its principal ray as models that follow it; or hide them."""
        need_core()
        return aim.draw(self.scene, visible)

    # Live

    def fluoro(self, columns=256):
        """A fast X-ray with landmarks and corridor, for the hand in motion."""
        return self._seen("naive", columns, outlined=False)

    def still(self, columns=768):
        """A full X-ray with outlines too, for the hand at rest."""
        return self._seen("realistic", columns, outlined=True)

    def _seen(self, fidelity, columns, outlined):
        need_core()
        from skiagraph.drr.render import FIDELITIES
        from skiagraph.io.patient import generator

        began = time.perf_counter()
        nodes, renderer = self.patient_nodes(), FIDELITIES[fidelity]
        phantom = self._sight.phantom(nodes.ct, fidelity, renderer.decompose)
        view = aim.view_of(self.carm_node(), columns)
        transmission = renderer(phantom, view, generator(0))
        landmarks = self._sight.landmarks(nodes.landmarks)
        labels = self._sight.labels(nodes.ct, nodes.labels) if outlined else None
        return live.show(self.scene, view, transmission, landmarks, held(self.scene, "corridor"), labels, began)

    def place_slice(self, slice_node, image):
        """Turn a slice view so that it shows a picture as on a screen, not mirrored."""
        live.place_slice(slice_node, image)

    def clear_live(self):
        """Take the live picture and its overlays out of the scene."""
        live.clear(self.scene)

    def set_corridor(self, line, radius=live.USUAL_RADIUS):
        """The line whose corridor is drawn over the X-rays and looked along, and its radius (mm); None for none."""
        if line is not None:
            line.SetAttribute(live.RADIUS, f"{radius:g}")
        hold(self.scene, "corridor", line)

    # 3. Plan

    def see_along(self, line=None):
        """The best view down a line, the corridor's if none is given. Raises CArmError unless both ends are placed."""
        return plan.along(self.scene, line or held(self.scene, "corridor"), self._landmarks())

    def see_facing(self, plane=None):
        """A plane's S-curve, and the views edge on and face on; the target's plane if none is given."""
        need_core()
        return plan.s_curve(self.scene, plane or held(self.scene, "target"), self._landmarks())

    def see_field(self, suggestion, names):
        """A suggestion shifted so that the named landmarks are in the picture, if the panel is large enough."""
        return plan.kept_in_field(self.scene, suggestion, self._landmarks(), tuple(names))

    def take(self, suggestion):
        """Stand where a suggestion says."""
        return self.aim(
            primary=suggestion.primary, secondary=suggestion.secondary, roll=0.0, isocenter=suggestion.isocenter
        )

    def plan_table(self):
        """The table of the planned views."""
        return plan.table_of(self.scene)

    def planned(self):
        """The planned views, in their order."""
        return plan.rows_of(self.scene)

    def add_planned(self, name=None):
        """Plan the view the C-arm has; the number of its row."""
        rows, now = self.planned(), self.reading()
        rows.append(plan.of_reading(plan.unlike(name or now.words, rows), now))
        plan.write(self.scene, rows)
        return len(rows) - 1

    def rename_planned(self, number, name):
        """Give a planned view another name; a number is put to one that others have. Raises CArmError for none."""
        rows = self.planned()
        row, others = plan.chosen(rows, number), rows[:number] + rows[number + 1 :]
        if not name.strip():
            raise CArmError(f"a planned view needs a name; {row.name!r} keeps its own")
        rows[number] = replace(row, name=plan.unlike(name.strip(), others))
        plan.write(self.scene, rows)

    def remove_planned(self, number):
        """Take a view out of the plan."""
        rows = self.planned()
        plan.chosen(rows, number)
        del rows[number]
        plan.write(self.scene, rows)

    def move_planned(self, number, to):
        """Put a planned view before or after others."""
        rows = self.planned()
        row = plan.chosen(rows, number)
        plan.chosen(rows, to)
        del rows[number]
        rows.insert(to, row)
        plan.write(self.scene, rows)

    def jump(self, number):
        """Stand as a planned view says, with its device."""
        row = plan.chosen(self.planned(), number)
        self.set_device(row.device, row.side)
        return self.aim(primary=row.primary, secondary=row.secondary, roll=row.roll, isocenter=row.isocenter)

    def export_plan(self, path):
        """The plan as .json, .csv, or a folder of records for `skiagraph make-samples --poses`; the files."""
        need_core()
        return plan.export(path, self.planned(), self._landmarks())

    def import_plan(self, path):
        """Add the views of a .json plan to this one; how many."""
        rows, more = self.planned(), plan.read(path)
        for row in more:
            rows.append(replace(row, name=plan.unlike(row.name, rows)))
        plan.write(self.scene, rows)
        return len(more)

    # 4. Shoot

    def set_tool(self, node):
        """The line or model that shots with a tool have in them; None for none."""
        hold(self.scene, "tool", node)

    def shoot(self, settings=None, name=None, **changes):
        """Take an X-ray as the C-arm stands and keep it in the scene; its picture's node.

        `changes` are settings by name, such as `kvp=70`. Raises GeometryError for a view out of the device's reach.
        """
        need_core()
        settings = shots.changed(settings or shots.ShotSettings(), changes)
        nodes, renderer, now = self.patient_nodes(), shots.renderer_of(settings), self.reading()
        carm = aim.device_of(self.carm_node(), settings.columns)
        carm.check(now.primary, now.secondary)
        phantom = self._sight.phantom(nodes.ct, settings.fidelity, renderer.decompose)
        labels, landmarks = self._sight.labels(nodes.ct, nodes.labels), self._sight.landmarks(nodes.landmarks)
        view = aim.view_of(self.carm_node(), settings.columns)
        shot = shots.take(self.scene, carm, view, phantom, labels, landmarks, settings, renderer)
        return shots.show(self.scene, shot, name or f"X-ray {now.words}", nodes.ct)

    def shots(self):
        """The shots of the scene, in the order they were taken."""
        return shots.rows_of(self.scene)

    def shot_table(self):
        """The shots as a table node, made anew."""
        return shots.table_of(self.scene)

    def delete_shot(self, node):
        """Take a shot and all that hangs from it out of the scene."""
        shots.delete(self.scene, node)

    def export_shot(self, node, path):
        """A shot as .dcm, .png or a measurement, with record, landmarks and masks beside it; the files."""
        need_core()
        return shots.export(node, path)

    def beside_shot(self, path):
        """What `export_shot` to a path would take the place of, besides the picture itself."""
        need_core()
        return shots.beside(path)

    def jump_to_shot(self, node):
        """Stand where a shot was taken."""
        need_core()
        record = shots.record_of(node)
        self.set_device(str(record.device), self.reading().side)
        aim.stand(self.carm_node(), record.view)
        return self.reading()

    def batch_requests(self, folder, settings=None):
        """Write the patient to a new folder in this one; one request to `skiagraph run` for each planned view.

        Do them in a process of their own, and bring each `output` in by `import_shot`.
        """
        need_core()
        home = shots.fresh(folder)
        made = shots.requests(home / "patient", home, self.planned(), settings or shots.ShotSettings())
        self.write_patient(home / "patient")
        return made

    def import_shot(self, path, name=None):
        """An X-ray that a request took, as a shot of the scene."""
        need_core()
        return shots.import_shot(self.scene, path, name)

    # 5. Real X-rays

    def load_xray(self, path, bone="bright"):
        """An X-ray from a file, on its panel if the file tells its geometry; `bone` as it looks, if it is not told.

        Where a DICOM file tells angles and distances, the isocentre is taken to be in the middle of the patient.
        """
        need_core()
        if held(self.scene, patient.CT) is None:
            return radiographs.load(self.scene, path, bone)
        _, center = self._known()
        return radiographs.load(self.scene, path, bone, center.tolist())

    def set_xray_geometry(
        self,
        node,
        device="generic",
        side="right",
        primary=0.0,
        secondary=0.0,
        roll=0.0,
        isocenter=None,
        source_to_panel=None,
        pixel_spacing=None,
        tube_in_front=False,
    ):
        """Say how an X-ray was taken: it is put on the panel of such a view, its landmarks along.

        `isocenter` is in RAS, the middle of the patient if not given; `pixel_spacing` in millimetres on the panel.
        `tube_in_front` for a radiograph, whose panel is behind the patient. Raises CArmError without a pixel spacing.
        """
        need_core()
        from skiagraph.carm import device as known

        if isocenter is None:
            nodes = self.patient_nodes()
            isocenter = ras(self._sight.center(nodes.ct, nodes.labels).numpy())
        carm = replace(known(device), side=side)
        return radiographs.place(
            node, carm, primary, secondary, roll, isocenter, source_to_panel, pixel_spacing, tube_in_front
        )

    def set_bone(self, node, bone):
        """Say whether an X-ray shows bone bright or dark."""
        radiographs.set_bone(node, bone)

    def bone_of(self, node):
        """How an X-ray shows bone, bright or dark; None for a volume that is no X-ray of ours."""
        return node.GetAttribute(radiographs.BONE)

    def detect(self, node, reach=None):
        """Find the landmarks on an X-ray, here and now: points on its picture, coloured by confidence."""
        need_core()
        return radiographs.detect(self.scene, node, reach)

    def keypoints_of(self, node):
        """The points on an X-ray, None if there are none."""
        return radiographs.keypoints_of(node)

    def export_keypoints(self, node, path):
        """The points on an X-ray as .mrk.json, .fcsv or .json; the file."""
        return radiographs.export_keypoints(node, path)

    def register(self, node, report=None):
        """Find where the CT lies in an X-ray of known geometry, here and now: from landmarks, then the pictures."""
        need_core()
        from skiagraph.drr.render import HEURISTIC, NAIVE

        nodes = self.patient_nodes()
        phantom = self._sight.phantom(nodes.ct, "heuristic", HEURISTIC.decompose)
        naive = self._sight.phantom(nodes.ct, "naive", NAIVE.decompose)
        return radiographs.register(self.scene, node, phantom, naive, self._sight.landmarks(nodes.landmarks), report)

    def apply_registration(self, node):
        """Put the patient where an X-ray saw him: under the motion that was found."""
        nodes = self.patient_nodes()
        radiographs.apply(self.scene, node, (nodes.ct, nodes.landmarks, nodes.labels))

    def delete_xray(self, node):
        """Take an X-ray and its points out of the scene."""
        radiographs.delete(self.scene, node)

    def annotator(self, address, token, authority=None):
        """Sign in at an annotation server; `authority` is a PEM file if the system does not know who signed for it."""
        return annotate.connect(self.scene, address, token, authority)

    def _known(self):
        """Landmarks and middle of the patient."""
        need_core()
        nodes = self.patient_nodes()
        return self._sight.landmarks(nodes.landmarks), self._sight.center(nodes.ct, nodes.labels)

    def _landmarks(self):
        """What is known of the patient's points; none without any."""
        need_core()
        return self._sight.landmarks(held(self.scene, patient.LANDMARKS))
