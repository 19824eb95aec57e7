"""Files for REAPER and Open Stage Control: as those programs' sources read them, and true to the table."""

import json
import re
from pathlib import Path

import pytest

from afx_live.realtime.cli.main import main, parser
from afx_live.realtime.osc.addresses import NUMBERED, SUBSCRIBED, TOKEN, addresses, numbered
from afx_live.realtime.osc.layouts import METERS_DB, open_stage_control, reaper_effect, reaper_osc

WIDGETS = {"root", "tab", "panel", "fader", "button", "text", "input"}
COMMON = {"type", "id", "expand", "height", "html", "address", "typeTags", "decimals", "bypass", "interaction"}
OWN = {
    "root": {"onCreate", "tabs"},
    "tab": {"layout", "widgets"},
    "panel": {"layout", "widgets"},
    "fader": {"range", "design", "horizontal", "doubleTap", "logScale"},
    "button": {"label", "mode", "on", "off", "decoupled", "wrap"},
    "text": set(),
    "input": {"align"},
}


def widgets(widget):
    yield widget
    for child in (*widget.get("widgets", ()), *widget.get("tabs", ())):
        yield from widgets(child)


@pytest.fixture(scope="module")
def session():
    return json.loads(open_stage_control())


@pytest.fixture(scope="module")
def shown(session):
    return {w["address"]: w for w in widgets(session["content"]) if "address" in w}


def test_the_session_is_one_that_open_stage_control_opens(session):
    assert (session["type"], session["content"]["type"]) == ("session", "root")
    found = list(widgets(session["content"]))
    for widget in found:
        assert widget["type"] in WIDGETS
        assert {*widget} <= COMMON | OWN[widget["type"]], widget["id"]
    ids = [w["id"] for w in found]
    assert len(set(ids)) == len(ids)  # widgets of one id are one widget there


def test_everything_that_can_be_set_or_read_is_on_a_page(shown):
    wanted = {a.path for a in addresses() if a.param is None and a.kind != "request"}
    assert set(shown) == wanted


def test_faders_have_the_ranges_of_their_parameters(shown):
    for a in addresses():
        if a.kind == "float" and a.param is None:
            assert shown[a.path]["type"] == "fader"
            assert shown[a.path]["range"] == {"min": a.low, "max": a.high}
    assert shown["/afx/equaliser/peak_1_hz"]["logScale"]
    assert not shown["/afx/equaliser/peak_1_db"]["logScale"]


def test_there_is_a_page_for_each_effect_with_its_bypass(session):
    pages = {page["id"]: page for page in session["content"]["tabs"]}
    for path in {a.path for a in addresses() if a.path.endswith("/bypass") and a.path.count("/") == 3}:
        page = pages[path.split("/")[2]]
        assert path in {w.get("address") for w in widgets(page)}


def test_meters_only_listen_and_the_page_subscribes(session, shown):
    for a in addresses():
        if a.kind == "meter":
            assert shown[a.path]["bypass"]
    assert shown["/afx/meter/in_lufs"]["range"] == dict(zip(("min", "max"), METERS_DB, strict=True))
    assert "send('/afx/subscribe')" in session["content"]["onCreate"]


def test_a_button_of_a_trigger_comes_back_and_panic_waits_for_the_answer(shown):
    assert shown["/afx/undo"]["mode"] == "tap"
    assert (shown["/afx/panic"]["mode"], shown["/afx/panic"]["decoupled"]) == ("toggle", True)


# --- REAPER -----------------------------------------------------------------------------------------


def patterns(text):
    """Read a pattern file by the rules of REAPER's own parser: action, then patterns of a flag and an address."""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        action, *values = line.split()
        assert action in {
            "DEVICE_TRACK_COUNT",
            "DEVICE_FX_COUNT",
            "DEVICE_FX_PARAM_COUNT",
            "REAPER_TRACK_FOLLOWS",
            "DEVICE_TRACK_FOLLOWS",
            "DEVICE_TRACK_BANK_FOLLOWS",
            "DEVICE_FX_FOLLOWS",
            "FX_PARAM_VALUE",
        }
        for value in values:
            kept = value.isdigit() if action.endswith("_COUNT") else value in ("REAPER", "DEVICE")
            assert kept or re.fullmatch(r"[nfbtrsi]/\S+", value), line
            assert len(line) < 512
        found[action] = values
    return found


