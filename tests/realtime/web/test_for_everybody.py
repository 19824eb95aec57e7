"""The page for everybody: by keyboard alone, for screen readers, on a telephone, without motion, in dark and light."""

import pytest

from support.browser import PHONE

pytestmark = pytest.mark.slow


def _all_by_tab(page, most=200):
    """Press Tab until it begins anew; returns what had the focus, as `role: name`."""
    found = []
    page.evaluate("document.querySelector('.skip').focus()")
    for _ in range(most):
        page.keyboard.press("Tab")
        what = page.evaluate(
            """() => {
              const e = document.activeElement;
              if (!e || e === document.body) return null;
              const label = e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent ?? e.textContent;
              const seen = e.getBoundingClientRect();
              const out = seen.width < 4 ? "unseen" : "";
              return `${e.getAttribute("role") ?? e.tagName.toLowerCase()}: ${label.trim()} ${out}`.trim();
            }"""
        )
        if what is None or (found and what == found[0] and len(found) > 20):
            break
        found.append(what)
    return found


def test_a_keyboard_alone_reaches_everything_and_nothing_that_is_not_there(matched):
    matched.page.locator(".spectrum summary").click()
    found = _all_by_tab(matched.page)
    assert not [what for what in found if what.endswith("unseen")]
    names = " | ".join(found)
    for name in (
        "Panic",
        "Keys",
        "Choose a recording",
        "Position",
        "Play",
        "Save sound",
        "Choose a reference",
        "Amount",
    ):
        assert name in names, name
    for name in (
        "Freeze",
        "Undo",
        "Load",
        "Compare",
        "Save as",
        "input gain",
        "equaliser on",
        "threshold",
        "Lock reverb",
    ):
        assert name in names, name
    assert names.count("slider: Equaliser") == 6


def test_a_keyboard_alone_does_everything(matched, studio):
    page = matched.page
    node = page.get_by_role("slider", name="Equaliser peak 3")
    node.focus()
    page.keyboard.press("Delete")
    matched.until("state.session.values['equaliser/peak_3_db'] === 0", 30)
    for _ in range(4):
        page.keyboard.press("ArrowUp")
    matched.until("state.session.values['equaliser/peak_3_db'] === 2", 30)
    hz, q = (matched.state(f"state.session.values['equaliser/peak_3_{what}']") for what in ("hz", "q"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("PageUp")
    matched.until(
        f"state.session.values['equaliser/peak_3_hz'] > {hz} && state.session.values['equaliser/peak_3_q'] > {q}", 5
    )
    lock = page.get_by_role("button", name="Lock reverb")
    lock.focus()
    page.keyboard.press("Enter")
    matched.until("state.session.locked.includes('reverb/mix')", 30)
    page.keyboard.press("Enter")
    matched.until("!state.session.locked.includes('reverb/mix')", 30)
    page.evaluate("document.activeElement.blur()")
    frozen = matched.state("state.session.values.freeze")
    for wanted in (not frozen, frozen):
        page.keyboard.press("f")
        matched.until(f"state.session.values.freeze === {str(wanted).lower()}", 30)
    page.keyboard.press("-")
    matched.until("state.session.values.amount === 0.95", 30)
    page.keyboard.press("u")
    matched.until("state.session.values.amount === 1", 30)
    page.keyboard.press("m")
    matched.until("state.session.values.mute === true", 30)
    page.get_by_text("Muted").wait_for(state="attached")
    page.keyboard.press("m")
    matched.until("state.session.values.mute === false", 30)
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    page.get_by_role("button", name="Pause").wait_for()
    for key, side in (("1", "before"), ("3", "reference"), ("2", "after")):
        page.keyboard.press(key)
        assert page.get_by_role("radio", name=side).get_attribute("aria-checked") == "true"
    page.get_by_role("radio", name="after").focus()
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("radio", name="before").get_attribute("aria-checked") == "true"
    page.get_by_role("slider", name="Position").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    assert float(page.get_by_role("slider", name="Position").get_attribute("aria-valuenow")) <= 4


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("size", ["desk", "phone"])
def test_axe_finds_nothing(matched, studio, open_view, scheme, size):
    options = {"size": PHONE, "has_touch": True} if size == "phone" else {}
    view = open_view(studio.link, color_scheme=scheme, **options)
    view.until("state.pictures?.reverb")
    view.page.locator("details").evaluate_all("all => all.forEach((d) => (d.open = true))")
    view.page.wait_for_timeout(300)
    assert view.violations() == []
    view.page.locator("body").press("?")
    assert view.violations() == []
    view.page.keyboard.press("Escape")
    view.page.get_by_role("button", name="Compare").click()
    view.page.get_by_text("Where it differs from").wait_for()
    assert view.violations() == []


def test_a_telephone_has_it_all_in_one_column_and_the_thumb_reaches_what_matters(matched, studio, open_view):
    view = open_view(studio.link, size=PHONE, has_touch=True, is_mobile=True)
    view.until("state.pictures?.reverb")
    assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in ("A/B", "Mute"):
        box = view.page.locator("#thumb").get_by_role("button", name=name).bounding_box()
        assert box["height"] >= 44
        assert box["y"] + box["height"] <= 844
    view.page.locator("#thumb").get_by_role("button", name="Mute").tap()
    view.until("state.session.values.mute === true", 30)
    view.page.locator("#thumb").get_by_role("button", name="Mute").tap()
    view.until("state.session.values.mute === false", 30)


def test_reduced_motion_is_respected(matched, studio, open_view):
    view = open_view(studio.link, reduced_motion="reduce")
    assert view.page.evaluate("import('./dom.js').then(({ calm }) => calm())")
    moving = view.page.evaluate("document.getAnimations().length")
    assert moving == 0


def test_the_theme_can_be_chosen_and_is_kept(view):
    before = view.page.evaluate("getComputedStyle(document.body).backgroundColor")
    view.page.get_by_role("button", name="Theme").click()
    after = view.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert after != before
    view.page.reload()
    assert view.page.evaluate("getComputedStyle(document.body).backgroundColor") == after


def test_pictures_for_the_documentation(matched, studio, open_view, tmp_path):
    view = open_view(studio.link, size={"width": 1440, "height": 1240})
    view.until("state.pictures?.reverb")
    view.page.get_by_role("button", name="Play", exact=True).click()
    view.page.wait_for_timeout(3000)
    view.shot("page_files", tmp_path)
    phone = open_view(studio.link, size=PHONE, has_touch=True, device_scale_factor=2)
    phone.until("state.pictures?.reverb")
    phone.shot("page_phone", tmp_path)
    assert not view.complaints
