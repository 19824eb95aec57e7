"""`afx-live` in this process."""

import pytest

from afx_live.realtime.cli import main


def exit_code(capsys, *words):
    """Run a command; returns its exit code, and fails if it met a bug."""
    with pytest.raises(SystemExit) as stop:
        main.main([str(word) for word in words])
    assert "a bug" not in capsys.readouterr().err
    return stop.value.code