def test_reapers_patterns_say_the_numbered_addresses():
    found = patterns(reaper_osc())
    (pattern,) = found["FX_PARAM_VALUE"]
    assert pattern.count("@") == 3  # fewer would follow whatever track is selected, and send zeros for it
    assert int(found["DEVICE_TRACK_COUNT"][0]) > 1  # REAPER counts tracks below it
    for k, address in enumerate(numbered(), 1):
        sent = pattern[1:].replace("@", "1", 1).replace("@", "1", 1).replace("@", str(k))
        assert sent == address.path == f"{NUMBERED}{k}"
    assert int(found["DEVICE_FX_PARAM_COUNT"][0]) == len(numbered())


def test_nothing_that_mutes_or_jumps_has_a_number():
    assert {a.kind for a in numbered()} == {"float", "bool"}
    assert "/afx/panic" not in {a.target for a in numbered()}
    settable = {a.path for a in addresses() if a.kind in ("float", "bool") and a.param is None} - {"/afx/panic"}
    assert {a.target for a in numbered()} == settable


def test_every_number_has_a_slider():
    lines = reaper_effect().splitlines()
    assert lines[0].startswith("desc:")
    sliders = [re.fullmatch(r"slider(\d+):([\d.]+)<0,1,(0\.0001|1\{off,on\})>([\w ().-]+)", line) for line in lines]
    found = [m for m in sliders if m]
    assert [int(m[1]) for m in found] == list(range(1, len(numbered()) + 1))
    for match, address in zip(found, numbered(), strict=True):
        assert 0.0 <= float(match[2]) <= 1.0
        assert ("{" in match[3]) == (address.kind == "bool")


# --- the page on control ----------------------------------------------------------------------------


def test_the_page_names_addresses_and_flags_that_exist():
    page = (Path(__file__).resolve().parents[3] / "docs" / "osc.md").read_text(encoding="utf-8")
    known = {a.path for a in (*addresses(), *numbered())} | {TOKEN, SUBSCRIBED}
    found = set(re.findall(r"/afx/[a-z0-9_/]+(?![a-z0-9_/<…])", page.replace("/afx/reaper/1/1/`", "")))
    assert {p for p in found if not p.endswith("/")} - known == set()
    assert len(found) > 20
    flags = {flag for action in _actions(parser()) for flag in action.option_strings}
    assert {*re.findall(r"(?<![\w-])--(?!load|send|osc-port)[a-z][a-z-]+", page)} <= flags


def _actions(command):
    for action in command._actions:
        yield action
        for choice in (action.choices or {}).values() if isinstance(action.choices, dict) else ():
            yield from _actions(choice)


# --- the command ------------------------------------------------------------------------------------


def run(*words):
    with pytest.raises(SystemExit) as ended:
        main(["osc", *words])
    return ended.value.code


def test_files_are_written_and_not_replaced(tmp_path, capsys):
    names = {"--reaper": reaper_osc, "--reaper-effect": reaper_effect, "--open-stage-control": open_stage_control}
    words = [word for flag in names for word in (flag, str(tmp_path / flag.strip("-")))]
    assert run(*words) == 0
    for flag, make in names.items():
        assert (tmp_path / flag.strip("-")).read_text(encoding="utf-8") == make()
    assert run("--reaper", str(tmp_path / "reaper")) == 2
    assert "--force" in capsys.readouterr().err
    assert run("--reaper", str(tmp_path / "reaper"), "--force") == 0
    assert run("--reaper", str(tmp_path / "no" / "such" / "folder")) == 2


@pytest.mark.parametrize("place", ["studio", "off", "9000", "studio:0", "studio:70000"])
def test_a_place_for_feedback_is_a_host_and_a_port(place, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--preset", "warm", "--osc-feedback", place])
    assert ended.value.code == 2
    assert "HOST:PORT" in capsys.readouterr().err


def test_without_a_name_it_is_printed(capsys):
    assert run("--reaper") == 0
    assert capsys.readouterr().out == reaper_osc()
    assert run("--reaper", "--open-stage-control") == 2
