"""A CLAP host of our own, by ctypes, from CLAP's public ABI: scan, create, activate, process, automate, save, load."""

import ctypes
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_bool,
    c_char,
    c_char_p,
    c_double,
    c_float,
    c_int16,
    c_int32,
    c_int64,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

import numpy as np


def kinds(structure) -> Any:
    """The types of a structure's fields, by name."""
    return dict(structure._fields_)


class Version(Structure):
    _fields_ = (("major", c_uint32), ("minor", c_uint32), ("revision", c_uint32))


class Host(Structure):
    pass


Host._fields_ = (
    ("version", Version),
    ("data", c_void_p),
    *((name, c_char_p) for name in ("name", "vendor", "url", "host_version")),
    ("get_extension", CFUNCTYPE(c_void_p, POINTER(Host), c_char_p)),
    *((name, CFUNCTYPE(None, POINTER(Host))) for name in ("request_restart", "request_process", "request_callback")),
)


DESCRIPTIONS = ("id", "name", "vendor", "url", "manual_url", "support_url", "plugin_version", "text")


class Descriptor(Structure):
    _fields_ = (
        ("version", Version),
        *((n, c_char_p) for n in DESCRIPTIONS),
        ("features", POINTER(c_char_p)),
    )


class AudioBuffer(Structure):
    _fields_ = (
        ("data32", POINTER(POINTER(c_float))),
        ("data64", c_void_p),
        ("channel_count", c_uint32),
        ("latency", c_uint32),
        ("constant_mask", c_uint64),
    )


class Event(Structure):
    _fields_ = (("size", c_uint32), ("time", c_uint32), ("space", c_uint16), ("type", c_uint16), ("flags", c_uint32))


class ParamValue(Structure):
    _fields_ = (
        ("header", Event),
        ("param_id", c_uint32),
        ("cookie", c_void_p),
        ("note_id", c_int32),
        ("port_index", c_int16),
        ("channel", c_int16),
        ("key", c_int16),
        ("value", c_double),
    )


class InputEvents(Structure):
    pass


InputEvents._fields_ = (
    ("context", c_void_p),
    ("size", CFUNCTYPE(c_uint32, POINTER(InputEvents))),
    ("get", CFUNCTYPE(c_void_p, POINTER(InputEvents), c_uint32)),
)


class OutputEvents(Structure):
    _fields_ = (("context", c_void_p), ("try_push", CFUNCTYPE(c_bool, c_void_p, c_void_p)))


class Process(Structure):
    _fields_ = (
        ("steady_time", c_int64),
        ("frames_count", c_uint32),
        ("transport", c_void_p),
        ("audio_inputs", POINTER(AudioBuffer)),
        ("audio_outputs", POINTER(AudioBuffer)),
        ("audio_inputs_count", c_uint32),
        ("audio_outputs_count", c_uint32),
        ("in_events", POINTER(InputEvents)),
        ("out_events", POINTER(OutputEvents)),
    )


class ClapPlugin(Structure):
    pass


_SELF = POINTER(ClapPlugin)
ClapPlugin._fields_ = (
    ("descriptor", POINTER(Descriptor)),
    ("data", c_void_p),
    ("init", CFUNCTYPE(c_bool, _SELF)),
    ("destroy", CFUNCTYPE(None, _SELF)),
    ("activate", CFUNCTYPE(c_bool, _SELF, c_double, c_uint32, c_uint32)),
    ("deactivate", CFUNCTYPE(None, _SELF)),
    ("start_processing", CFUNCTYPE(c_bool, _SELF)),
    ("stop_processing", CFUNCTYPE(None, _SELF)),
    ("reset", CFUNCTYPE(None, _SELF)),
    ("process", CFUNCTYPE(c_int32, _SELF, POINTER(Process))),
    ("get_extension", CFUNCTYPE(c_void_p, _SELF, c_char_p)),
    ("on_main_thread", CFUNCTYPE(None, _SELF)),
)


class Factory(Structure):
    pass


Factory._fields_ = (
    ("count", CFUNCTYPE(c_uint32, POINTER(Factory))),
    ("descriptor", CFUNCTYPE(POINTER(Descriptor), POINTER(Factory), c_uint32)),
    ("create", CFUNCTYPE(_SELF, POINTER(Factory), POINTER(Host), c_char_p)),
)


