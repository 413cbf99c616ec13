"""Patient: which CT, with which landmarks and structures; or one made here."""

import slicer
from slicer.i18n import tr as _

from ..errors import CArmError
from ..parameters import ANYBODY
from .panel import Follower, Panel, exists


class PatientPanel(Panel):
    """The first tab."""

    def connect(self):
        """Selectors, and what fills them."""
        self._points = Follower(self.widget, self.widget.later)
        self.role(self.ui.labelsSelector, "labels")
        self.on(self.ui.loadLandmarksButton, self._load)
        self.on(self.ui.placeLandmarksButton, self._place)
        self.on(self.ui.findLandmarksButton, self._find)
        self.on(self.ui.sampleButton, self._sample)
        self.on(self.ui.generateButton, self._generate)

    def follow(self):
        """Landmarks that are placed change what is missing."""
        node, kind = self.widget.parameters.landmarks, slicer.vtkMRMLMarkupsNode
        placed = (kind.PointPositionDefinedEvent, kind.PointPositionUndefinedEvent, kind.PointRemovedEvent)
        self._points.follow([(node, event) for event in (*placed, kind.PointEndInteractionEvent)])

    def refresh(self):
        """What is missing, in words."""
        self.show_role(self.ui.labelsSelector, "labels")
        p, busy = self.widget.parameters, self.widget.busy()
        ct, labels = p.ct, self.ui.labelsSelector.currentNode()
        self.ui.tiltSpin.enabled, self.ui.sizeSpin.enabled = p.tiltAsked, p.sizeAsked
        allow = self.widget.allow
        allow(self.ui.sampleButton, busy)
        allow(self.ui.generateButton, busy)
        no_ct = "" if ct else _("Pick a CT first.")
        allow(self.ui.loadLandmarksButton, no_ct)
        allow(self.ui.placeLandmarksButton, no_ct)
        no_labels = "" if labels else _("Landmarks are found on labelled hip bones: pick their structures first.")
        allow(self.ui.findLandmarksButton, busy or no_ct or no_labels)
        if ct is None:
            notes = [_("Pick a CT, generate one, or start with the sample body.")]
        else:
            notes = self.logic.check_patient() or [_("All is there: standard views are planned from the pelvis.")]
        self.ui.patientNotes.text = "\n".join(f"• {note}" for note in notes)

    def let_go(self):
        """The landmarks go with the scene."""
        self._points.follow([])

    def _load(self):
        path = self.widget.file_to_open(_("Landmarks"), _("Points (*.mrk.json *.fcsv *.json)"))
        if path is not None:
            self.logic.import_landmarks(path)

    def _place(self):
        node = self.logic.landmarks_to_place()
        missing = node.GetNumberOfControlPoints() - node.GetNumberOfDefinedControlPoints()
        if not missing:
            self.widget.say(_("All landmarks are placed; drag those that are wrong."))
            return
        self.widget.place(node, persistent=True)
        self.widget.say(
            _("Click {count} landmarks in the views, in the order of the list in Markups; right-click to stop.").format(
                count=missing
            )
        )

    def _find(self):
        folder = self.widget.folder_for_work()
        with slicer.util.WaitCursor():
            request = self.logic.landmarks_request(folder)
        ct = self.widget.parameters.ct
        self.widget.run([request], lambda files: self._found(request["output"], ct))

    def _found(self, path, ct):
        if not exists(ct):
            raise CArmError(_("The CT was deleted while its landmarks were looked for; pick one, and find them anew."))
        self.logic.import_found(path, ct)
        if ct is self.widget.parameters.ct:
            self.widget.say(_("Landmarks were found; hover over one in Markups to read how far off it may be."))
        else:
            words = _("Landmarks of {name} were found; they wait in the list, for another CT is picked by now.")
            self.widget.say(words.format(name=ct.GetName()))

    def _sample(self):
        folder = self.widget.folder_for_work()
        request = self.logic.phantom_request(folder, spacing=2.0)
        self.widget.run(
            [request], lambda files: self._arrived(folder, _("The sample body is a phantom, not a patient."))
        )

    def _generate(self):
        p = self.widget.parameters
        output = self.widget.folder_for_work() / "generated.nii.gz"
        request = self.logic.generate_request(
            output,
            seed=p.bodySeed,
            sex=None if p.sex == ANYBODY else p.sex,
            tilt=p.tilt if p.tiltAsked else None,
            size=p.size if p.sizeAsked else None,
        )
        self.widget.run([request], lambda files: self._arrived(output, _("The generated CT is nobody's.")))

    def _arrived(self, path, words):
        self.show(self.logic.import_body(path))
        self.widget.say(words + " " + _("Not for clinical use."))

    def show(self, nodes):
        """A body that was made: its CT in the slices, its bones in 3D, its landmarks without their long names."""
        self.widget.views.show_ct(nodes.ct)
        if nodes.labels is not None and nodes.labels.IsA("vtkMRMLSegmentationNode"):
            nodes.labels.CreateClosedSurfaceRepresentation()
            nodes.labels.GetDisplayNode().SetPreferredDisplayRepresentationName3D("Closed surface")
        if nodes.landmarks is not None and nodes.landmarks.GetDisplayNode() is not None:
            nodes.landmarks.GetDisplayNode().SetPointLabelsVisibility(False)
