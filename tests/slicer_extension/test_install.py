"""What is installed, by whom, and only after asking."""

import sys
from types import ModuleType

import pytest


@pytest.fixture
def install(application):
    from VirtualCArmLib import install

    return install


@pytest.fixture
def wanted(tmp_path):
    """A requirements file with a package there is, and one there is not."""
    path = tmp_path / "requirements.txt"
    path.write_text("# why\nnumpy>=1.0\nno-such-package>=2.0\nnumpy>=99.0\n", encoding="utf-8")
    return path


@pytest.fixture
def without_torch(install, monkeypatch):
    there = install._there
    monkeypatch.setattr(install, "_there", lambda one: "torch" not in one and there(one))


def test_what_is_missing_or_too_old_is_named(install, wanted):
    assert install.missing(wanted) == ["no-such-package>=2.0", "numpy>=99.0"]
    assert "no-such-package" in install.words(wanted)


def test_nothing_is_said_where_all_is_there(install, tmp_path):
    (tmp_path / "r.txt").write_text("numpy\n", encoding="utf-8")
    assert install.words(tmp_path / "r.txt") == ""


def test_an_old_slicer_is_told_so(install, wanted, monkeypatch):
    monkeypatch.setattr(install.sys, "version_info", (3, 9, 10))
    assert "needs Slicer 5.10" in install.words(wanted) and "3.9" in install.words(wanted)


def test_torch_comes_through_the_extension_for_it_alone(install, wanted, without_torch, monkeypatch):
    from VirtualCArmLib.errors import CArmError

    with pytest.raises(CArmError, match="PyTorch extension"):
        install.install(wanted)
    asked, extension = [], ModuleType("PyTorchUtils")

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation, torchVersionRequirement):
            asked.append((askConfirmation, torchVersionRequirement))

    extension.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    with pytest.raises(CArmError, match="was not installed"):
        install.install(wanted)
    assert asked == [(True, ">=2.8")]


def test_where_there_is_no_pip_ensure_the_user_is_asked_first(install, wanted, scene, monkeypatch):
    import slicer
    from slicer_standin.application import answers, asked
    from VirtualCArmLib.errors import CArmError

    got = []
    monkeypatch.setattr(slicer.util, "pip_install", got.append)
    answers.append(False)
    with pytest.raises(CArmError, match="Nothing was installed"):
        install.install(wanted)
    assert not got and "no-such-package" in asked[-1][1]
    assert not install.install(wanted)
    assert got == [["no-such-package>=2.0", "numpy>=99.0"]]


def test_where_there_is_pip_ensure_it_asks_by_itself_and_is_given_requirements_not_texts(
    install, wanted, scene, monkeypatch
):
    from packaging.requirements import Requirement
    from VirtualCArmLib.errors import CArmError

    packaging, got = ModuleType("slicer.packaging"), []

    def load_requirements(path):
        lines = path.read_text(encoding="utf-8").splitlines()
        return [Requirement(line) for line in lines if not line.startswith("#")]

    def pip_ensure(requirements, requester):
        got.append(([one.name for one in requirements], requester))

    packaging.pip_ensure, packaging.load_requirements = pip_ensure, load_requirements
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    install.install(wanted)
    assert got == [(["numpy", "no-such-package", "numpy"], "VirtualCArm")]

    def refuse(requirements, requester):
        raise RuntimeError("declined")

    packaging.pip_ensure = refuse
    with pytest.raises(CArmError, match="Nothing was installed"):
        install.install(wanted)


def test_only_our_own_wheel_is_taken(install, scene, monkeypatch, tmp_path):
    import slicer
    from VirtualCArmLib.errors import CArmError

    got = []
    monkeypatch.setattr(slicer.util, "pip_install", got.append)
    with pytest.raises(CArmError, match="no wheel of skiagraph"):
        install.install_wheel(tmp_path / "other-1.0-py3-none-any.whl")
    install.install_wheel(tmp_path / "skiagraph-0.1.0-py3-none-any.whl")
    assert got == [["--no-deps", "--upgrade", str(tmp_path / "skiagraph-0.1.0-py3-none-any.whl")]]