class Entry(Structure):
    _fields_ = (
        ("version", Version),
        ("init", CFUNCTYPE(c_bool, c_char_p)),
        ("deinit", CFUNCTYPE(None)),
        ("get_factory", CFUNCTYPE(POINTER(Factory), c_char_p)),
    )


class ParamInfo(Structure):
    _fields_ = (
        ("id", c_uint32),
        ("flags", c_uint32),
        ("cookie", c_void_p),
        ("name", c_char * 256),
        ("module", c_char * 1024),
        ("low", c_double),
        ("high", c_double),
        ("default", c_double),
    )


class Params(Structure):
    _fields_ = (
        ("count", CFUNCTYPE(c_uint32, _SELF)),
        ("get_info", CFUNCTYPE(c_bool, _SELF, c_uint32, POINTER(ParamInfo))),
        ("get_value", CFUNCTYPE(c_bool, _SELF, c_uint32, POINTER(c_double))),
        ("value_to_text", CFUNCTYPE(c_bool, _SELF, c_uint32, c_double, c_char_p, c_uint32)),
        ("text_to_value", CFUNCTYPE(c_bool, _SELF, c_uint32, c_char_p, POINTER(c_double))),
        ("flush", CFUNCTYPE(None, _SELF, POINTER(InputEvents), POINTER(OutputEvents))),
    )


class HostParams(Structure):
    _fields_ = (
        ("rescan", CFUNCTYPE(None, POINTER(Host), c_uint32)),
        ("clear", CFUNCTYPE(None, POINTER(Host), c_uint32, c_uint32)),
        ("request_flush", CFUNCTYPE(None, POINTER(Host))),
    )


class Port(Structure):
    _fields_ = (
        ("id", c_uint32),
        ("name", c_char * 256),
        ("flags", c_uint32),
        ("channel_count", c_uint32),
        ("type", c_char_p),
        ("in_place_pair", c_uint32),
    )


class Ports(Structure):
    _fields_ = (
        ("count", CFUNCTYPE(c_uint32, _SELF, c_bool)),
        ("get", CFUNCTYPE(c_bool, _SELF, c_uint32, c_bool, POINTER(Port))),
    )


class Stream(Structure):
    _fields_ = (("context", c_void_p), ("call", CFUNCTYPE(c_int64, c_void_p, c_void_p, c_uint64)))


class State(Structure):
    _fields_ = tuple((name, CFUNCTYPE(c_bool, _SELF, POINTER(Stream))) for name in ("save", "load"))


class Number(Structure):
    _fields_ = (("get", CFUNCTYPE(c_uint32, _SELF)),)


def _events(changes):
    """Make a list of events of (time, id, value)."""
    rows = [ParamValue(Event(ctypes.sizeof(ParamValue), t, 0, 5, 0), i, None, -1, -1, -1, -1, v) for t, i, v in changes]
    types = kinds(InputEvents)
    made = InputEvents(None, types["size"](lambda _: len(rows)), types["get"](lambda _, n: ctypes.addressof(rows[n])))
    made.rows = rows
    return made


class Bundle:
    """A .clap file, opened."""

    def __init__(self, path):
        self.entry = Entry.in_dll(ctypes.CDLL(str(path)), "clap_entry")
        assert self.entry.init(str(path).encode())
        self.factory = self.entry.get_factory(b"clap.plugin-factory")
        assert not self.entry.get_factory(b"clap.no-such-factory")
        self.restarts = self.rescans = 0
        of = kinds(HostParams)
        ignored = of["clear"](lambda *_: None), of["request_flush"](lambda _: None)
        self._params = HostParams(of["rescan"](self._rescan), *ignored)
        of = kinds(Host)
        nothing = of["request_process"](lambda _: None)
        words = (b"afx-live tests", b"", b"", b"1")
        extension, restart = of["get_extension"](self._extension), of["request_restart"](self._restart)
        self.host = Host(Version(1, 2, 0), None, *words, extension, restart, nothing, nothing)

    def _rescan(self, host, flags):
        self.rescans += 1

    def _restart(self, host):
        self.restarts += 1

    def _extension(self, host, name):
        return ctypes.addressof(self._params) if name == b"clap.params" else None

    def descriptors(self):
        factory = self.factory.contents
        return [factory.descriptor(self.factory, i).contents for i in range(factory.count(self.factory))]

    def create(self, channels=2):
        return Plugin(self, self.descriptors()[2 - channels].id, channels)


