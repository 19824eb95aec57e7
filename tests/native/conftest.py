import pytest

from afx_live.native import build
from afx_live.native.library import open_library


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The library as a file; its kit is kept in the user's cache folder."""
    path = tmp_path_factory.mktemp("native") / "libafx.so"
    build.make_library(path)
    return path


@pytest.fixture(scope="session")
def library(built):
    return open_library(built)
