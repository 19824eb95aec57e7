"""Presets that hosts saved for our LV2 plug-ins, read back."""

import numpy as np
import pytest

from afx_live import presets
from afx_live.chain.numbered import parameters, path_values, playing_order
from afx_live.presets.lv2_writer import uri, write_lv2
from afx_live.presets.turtle_reader import TurtleError, read_turtle

# As lilv's lilv_state_save writes it, which jalv, Ardour and Carla use: numbers are float32.
SAVED = """\
@prefix atom: <http://lv2plug.in/ns/ext/atom#> .
@prefix lv2: <http://lv2plug.in/ns/lv2core#> .
@prefix pset: <http://lv2plug.in/ns/ext/presets#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix state: <http://lv2plug.in/ns/ext/state#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .

<>
	a pset:Preset ;
	lv2:appliesTo <{plugin}> ;
	rdfs:label "Mine, \\"warm\\"" ;
	lv2:port [
{ports}
	] ;
	state:state [
		<urn:afx-live:order> "{order}"
	] .
"""


def as_a_host(settings, amount, spell):
    values = path_values(settings, amount)
    ports = {q.symbol: values[q.path] for q in parameters() if q.path != "bypass"} | {"enabled": 1.0}
    rows = (f'\t\tlv2:symbol "{s}" ;\n\t\tpset:value {spell(np.float32(v))}' for s, v in ports.items())
    ports = "\n\t] , [\n".join(rows)
    return SAVED.format(plugin=uri("lo-fi"), ports=ports, order=" ".join(playing_order(settings)))


def plainly(v):
    return f"{v:.9g}" if "." in f"{v:.9g}" else f"{v:.1f}"


@pytest.mark.parametrize("spell", [plainly, lambda v: f'"{v:.9g}"^^xsd:float'])
@pytest.mark.parametrize("name", ["lo-fi", "hall", "clean-guitar"])
def test_what_a_host_saved_is_a_preset(tmp_path, name, spell):
    settings = presets.load(name).settings
    bundle = tmp_path / "mine.preset.lv2"
    bundle.mkdir()
    manifest = "@prefix pset: <http://lv2plug.in/ns/ext/presets#> .\n<mine.ttl> a pset:Preset .\n"
    (bundle / "manifest.ttl").write_text(manifest)
    (bundle / "mine.ttl").write_text(as_a_host(settings, 0.3, spell))
    for place in (bundle, bundle / "mine.ttl"):
        back = presets.load(place)
        assert back.name == "Mine   warm"
        assert back.amount == 0.3
        want = path_values(settings, 0.3)
        for path, value in path_values(back.settings, back.amount).items():
            assert value == pytest.approx(want[path], rel=1e-6), path
        on = [[s.effect for s in x.effects if s.enabled] for x in (back.settings, settings)]
        assert on[0] == on[1]


def test_what_we_write_we_read(tmp_path, monkeypatch):
    settings = presets.load("vocal-plate").settings
    write_lv2("My sound", settings, 0.5, tmp_path / "mine.lv2", "lo-fi")
    monkeypatch.chdir(tmp_path)
    back = presets.load("mine.lv2")
    assert (back.name, back.amount) == ("My sound", 0.5)
    assert path_values(back.settings) == pytest.approx(path_values(settings), rel=1e-6)


def test_what_is_none_of_ours_is_refused_with_a_reason(tmp_path):
    def refused(text, why):
        (tmp_path / "x.ttl").write_text(text)
        with pytest.raises(presets.PresetError, match=why):
            presets.load(tmp_path / "x.ttl")

    refused("", "holds 0 presets")
    other = SAVED.format(plugin="urn:other", ports='\t\tlv2:symbol "gain" ;\n\t\tpset:value 1.0', order="")
    refused(other, "holds 0 presets")
    refused("not turtle at all", "x.ttl")
    refused('<a> <b> "unclosed', "no Turtle")
    refused("<a> <b> unknown:c .", "prefix")
    refused("<a> <b> [ " * 2000, "too deep")
    hall, warm = (as_a_host(presets.load(name).settings, 1.0, plainly) for name in ("hall", "warm"))
    two = hall + warm.replace("<>", "<b>")
    refused(two, "holds 2 presets")
    with pytest.raises(presets.PresetError, match="no such file"):
        presets.load(tmp_path / "none.lv2")


def test_any_bytes_are_read_or_refused():
    rng, text = np.random.default_rng(0), as_a_host(presets.load("hall").settings, 1.0, plainly)
    for _ in range(300):
        letters = list(text)
        for at in rng.integers(0, len(letters), 3):
            letters[at] = chr(rng.integers(1, 256))
        try:
            read_turtle("".join(letters[: rng.integers(1, len(letters))]))
        except TurtleError:
            pass