class Plugin:
    """An instance of a plug-in, from init to destroy."""

    def __init__(self, bundle, name, channels):
        self.channels, self._bundle = channels, bundle
        self.told, self.listens = [], True
        factory = bundle.factory
        self.own = factory.contents.create(factory, ctypes.byref(bundle.host), name)
        assert self.own
        assert self.call("init")
        self.params = self.extension("clap.params", Params)
        self.infos = {}
        for index in range(self.params.count(self.own)):
            info = ParamInfo()
            assert self.params.get_info(self.own, index, ctypes.byref(info))
            self.infos[info.module.decode() + "/" + info.name.decode()] = info
        self.by_id = {info.id: info for info in self.infos.values()}
        assert len(self.by_id) == self.params.count(self.own)

    def call(self, name, *arguments):
        return getattr(self.own.contents, name)(self.own, *arguments)

    def extension(self, name, kind) -> Any:
        address = self.call("get_extension", name.encode())
        return kind.from_address(address) if address else None

    def activate(self, rate):
        assert self.call("activate", float(rate), 1, 8192)
        assert self.call("start_processing")

    def stop(self):
        self.call("stop_processing")
        self.call("deactivate")

    def destroy(self):
        self.call("destroy")

    def value(self, name):
        found = c_double()
        assert self.params.get_value(self.own, self.infos[name].id, ctypes.byref(found))
        return found.value

    def text(self, name, value):
        room = ctypes.create_string_buffer(64)
        assert self.params.value_to_text(self.own, self.infos[name].id, value, room, 64)
        return room.value.decode()

    def from_text(self, name, text):
        found = c_double()
        taken = self.params.text_to_value(self.own, self.infos[name].id, text.encode(), ctypes.byref(found))
        return found.value if taken else None

    def flush(self, changes):
        self.params.flush(self.own, ctypes.byref(_events(changes)), None)

    def process(self, block, changes=(), in_place=False):
        """Play a block (frames, channels); changes are (time, id, value)."""
        x = np.ascontiguousarray(block.T, np.float32)
        y = x if in_place else np.full_like(x, np.nan)

        def buffer(rows):
            pointers = (POINTER(c_float) * len(rows))(*(row.ctypes.data_as(POINTER(c_float)) for row in rows))
            made = AudioBuffer(pointers, None, len(rows), 0, 0)
            made.pointers = pointers
            return made

        inputs, outputs, events = buffer(x), buffer(y), _events(changes)
        self.told = []  # (time, id, value) of the events that came out

        def push(_, event):
            e = ParamValue.from_address(event)
            self.told.append((e.header.time, e.param_id, e.value))
            return self.listens

        pushed = OutputEvents(None, kinds(OutputEvents)["try_push"](push))
        block = Process(
            -1, x.shape[1], None, ctypes.pointer(inputs), ctypes.pointer(outputs), 1, 1, ctypes.pointer(events),
            ctypes.pointer(pushed),
        )  # fmt: skip
        assert self.call("process", ctypes.byref(block)) == 1
        return y.T.copy()

    def save(self, most=1000):
        parts = []

        def write(_, data, size):
            parts.append(ctypes.string_at(data, min(size, most)))
            return len(parts[-1])

        stream = Stream(None, kinds(Stream)["call"](write))
        assert self.extension("clap.state", State).save(self.own, ctypes.byref(stream))
        return b"".join(parts)

    def load(self, state, most=100):
        left = [state]

        def read(_, data, size):
            part, left[0] = left[0][: min(size, most)], left[0][min(size, most) :]
            ctypes.memmove(data, part, len(part))
            return len(part)

        stream = Stream(None, kinds(Stream)["call"](read))
        return self.extension("clap.state", State).load(self.own, ctypes.byref(stream))
