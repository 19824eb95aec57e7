"""With --json every error is one object on standard output: code, kind, path, message."""

import json

import pytest

from afx_live.realtime.cli.errors import as_data
from support.sounds import VOICE


@pytest.mark.parametrize(
    ("words", "code", "kind", "path", "text"),
    [
        (["devices"], 3, "device", None, "E301"),
        (["--preset", "warm"], 3, "device", None, "E301"),
        (["render", "missing.wav", "--preset", "warm", "-o", "o.wav"], 4, "file", "missing.wav", "is not there"),
        (["render", VOICE, "-r", "./no such.wav", "-o", "o.wav"], 4, "file", "./no such.wav", "is not there"),
        (["render", VOICE, "--preset", "no-such", "-o", "o.wav"], 5, "preset", None, "no-such"),
        (["render", VOICE, "--preset", "here.json", "-o", "o.wav"], 5, "preset", "here.json", "here.json"),
        (["render", VOICE, "--preset", "warm", "-o", "here.json"], 2, "usage", "here.json", "exists"),
        (["render", VOICE], 2, "usage", None, "give -o OUT"),
        (["no-such-command"], 2, "usage", None, "invalid choice"),
        (["--preset", "warm", "--amount", "50%"], 2, "usage", None, "50%"),
        (["preset", "show", "no-such"], 5, "preset", None, "no-such"),
        (["osc", "--reaper", "here.json"], 2, "usage", "here.json", "exists"),
    ],
)
def test_an_error_is_one_object(afx, place, words, code, kind, path, text):
    (place / "here.json").write_text("{}")
    found, out, err = afx(*words, "--json")
    data = json.loads(out)
    assert (found, data["code"], data["kind"]) == (code, code, kind)
    assert set(data) == {"code", "kind", "path", "message"}
    assert text in data["message"]
    assert (data["path"] is None) if path is None else data["path"].endswith(path.removeprefix("./"))
    assert data["message"].splitlines()[0] in err
    assert "\n" not in data["message"]


def test_without_json_nothing_is_on_standard_output(afx):
    assert afx("render", "missing.wav", "--preset", "warm", "-o", "o.wav")[1] == ""


def test_the_path_is_the_longest_word_that_the_message_names():
    text = "take/1.wav is not there"
    assert as_data(4, text, ["render", ["take/1.wav", "1.wav"], None, 3])["path"] == "take/1.wav"
    assert as_data(130, "interrupted")["kind"] == "interrupted"
    assert as_data(4, "caf\N{REPLACEMENT CHARACTER}.wav is silent", ["caf\udce9.wav"])["path"] == "caf\udce9.wav"


def test_a_file_that_begins_with_a_dash_is_told_how_to_be_named(afx, place):
    (place / "-dash.wav").write_bytes(b"sound")
    for words in (["render", "-dash.wav", "--preset", "warm", "-o", "o.wav"], ["-r", "-dash.wav"]):
        code, _, err = afx(*words)
        assert code == 2
        assert "-dash.wav is a file: write ./-dash.wav" in err
