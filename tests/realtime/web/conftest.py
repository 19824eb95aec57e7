"""A browser for the page's tests, and a session on files behind a page."""

from types import SimpleNamespace

import pytest

from afx_live.chain import ChainSettings
from afx_live.realtime.audio.file_engine import FileEngine
from afx_live.realtime.session.file_session import FileSession
from afx_live.realtime.session.state import SessionState
from support.browser import View, chromium
from support.page import Client, served


@pytest.fixture(scope="session")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def studio(model, tmp_path_factory):
    """The page on files: `link`, `page`, `session`."""
    pytest.importorskip("starlette", reason="the page needs the extra [web]")
    from afx_live.realtime.web.file_desk import FileDesk
    from afx_live.realtime.web.page import Page

    patch = pytest.MonkeyPatch()
    patch.setenv("AFX_LIVE_HOME", str(tmp_path_factory.mktemp("home")))
    engine = FileEngine()
    session = FileSession(engine, model, SessionState(ChainSettings.default(model.chain.order)))
    engine.warm_up()
    session.start()
    with Page(port=0) as page:
        desk = FileDesk(session, engine, page.folder)
        page.show(desk)
        yield SimpleNamespace(link=page.link, page=page, session=session, desk=desk)
        desk.close()
    session.close()
    patch.undo()


@pytest.fixture
def open_view(browser):
    views = []

    def opened(link, **options):
        views.append(View(browser, link, **options))
        return views[-1]

    yield opened
    for view in views:
        view.close()


@pytest.fixture
def view(studio, open_view):
    return open_view(studio.link)


@pytest.fixture
def matched(view):
    """A page on which a bundled guitar is matched to a bundled reference."""
    if not view.state("state.recording"):
        view.page.get_by_label("A bundled recording").select_option("guitar")
        view.until("state.recording")
    if view.state("state.references?.[0]?.name") != "guitar reference":
        view.page.get_by_label("A bundled reference").select_option("guitar_reference")
    view.until("state.references?.[0]?.name === 'guitar reference' && Object.keys(state.session.probability).length")
    view.until("state.pictures?.reverb")
    return view


@pytest.fixture(scope="module")
def place():
    """The server with a stand-in for afx-live behind it."""
    pytest.importorskip("starlette", reason="the page needs the extra [web]")
    with served() as found:
        yield found


@pytest.fixture
def client(place):
    return Client(place[0])


@pytest.fixture
def desk(place):
    place[1].heard.clear()
    return place[1]
