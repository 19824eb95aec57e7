"""What JSON cannot say becomes null, and nothing else changes."""

import json
import math

from afx_live.files.json_checks import finite


def test_only_what_is_not_finite_changes():
    data = {"a": [1, -math.inf, (math.nan, "nan")], "b": {"c": True, "d": None, "e": 0.1}}
    assert finite(data) == {"a": [1, None, [None, "nan"]], "b": {"c": True, "d": None, "e": 0.1}}
    assert json.loads(json.dumps(finite(data), allow_nan=False)) == finite(data)
