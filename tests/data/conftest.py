import os
from pathlib import Path

import pytest


@pytest.fixture
def real():
    """Gives the path of a real data file, or skips the test where the file is not at hand."""

    def path(relative):
        folder = os.environ.get("PPGEN_DATA")
        if not folder:
            pytest.skip(f"needs {relative}: set PPGEN_DATA to the folder that holds it")
        found = Path(folder).expanduser() / relative
        if not found.is_file():
            pytest.skip(f"needs {relative}, which is not in PPGEN_DATA={folder}")
        return found

    return path
