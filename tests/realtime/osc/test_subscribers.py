"""OSC feedback: who is sent what, when, and how little a forged sender can make the server send."""

import math
import struct

import pytest

from afx_live.realtime.osc.addresses import NUMBERED, SUBSCRIBED, TOKEN, addresses, numbered
from afx_live.realtime.osc.packets import decode
from afx_live.realtime.osc.subscribers import (
    DUMP_S,
    EXPIRE_S,
    HOLD_S,
    MAX_DATAGRAM,
    MAX_SUBSCRIBERS,
    Refused,
    Subscribers,
)
from support.osc_client import RATIO, THRESHOLD, message

HERE, THERE = ("127.0.0.1", 40000), ("192.168.1.20", 40000)
TICK = 0.05  # s; changes and meters are due again


def heard(datagram):
    """Give what a datagram says, by address."""
    return {m.address: m.arguments[0] for m in decode(datagram)}


class Room:
    """A feedback with a clock of ours, the values it is to tell, and all that it has sent."""

    def __init__(self, configured=()):
        self.sent, self.now, self.values, self.meters = [], 1000.0, {}, {}
        table = [*addresses(), *numbered()]
        self.feedback = Subscribers(table, lambda data, where: self.sent.append((data, where)), configured, 9123)
        self.by_path = {a.path: a for a in table}
        for address in table:
            if address.kind in ("float", "bool"):
                param = address.param
                self.values[address.target] = param.default if param else address.low

    def subscribe(self, *numbers, peer=HERE, size=1000):
        return self.feedback.subscribe(numbers, peer, peer[0] == HERE[0], size, self.now)

    def step(self, seconds=TICK):
        """Let time pass, and give what is sent then: a list of (where, address, value)."""
        self.now += seconds
        del self.sent[:]
        self.feedback.tick(self.now, self._value, lambda: self.meters)
        return [(where, *pair) for data, where in self.sent for pair in heard(data).items()]

    def told(self, where=HERE):
        return {path: value for to, path, value in self.step() if to == where}

    def sets(self, path, value, peer=HERE):
        address = self.by_path[path]
        self.values[address.target] = address.native(value)
        self.feedback.set_by(peer, address, value, self.now)

    def _value(self, address):
        found = self.values.get(address.target)
        return found if found is None or isinstance(found, str) else address.shown(found)


@pytest.fixture
def room():
    return Room()


def test_a_new_subscriber_is_told_everything_once(room):
    room.values["/afx/reference"] = "voice.wav"
    room.subscribe()
    assert heard(room.sent[0][0]) == {SUBSCRIBED: EXPIRE_S}
    told = room.told()
    assert set(told) == {a.path for a in addresses() if a.kind in ("float", "bool")} | {"/afx/reference"}
    assert told["/afx/reference"] == "voice.wav"
    assert told[RATIO] == 3.0
    assert told[f"{RATIO}/n"] == pytest.approx(room.by_path[f"{RATIO}/n"].param.unit(3.0))
    assert room.told() == {}


def test_a_change_is_told_natively_and_as_0_to_1(room):
    room.subscribe()
    room.step()
    room.values[THRESHOLD] = -30.0
    assert room.told() == {THRESHOLD: -30.0, f"{THRESHOLD}/n": 0.5}


def test_changes_are_coalesced(room):
    room.subscribe()
    room.step()
    told = []
    for n in range(100):
        room.values[THRESHOLD] = -n / 10.0
        told += [value for _, path, value in room.step(0.005) if path == THRESHOLD]
    assert 14 <= len(told) <= 15
    assert told == sorted(told, reverse=True)
    assert room.told().get(THRESHOLD, told[-1]) == pytest.approx(-9.9)


def test_nothing_is_sent_to_nobody(room):
    assert room.feedback.wait(room.now) == math.inf
    assert room.step() == []


