"""`afx-live render` between other programs: standard input and output, raw samples, and memory that does not grow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.jack import need
from support.programs import PROGRAM
from support.sounds import GUITAR, GUITAR_REFERENCE, VOICE, noise

RATE = 48000


def piped(words, given, place, **more):
    """Run `afx-live render` with bytes on standard input; gives exit code, output as bytes, and what it said."""
    done = subprocess.run([*PROGRAM, "render", *map(str, words)], input=given, capture_output=True, cwd=place, **more)
    return done.returncode, done.stdout, done.stderr.decode()


def shell(line, place):
    """Run a pipeline; `afx` stands for afx-live."""
    afx = " ".join(f"'{word}'" for word in PROGRAM)
    words = ["bash", "-c", f'set -o pipefail; afx() {{ {afx} "$@"; }}; {line}']
    done = subprocess.run(words, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def rendered(afx, place):
    """A sound, and what `render` makes of it as files."""
    x, rate = soundfile.read(VOICE)
    soundfile.write("in.wav", x[: 4 * rate], rate, "PCM_16")
    assert afx("render", "in.wav", "--preset", "telephone", "-o", "whole.wav", "--subtype", "float")[0] == 0
    return soundfile.read("whole.wav", dtype="float32")[0]


@pytest.mark.slow
def test_ffmpeg_and_sox_stand_on_both_sides(rendered, place):
    """What comes out of a pipe is what comes out of a file, as it was heard to its end before it played."""
    for program, package in (("ffmpeg", "ffmpeg"), ("sox", "sox")):
        need(program, package)
    quiet = "--preset telephone -o -"
    said = shell(
        f"ffmpeg -v error -i in.wav -f wav - | afx render - {quiet} --subtype float --json"
        " | sox -t wav - -e float sox.wav",
        place,
    )
    (row,) = json.loads(said.stderr[said.stderr.index("[\n") : said.stderr.rindex("]") + 1])
    assert (row["input"], row["output"], row["seconds"]) == ("-", "-", 4.0)
    raw = "--format f32 --rate 48000 --channels 1"
    shell(
        f"sox in.wav -t raw -e float -b 32 - | afx render - {quiet} {raw}"
        " | ffmpeg -v error -f f32le -ar 48000 -ac 1 -i - -c:a pcm_f32le ffmpeg.wav",
        place,
    )
    shell("afx render <(cat in.wav) --preset telephone -o >(cat > here.wav) --subtype float; sleep 0.2", place)
    shell("afx render - --preset telephone -o file.wav --subtype float < in.wav", place)
    for name in ("sox.wav", "ffmpeg.wav", "here.wav", "file.wav"):
        y, rate = soundfile.read(name, dtype="float32")
        assert rate == RATE
        assert np.abs(y - rendered).max() < 2**-22, name


@pytest.mark.slow
def test_a_match_listens_before_it_plays(place):
    code, out, err = piped(
        [GUITAR, "-r", GUITAR_REFERENCE, "-o", "-", "--subtype", "16", "--save-preset", "found.json"], b"", place
    )
    assert code == 0, err
    assert "distortion" in err
    assert (place / "found.json").exists()
    code, again, err = piped(["-", "-r", GUITAR_REFERENCE, "-o", "-", "--listen", "2", "-q"], out, place)
    assert code == 0, err
    assert len(again) == len(out)  # a header of the same size, and 16 bits as they came
    x = np.frombuffer(again[44:], "<i2") / 2**15
    assert 0.01 < np.sqrt(np.mean(x**2)) < 0.5


@pytest.mark.slow
def test_what_cannot_be_piped_is_said(place):
    wav = (place / "x.wav").as_posix()
    soundfile.write(wav, noise(1.0, 0.05, 6), RATE, "PCM_16")
    six = (place / "x.wav").read_bytes()
    warm = ["--preset", "warm", "-o", "out.wav"]
    for words, given, code, said in (
        (["-", *warm], b"fLaC" + bytes(1000), 4, "standard input is not WAV"),
        (["-", *warm], b"", 4, "ends before any sound"),
        (["-", *warm], six, 4, "standard input has 6 channels (5.1)"),
        (["-", *warm, "--format", "s16"], b"", 2, "give --rate HZ and --channels COUNT"),
        (["-", *warm, "--channels", "5,7"], six, 4, "no channel 7"),
        (["-", *warm, "--format", "s16", "--rate", "8000", "--channels", "1"], bytes(99999), 4, "--listen"),
    ):
        found, out, err = piped(words, given, place)
        assert (found, out, said in err) == (code, b"", True), err
    assert [p.name for p in place.iterdir()] == ["x.wav"]
    code, _, err = piped(["-", *warm, "--channels", "5,3"], six[: len(six) // 2], place)
    assert (code, "0.50 s more than came" in err) == (0, True), err
    assert soundfile.info(place / "out.wav").format in ("WAV", "WAVEX")
    assert soundfile.info(place / "out.wav").channels == 2


FEEDER = """
import sys
from pathlib import Path
import numpy as np
x = (2000 * np.random.default_rng(0).standard_normal((16000, 2))).astype("<i2").tobytes()
for _ in range(int(sys.argv[1])):
    sys.stdout.buffer.write(x)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_pipe(place):
    def most_mb(seconds):
        feeder = subprocess.Popen([sys.executable, "-c", FEEDER, str(seconds)], stdout=subprocess.PIPE)
        words = ["-", "--format", "s16", "--rate", "16000", "--channels", "2", "--preset", "bright", "-o", "-", "-q"]
        with open(os.devnull, "wb") as nowhere:
            afx = subprocess.Popen(
                [*PROGRAM, "render", *words, "--listen", "5"], stdin=feeder.stdout, stdout=nowhere, cwd=place
            )
            assert feeder.stdout
            feeder.stdout.close()
            _, status, used = os.wait4(afx.pid, 0)
            afx.returncode = os.waitstatus_to_exitcode(status)
        assert (afx.returncode, feeder.wait(10)) == (0, 0)
        return used.ru_maxrss / 1024

    assert most_mb(900) - most_mb(60) < 16.0  # the sound itself is 103 MiB longer in float32


@pytest.mark.slow
def test_a_reference_comes_through_a_pipe_too(place):
    words = [*PROGRAM, "render", VOICE, "-r", "-", "-o", "out.wav", "--json"]
    done = subprocess.run(words, input=Path(GUITAR_REFERENCE).read_bytes(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["lufs_after"] is not None
    done = subprocess.run([*words, "--force"], input=b"", capture_output=True)
    assert (done.returncode, json.loads(done.stdout)["message"][:26]) == (4, "standard input is empty (0")
    done = subprocess.run([*PROGRAM, "render", "-", "-r", "-", "-o", "b.wav"], input=b"", capture_output=True)
    assert done.returncode == 2
    assert b"standard input can be read once" in done.stderr
