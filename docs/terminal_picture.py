"""Draw docs/images/terminal.svg: the terminal view while a guitar is matched to a driven one, without a sound card.

python docs/terminal_picture.py
"""

import io
import sys
import tempfile
from pathlib import Path

from rich.console import Console

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from afx_live import presets  # noqa: E402
from afx_live.chain import ChainSettings  # noqa: E402
from afx_live.matching import MatchModel, read_reference  # noqa: E402
from afx_live.realtime.session.session import Session  # noqa: E402
from afx_live.realtime.session.state import SessionState  # noqa: E402
from afx_live.realtime.view.layout import draw  # noqa: E402
from afx_live.realtime.view.status_reader import MeterBallistics, StatusReader  # noqa: E402
from support.view import Player, publishing  # noqa: E402

WIDTH, HEIGHT = 120, 30


def main() -> None:
    """Play 8 s of the guitar through a session that matches it, and draw what the view shows."""
    model = MatchModel(presets.SHIPPED_MODEL)
    reference = read_reference(presets.clip("guitar_reference"), model)
    with tempfile.TemporaryDirectory(prefix="afx-live-") as folder:
        player = Player(Path(folder), ChainSettings())
        state = SessionState(ChainSettings.default(model.chain.order), references=(reference,))
        session = Session(player, model, state)
        player.feed(6.0)
        session.follower.listen()
        player.feed(4.0)
        publisher = publishing(player, session)
        publisher.publish()
        reader = StatusReader(Path(folder))
        console = Console(record=True, width=WIDTH, height=HEIGHT, color_system="truecolor", file=io.StringIO())
        console.print(draw(reader.state(), MeterBallistics().follow(reader.meters()), WIDTH, HEIGHT))
    (HERE / "images").mkdir(exist_ok=True)
    console.save_svg(str(HERE / "images" / "terminal.svg"), title="afx-live --reference guitar_reference.flac")


if __name__ == "__main__":
    main()
