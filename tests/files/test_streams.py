"""Every print survives: any encoding, closed streams, readers that have gone; and C libraries are kept quiet."""

import os
import subprocess
import sys

import pytest

SAY = """
import os, sys
from afx_live.files.streams import make_safe
make_safe()
print("a → b × −3 dB caf\\udce9 é")
print("told → you", file=sys.stderr)
print("a line\\n" * MANY, end="")
print("done", file=sys.stderr, flush=True)
"""


def say(many=0, program=SAY, shell="", **env):
    program = program.replace("MANY", str(many))
    words = ["sh", "-c", f'"$0" -c "$1" {shell}', sys.executable, program]
    return subprocess.run(words, capture_output=True, env={**os.environ, **env}, timeout=60)


@pytest.mark.parametrize(
    ("encoding", "out"),
    [
        ("utf-8", "a → b × −3 dB caf? é\n".encode()),
        ("cp1252", "a -> b × -3 dB caf? é\n".encode("cp1252")),
        ("ascii", b"a -> b x -3 dB caf? ?\n"),
    ],
)
def test_what_an_encoding_has_not_is_written_plainly(encoding, out):
    done = say(PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout) == (0, out)
    assert b"told" in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams_end_nothing(closed, tmp_path):
    """Nor does the next file that is opened become one of them."""
    there = tmp_path / "sound"
    program = SAY + f"assert open({str(there)!r}, 'w').fileno() > 2\nopen({str(there)!r}, 'w').write('sound')"
    assert say(program=program, shell=closed).returncode == 0
    assert there.read_text() == "sound"


def test_a_reader_that_has_gone_ends_nothing():
    done = say(50000, shell="| head -n 1")
    assert done.stdout.count(b"\n") == 1
    assert b"done" in done.stderr
    assert b"Error" not in done.stderr
    assert b"done" in say(1, shell="2>&1 >/dev/null | cat").stdout


QUIET = """
import os, sys, threading
from afx_live.files.streams import make_safe
from afx_live.files.quiet import quiet
make_safe()

def work():
    for _ in range(50):
        with quiet():
            os.write(2, b"mpg123 warns\\n")

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
print("python is heard", file=sys.stderr)
for thread in threads: thread.join()
with quiet(): print("inside, too", file=sys.stderr)
os.write(2, b"afterwards\\n")
"""


def test_a_library_is_quiet_while_it_works_and_python_is_not():
    said = say(program=QUIET).stderr.decode().splitlines()
    assert said == ["python is heard", "inside, too", "afterwards"]
    assert say(program=QUIET, shell="2>&-").returncode == 0