def test_configured_subscribers_need_no_request_and_never_expire():
    room = Room(configured=[THERE])
    assert THRESHOLD in room.told(THERE)
    room.now += 1e6
    room.values[THRESHOLD] = -1.0
    assert room.told(THERE)[THRESHOLD] == -1.0
    room.feedback.unsubscribe([], THERE)
    room.values[THRESHOLD] = -2.0
    assert room.told(THERE)[THRESHOLD] == -2.0


def test_a_value_that_is_none_is_left_out(room):
    room.subscribe()
    room.step()
    room.values |= {RATIO: None, THRESHOLD: -1.0}
    assert RATIO not in room.told()
    room.meters = {"/afx/meter/load": math.nan, "/afx/meter/late": 2.0}
    assert room.told() == {"/afx/meter/late": 2.0}


def test_what_one_has_set_is_told_to_the_others_only(room):
    other = ("127.0.0.1", 40001)
    room.subscribe()
    room.subscribe(peer=other)
    room.step()
    room.sets(THRESHOLD, -30.0)
    told = room.step()
    assert {(where, path) for where, path, _ in told} == {(other, THRESHOLD), (other, f"{THRESHOLD}/n")}
    room.now += HOLD_S
    assert room.told() == {f"{THRESHOLD}/n": 0.5}  # the twin it does not know; never what it has sent


def test_a_value_that_became_another_is_told_once_the_hand_rests(room):
    room.subscribe()
    room.step()
    room.sets(THRESHOLD, -30.0)
    room.values[THRESHOLD] = -20.0  # meanwhile something else sets it
    assert room.told() == {}
    room.now += HOLD_S
    assert room.told()[THRESHOLD] == -20.0


def test_float32_on_the_way_is_no_change(room):
    room.subscribe()
    room.step()
    room.sets("/afx/amount", struct.unpack(">f", struct.pack(">f", 0.7))[0])
    room.values["/afx/amount"] = 0.7
    room.now += HOLD_S
    assert room.told() == {}


def test_a_configured_one_is_not_echoed_to_from_whatever_port_it_sends():
    room = Room(configured=[("127.0.0.1", 9000)])
    room.step()
    room.sets(THRESHOLD, -30.0, peer=("127.0.0.1", 51234))
    assert room.step() == []
    room.now += HOLD_S
    assert room.told(("127.0.0.1", 9000))[THRESHOLD] == -30.0  # it may have been another program there


def test_numbered_addresses_are_told_to_those_who_use_them(room):
    number = next(a for a in numbered() if a.target == THRESHOLD)
    other = ("127.0.0.1", 40001)
    room.subscribe()
    room.subscribe(peer=other)
    room.step()
    room.sets(number.path, 0.25)
    room.now += HOLD_S
    told = room.step()
    assert {where for where, path, _ in told if path.startswith(NUMBERED)} == {HERE}
    assert number.path not in {path for where, path, _ in told if where == HERE}
    assert (other, THRESHOLD, -45.0) in told


def test_a_subscription_expires_unless_renewed(room):
    room.subscribe()
    room.now += EXPIRE_S - 1
    room.subscribe()
    room.now += EXPIRE_S - 1
    assert room.step()
    room.now += 1
    room.values[RATIO] = 9.0
    assert room.step() == []
    assert not room.feedback.knows(HERE)


def test_unsubscribing_ends_it(room):
    room.subscribe()
    room.subscribe(9000)
    room.feedback.unsubscribe([9000], ("127.0.0.1", 55555))
    assert {where for where, *_ in room.step()} == {HERE}
    room.feedback.unsubscribe([], HERE)
    room.values[RATIO] = 9.0
    assert room.step() == []


def test_feedback_goes_to_a_port_on_the_senders_own_host(room):
    room.subscribe(9000.0, peer=("127.0.0.1", 40000))
    assert {where for where, *_ in room.step()} == {("127.0.0.1", 9000)}
    six = ("::1", 40000, 0, 2)
    room.feedback.subscribe([9001], six, True, 1000, room.now)
    assert ("::1", 9001, 0, 2) in {where for where, *_ in room.step()}


