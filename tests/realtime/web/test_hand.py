"""The user's hand on the matching, in Chromium: boldness, a hand on each effect, morphing."""

import pytest

from support.waiting import until

pytestmark = pytest.mark.slow


def test_boldness_is_heard_at_once_and_what_stays_undecided_is_brought(matched, studio):
    page = matched.page
    slider = page.get_by_role("slider", name="Boldness")
    slider.focus()
    page.keyboard.press("Home")
    matched.until("state.session.values.boldness === 0 && state.session.explanation", 20)
    page.wait_for_timeout(500)
    timid = studio.session.state.playing
    page.keyboard.press("End")
    matched.until("state.session.values.boldness === 1", 30)
    matched.until("state.session.explanation.effects.some((e) => e.effect === 'equaliser' && e.amount > 0)", 60)
    assert studio.session.state.playing.effects != timid.effects
    rows = page.locator("#match .heard li")
    assert rows.count() == 4
    assert page.locator("#match .heard").get_by_text("% used").count() >= 1
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("<")
    matched.until("state.session.values.boldness === 0.95", 30)
    studio.session.send({"boldness": studio.session._model.decision.boldness})
    matched.until("state.session.values.boldness !== 0.95", 30)
    assert not matched.complaints


def test_a_hand_on_each_effect(matched, studio):
    card = matched.page.locator("#effect-reverb")
    card.get_by_label("Match reverb").select_option("only")
    matched.until("state.session.values['reverb/only'] && !state.session.values['reverb/bypass']", 30)
    until(lambda: {e.effect for e in studio.session.state.settings.effects if e.enabled} == {"reverb"})
    amount = card.get_by_role("slider", name="reverb: how much")
    amount.focus()
    matched.page.keyboard.press("Home")
    until(lambda: studio.session.state.playing.effect("reverb").values["mix"] == 0.0, 30)
    matched.page.keyboard.press("Delete")
    matched.until("state.session.values['reverb/amount'] === 1", 30)
    card.get_by_label("Match reverb").select_option("without")
    matched.until("state.session.values['reverb/without'] && state.session.values['reverb/bypass']", 30)
    matched.page.locator("#match .heard li", has_text="reverb").get_by_text("left out").wait_for()
    card.get_by_label("Match reverb").select_option("decide")
    matched.until("!state.session.values['reverb/without']", 30)
    assert not matched.complaints


def test_it_morphs_between_presets(matched, studio):
    page = matched.page
    page.locator("summary", has_text="Morph").click()
    page.get_by_label("Morph from").select_option("telephone")
    matched.until("state.session.values['morph/a'] === 'telephone'", 20)
    page.get_by_label("Morph to").select_option("warm")
    matched.until("state.session.values['morph/b'] === 'warm'", 20)
    first = studio.session.state.settings
    slider = page.get_by_role("slider", name="Morph")
    slider.focus()
    page.keyboard.press("End")
    until(lambda: studio.session.state.settings.effects != first.effects, 30)
    assert not matched.complaints
