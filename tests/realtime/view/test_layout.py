"""What the status view draws, at any size."""

import math
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from afx_live import effects
from afx_live.chain import ChainSettings, EffectSettings
from afx_live.matching.explain import EffectReport, Explanation
from afx_live.realtime.view.panels import Meters
from afx_live.realtime.view.status_reader import FRAME_S, MeterBallistics
from support.view import NARROW, ROW, WIDE, Sitting, lines, meters, publishing

SIZES = [
    NARROW,
    WIDE,
    (130, 24),
    (129, 24),
    (100, 40),
    (79, 23),
    (60, 16),
    (40, 12),
    (20, 5),
    (3, 2),
    (1, 1),
    (500, 100),
]


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_all_that_is_known_is_shown(shown, size):
    text = "\n".join(lines(shown[0], shown[1], size))
    for part in (
        "● playing",
        "amount 100%",
        "like amp.wav",
        "-12.0 peak",
        "-23.4 LUFS",
        " -6.0 peak",
        "-17.9 LUFS",
        "target -18.0 LUFS",
        "compressor ",
        " -5.2 dB",
        "safety ",
        " -3.3 dB",
        "+18 ",
        "-18 ",
        "100 ",
        "10k",
        "Hz",
        "⠤⠤ equaliser",
        "input",
        "● equaliser",
        "● compressor",
        "● distortion",
        "● reverb",
        "+0.0 dB in, +8.0 dB out",
        "equaliser 12%   compressor 34%   distortion 56%   reverb 78%",
        "4 % at most 31 %",
        "xruns 0 + 0",
        "late 0",
        "muted 0",
        "limited 17",
        "10.3 ms = 1.3 algorithmic + 2.7 block + 6.3 device",
        "Scarlett 2i2 (ALSA)",
        "48000 Hz",
        "block 128",
        "osc 127.0.0.1:9123",
        "space A/B",
        "m mute",
        "u undo",
        "f freeze",
        "q end",
        "Chain      one",
    ):
        assert part in text, part
    assert ("threshold -28.0 dB   ratio 2.50" in text) == (size == WIDE)  # where there is room, every parameter
    assert ("peak 2 +4.5 dB @ 850 Hz Q 0.70" in text) == (size == WIDE)
    assert ("-28 dB 2.5:1" in text) == (size == NARROW)


def fits(drawn, size):
    assert len(drawn) == size[1]
    assert {cell_len(line) for line in drawn} == {size[0]}


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_kept(shown, size):
    fits(lines(shown[0], shown[1], size), size)


def test_what_is_too_long_is_cut_with_dots(shown):
    known = {**shown[0], "reference": 300 * "x", "messages": [[0, 300 * "y"]]}
    for size in (NARROW, WIDE):
        drawn = lines(known, shown[1], size)
        assert drawn[0].endswith("x… ")
        assert any(line.endswith("y… ") for line in drawn)


def test_the_plot_stands_in_its_own_column(shown):
    drawn = lines(shown[0], shown[1], WIDE)
    assert (
        len({line.index(label) for line in drawn for label in ("spectrum", "+18 ", "-18 ") if label in line[95:]}) == 1
    )


def test_a_small_terminal_keeps_what_matters(shown):
    text = "\n".join(lines(shown[0], shown[1], (60, 6)))
    for part in ("playing", "in  ", "out  ", "load", "space"):
        assert part in text


@pytest.mark.parametrize("value", [math.nan, -math.inf, math.inf, 0.0, -1.0, 1e300, None])
@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_no_meter_breaks_it(shown, value, size):
    row = {
        name: value if isinstance(v, float) else [value] * 10 if v is ROW["gain_reduction_db"] else v
        for name, v in ROW.items()
    }
    fits(lines(shown[0], MeterBallistics().follow(row), size), size)
    fits(lines(shown[0], Meters(), size), size)


def test_silence_shows_dashes_and_empty_bars(shown):
    silent = meters(in_peak=0.0, in_rms=0.0, in_lufs=-math.inf)
    line = next(line for line in lines(shown[0], silent, NARROW) if line.startswith(" in "))
    assert re.fullmatch(r" in +─+ +– peak +– LUFS *", line)


