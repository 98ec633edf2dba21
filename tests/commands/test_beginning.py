"""How the command begins: as a module too, and Ctrl-C while it is being loaded is no traceback."""

import subprocess
import sys
from types import ModuleType

from beamtrain.__main__ import main


class Interrupted(ModuleType):
    """A module while whose loading Ctrl-C is pressed."""

    def __getattr__(self, name: str) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_while_it_is_loaded_ends_it(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "beamtrain.cli", Interrupted("beamtrain.cli"))
    assert main() == 130
    assert capfd.readouterr() == ("", "")


def test_it_runs_as_a_module():
    ran = subprocess.run([sys.executable, "-m", "beamtrain", "add"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and "Missing argument" in ran.stderr and ran.stderr.count("\n") == 1