@pytest.mark.parametrize("numbers", [(80,), (-1,), (65536,), (9000.5,), (9000, 1, 2), (9123,), (9000, 0.5)])
def test_what_is_no_port_is_refused(room, numbers):
    with pytest.raises(Refused):
        room.subscribe(*numbers)
    assert room.feedback.wait(room.now) == math.inf


@pytest.mark.parametrize("button", [0, 1.0])
def test_a_button_subscribes_its_own_port(room, button):
    room.subscribe(button)
    assert {where for where, *_ in room.step()} == {HERE}


def test_there_are_eight_at_most(room):
    for n in range(MAX_SUBSCRIBERS + 3):
        room.subscribe(peer=("127.0.0.1", 40000 + n))
    assert heard(room.sent[-1][0]) == {SUBSCRIBED: 0.0}
    assert len({where for where, *_ in room.step()}) == MAX_SUBSCRIBERS
    room.subscribe(peer=HERE)
    assert heard(room.sent[-1][0]) == {SUBSCRIBED: EXPIRE_S}  # renewing is no more


def test_another_host_must_send_a_token_back(room):
    request = message("/afx/subscribe", "")
    room.subscribe(peer=THERE, size=len(request))
    ((answer, where),) = room.sent
    assert where == THERE
    assert len(answer) <= len(request)
    assert room.step() == []
    token = int(heard(answer)[TOKEN])
    assert not room.subscribe(0, token ^ 1, peer=THERE)
    assert not room.subscribe(0, token, peer=("192.168.1.21", 40000))
    assert not room.subscribe(9000, token, peer=THERE)  # a token is for one host and port
    assert room.step() == []
    assert room.subscribe(0, token, peer=THERE)
    assert {where for where, *_ in room.step()} == {THERE}


def test_a_request_too_short_for_a_token_gets_no_answer(room):
    room.subscribe(peer=THERE, size=len(message("/afx/subscribe")))
    assert room.sent == []


def test_tokens_last_half_a_minute_to_a_minute(room):
    room.subscribe(peer=THERE)
    token = heard(room.sent[0][0])[TOKEN]
    room.now += EXPIRE_S - 1
    assert room.subscribe(0, token, peer=THERE)
    room.now += EXPIRE_S + 1
    assert not room.subscribe(0, token, peer=THERE)
    del room.sent[:]
    room.subscribe(0, 0, peer=THERE)
    assert heard(room.sent[0][0])[TOKEN] != token


def test_forged_requests_make_nothing_grow(room):
    for n in range(5000):
        room.subscribe(peer=(f"10.0.{n // 250}.{n % 250}", 1024 + n))
    assert room.feedback.wait(room.now) == math.inf
    assert len(room.feedback) == 0


def test_a_stranger_gets_no_dump_and_a_subscriber_one_a_second(room):
    room.subscribe(peer=HERE)
    room.step(DUMP_S)
    everything = 0
    for _ in range(40):
        room.feedback.dump(THERE)
        room.feedback.dump(HERE)
        told = room.step()
        assert {where for where, *_ in told} <= {HERE}
        everything += len(told) > 50
    assert everything == 2


def test_datagrams_are_small(room):
    room.values |= {"/afx/reference": "ü" * 300, "/afx/preset/load": "x" * 300, "/afx/morph/a": "a\0b"}
    room.subscribe(peer=HERE)
    del room.sent[:]
    room.feedback.tick(room.now, room._value, lambda: {})
    assert len(room.sent) >= 2
    assert max(len(data) for data, _ in room.sent) <= MAX_DATAGRAM
    assert sum(len(heard(data)) for data, _ in room.sent) > 50


def test_meters_come_20_times_a_second(room):
    room.meters = {"/afx/meter/load": 0.5}
    room.subscribe()
    times = sum(("/afx/meter/load" in path) for _ in range(1000) for _, path, _ in room.step(0.002))
    assert 39 <= times <= 41


def test_after_a_pause_nothing_is_made_up_for(room):
    room.meters = {"/afx/meter/load": 0.5}
    room.subscribe()
    room.step()
    room.now += 10.0
    assert sum(len(room.step(0.001)) for _ in range(40)) == 1
