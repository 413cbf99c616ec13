"""Virtual C-arm: X-rays of a CT from where a C-arm stands, as they would look, with all that is known of them."""

from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin
from VirtualCArmLib import install, layouts
from VirtualCArmLib.logic import CArmLogic
from VirtualCArmLib.widget import CArmWidget


class VirtualCArm(ScriptedLoadableModule):
    """What the module says of itself."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Virtual C-arm")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Simulation")]
        parent.dependencies = []
        parent.contributors = ["The Skiagraph developers"]
        parent.helpText = _(
            "A C-arm about a patient's CT: aim it by standard views, angles or hand, see the X-ray at once, plan views "
            "inside the device's limits, take X-rays with landmarks and structures, and read real ones. "
            "For research and teaching; not for clinical use.<br>"
            "How the X-rays are made, how right and how fast they are: "
            '<a href="https://github.com/skiagraph/SlicerVirtualCArm">documentation and tutorial</a>. '
            "If you use it, please cite Skiagraph (CITATION.cff) and the papers whose methods it implements: "
            "Unberath et al. 2018 (DeepDRR), Gao et al. 2022 (SyntheX), Grupp et al. 2020 (DeepFluoro, xReg)."
        )
        parent.acknowledgementText = _(
            "The pelvis atlas follows Han et al. 2019 (CC BY 4.0). Methods follow SyntheX (Gao et al. 2022), DeepDRR "
            "(Unberath et al. 2018), xReg (Grupp et al. 2020) and Pelphix (Killeen et al. 2023), re-implemented from "
            "their papers."
        )
        # A saved scene may ask for one of the module's layouts before anybody has seen the module.
        slicer.app.connect("startupCompleted()", layouts.register)


class VirtualCArmWidget(CArmWidget, ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        """Build it."""
        ScriptedLoadableModuleWidget.setup(self)
        self.set_up(VirtualCArmLogic())

    def enter(self):
        """The user comes to the module."""
        self.come()

    def exit(self):
        """The user goes to another module."""
        self.leave()

    def cleanup(self):
        """The application or a reload takes the panel down."""
        self.take_down()


class VirtualCArmLogic(ScriptedLoadableModuleLogic, CArmLogic):
    """All the module can do, without its panel: `VirtualCArmLogic().shoot()`."""

    def __init__(self, scene=None):
        ScriptedLoadableModuleLogic.__init__(self)
        CArmLogic.__init__(self, scene)
        install.provide_core()


class VirtualCArmTest(ScriptedLoadableModuleTest):
    """Runs in Slicer itself, and on slicer-core: a body, views of it, and X-rays of them."""

    def setUp(self):
        """An empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """All of it."""
        self.setUp()
        self.test_a_body_is_aimed_at_and_shot()

    def test_a_body_is_aimed_at_and_shot(self):
        """From nothing to an X-ray whose landmarks are known, and back to where it was taken from."""
        wanting = install.words(Path(__file__).parent / "Resources" / "requirements.txt")
        if wanting:  # a Slicer that was just built has neither torch nor the others, and a test installs nothing
            self.delayDisplay(wanting)
            return
        logic = VirtualCArmLogic()
        nodes = logic.sample_body(spacing=4.0)
        self.assertEqual(nodes.landmarks.GetNumberOfDefinedControlPoints(), 14)
        self.assertTrue(logic.aim(view="inlet").in_reach)
        there = logic.reading()
        self.assertIsNotNone(logic.fluoro(128).image.GetImageData())
        from VirtualCArmLib.shots import ShotSettings

        shot = logic.shoot(ShotSettings(columns=128))
        self.assertEqual(shot.GetImageData().GetDimensions()[0], 128)
        self.assertEqual(len(logic.shots()), 1)
        logic.aim(primary=0.0, secondary=0.0)
        back = logic.jump_to_shot(shot)
        self.assertAlmostEqual(back.secondary, there.secondary, places=3)
        logic.add_planned()
        self.assertEqual(len(logic.planned()), 1)
        self.delayDisplay(_("The Virtual C-arm works."))