@pytest.mark.parametrize("size", [NARROW, WIDE, (50, 14)])
def test_any_chain_can_be_drawn(player, size):
    every = tuple(EffectSettings(name) for name in reversed(effects.names()))
    off = tuple(replace(step, enabled=False) for step in every)
    for steps in ((), every, off, every[:1], off[2:4]):
        drawn = lines(publishing(player, Sitting(ChainSettings(steps))).state(), meters(), size)
        fits(drawn, size)
        text = "\n".join(drawn)
        for step in steps if size != (50, 14) else ():
            assert f"{'●' if step.enabled else '○'} {step.effect}" in text
        assert "decided" not in text  # nothing was heard yet


def test_bars_grow_with_the_level(shown):
    def length(db):
        gain = 10 ** (db / 20)
        line = next(s for s in lines(shown[0], meters(in_rms=gain, in_peak=gain), NARROW) if s.startswith(" in "))
        return line.count("━") + line.count("┃")

    found = [length(db) for db in (-70, -60, -48, -36, -24, -12, -6, 0)]
    assert found[:2] == [0, 0]
    assert found[1:] == sorted(set(found[1:]))
    assert found[-1] == 36


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("muted", True, "MUTED"),
        ("bypass", True, "DRY"),
        ("frozen", True, "FROZEN"),
        ("error", "no such clip", "no such clip"),
    ],
)
def test_what_is_unusual_is_said(shown, key, value, word):
    known, m = shown
    assert word not in "\n".join(lines(known, m, NARROW))
    assert word in "\n".join(lines({**known, key: value}, m, NARROW))


def test_a_device_that_is_away_is_said(shown):
    known, m = shown
    away = {**known, "stream": {**known["stream"], "running": False}}
    assert "waiting for Scarlett 2i2" in lines(away, m, NARROW)[0]
    assert "no audio callback for 3 s" in "\n".join(lines(known, replace(m, still_s=3.2), NARROW))


def test_drop_outs_get_advice_until_they_have_passed(shown):
    known, _ = shown
    pointers = MeterBallistics()
    quiet, bad = meters().fast, meters(late=3, output_underflows=1).fast
    assert "advice" not in "\n".join(lines(known, pointers.follow(quiet), NARROW))
    for _ in range(3):
        m = pointers.follow(bad)
    text = "\n".join(lines(known, m, NARROW))
    assert "4 drop-outs: --blocksize 256 is safer" in text
    assert "xruns 0 + 1" in text
    for i in range(round(31.0 / FRAME_S)):
        m = pointers.follow({**bad, "callbacks": i})
    text = "\n".join(lines(known, m, NARROW))
    assert "advice" not in text
    assert "4 drop-outs so far, none in the last half minute" in text
    assert "(no real-time priority)" in "\n".join(
        lines({**known, "stream": {**known["stream"], "priority": 0}}, replace(m, recent=1), NARROW)
    )


def test_a_peak_is_held_and_then_falls():
    pointers = MeterBallistics()
    hold = [pointers.follow({"in_peak": 1.0 if i == 0 else 0.001}).hold_db[0] for i in range(40)]
    assert hold[0] == hold[14] == 0.0
    assert hold[24] == pytest.approx(-20.0, abs=2.1)
    assert hold[-1] < -40.0


def test_numbers_change_less_often_than_bars():
    pointers = MeterBallistics()
    seen = [pointers.follow({"in_lufs": float(i)}) for i in range(12)]
    assert [m.fast["in_lufs"] for m in seen] == list(range(12))
    assert len({m.slow["in_lufs"] for m in seen}) == 4


def test_names_cannot_steer_the_terminal(shown):
    known, m = shown
    evil = "a\x1b[2J\x07\u009b31m\u202eb"
    known = {**known, "reference": evil, "error": evil, "messages": [[0, evil]], "osc": evil}
    for size in (NARROW, WIDE):
        drawn = lines(known, m, size)
        fits(drawn, size)
        assert all(line.isprintable() for line in drawn)


def test_wide_characters_keep_the_columns(shown):
    known, m = shown
    known = {**known, "reference": "日本語のギター.wav" * 9, "messages": [[0, "日本語" * 60]]}
    for size in (NARROW, WIDE, (41, 13)):
        fits(lines(known, m, size), size)


def test_what_stays_undecided_is_shown_and_how_much_was_heard(shown):
    hint = "--boldness 0.9 or --only compressor adds it"
    report = EffectReport("compressor", 0.33, 0.0, "", "undecided", 0.9, hint)
    told = Explanation((report,), True, 12.0, True).data()
    text = "\n".join(lines({**shown[0], "explanation": told}, shown[1], WIDE))
    for part in (f"compressor undecided (33%): {hint}", "heard 12 s, enough", "no effect is certain enough"):
        assert part in text, part
