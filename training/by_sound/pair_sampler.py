"""Pairs drawn and played anew for every step, on any device: nothing is heard twice, so nothing is learned by heart.

A `Drawer` takes stretches, filters, rooms and chains from a `Bank` at random and plays them by the batch: on
a GPU some hundreds a second. So that both clips of a pair get the very same f, what the laws measure on a
clip is left out here: rooms and filters have the energy that they have.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from ...chain import CANONICAL, ChainParameters
from .. import priors
from ..features import LUFS, SAMPLE_RATE, WINDOW
from ..other_effects import compressors, distortions
from .bank import SPEEDS, TAPS, Bank
from .recursive_kernels import bend, gains
from .torch_chain import DB, ROOM, UNITY, Level, filtered, lowered, raised, reverberated, room_response, tone_response

EFFECTS = len(CANONICAL)
COLOUR_DB = 2.5
"""How strongly both clips of a pair are coloured alike, as by another microphone."""
CORRUPTED = 0.15
"""How often the input comes from an equaliser of its own, as in DeepAFx-ST's task: the chain must undo that too."""
STRANGE = 0.6
"""How often an effect is played by another law than its own."""
QUIETEST_LUFS = -55.0
AHEAD = 4
"""Batches drawn at once on a GPU."""


class Batch(NamedTuple):
    """Pairs: input and reference at -23 LUFS, the answer to find, and what is known of f.

    input, reference, answer (batch, frames). values (batch, params) are our effects' where f is made of
    them, as for a signal that leaves the equaliser at -23 LUFS (see `pairs.settled`), and trust (batch,
    params) says where. on (batch, effects); curve (batch, bands) in dB, tone (batch,) what it adds in
    loudness; sure (batch, effects): 0 where on or the curve is in doubt. kin (batch,): 1 for two stretches
    of one recording. heard (batch,): 0 for a pair with a silent clip, to be left out.
    """

    input: torch.Tensor
    reference: torch.Tensor
    answer: torch.Tensor
    values: torch.Tensor
    trust: torch.Tensor
    on: torch.Tensor
    curve: torch.Tensor
    tone: torch.Tensor
    sure: torch.Tensor
    kin: torch.Tensor
    heard: torch.Tensor


class Drawer(nn.Module):
    """Draws batches from a bank, on the device where it is."""

    sound: torch.Tensor
    filters: torch.Tensor
    curves: torch.Tensor
    rooms: torch.Tensor
    amplifiers: torch.Tensor
    tents: torch.Tensor

    def __init__(self, bank: Bank, seed: int) -> None:
        super().__init__()
        self.bank, self.rng, self.level = bank, np.random.default_rng(seed), Level()
        self._pool, self._coming, self._stream = ThreadPoolExecutor(1), None, None
        self._left: list[Batch] = []
        for name in ("sound", "filters", "curves", "rooms", "amplifiers"):
            self.register_buffer(name, torch.from_numpy(getattr(bank, name)), persistent=False)
        self.chain = ChainParameters(CANONICAL)
        self._of_kind = {k: np.flatnonzero(bank.kind == k) for k in np.unique(bank.kind)}
        tents = np.maximum(0.0, 1.0 - np.abs(np.linspace(0, 6, TAPS // 2 + 1) - np.arange(7)[:, None]))
        octave = np.log2(1.0 + np.linspace(0.0, 1.0, TAPS // 2 + 1) * 200.0) / np.log2(201.0) * (TAPS // 2)
        self.register_buffer("tents", torch.from_numpy(tents[:, octave.astype(int)]).float(), persistent=False)

    def next(self, count: int) -> Batch:
        """Give a batch; on a GPU, several are drawn at once while the last ones are worked on.

        What waits for its own last frame takes as long for a thousand rows as for one.
        """
        if self.device.type != "cuda":
            return self.draw(count)
        if not self._left:
            coming = self._coming or self._pool.submit(self._ahead, count)
            drawn, done = coming.result()
            self._coming = self._pool.submit(self._ahead, count)
            torch.cuda.current_stream().wait_event(done)
            for tensor in drawn:
                tensor.record_stream(torch.cuda.current_stream())
            self._left = [Batch(*parts) for parts in zip(*(t.split(count) for t in drawn), strict=True)]
        return self._left.pop()

    def _ahead(self, count: int) -> tuple[Batch, Any]:
        if self._stream is None:
            self._stream = torch.cuda.Stream()
        with torch.cuda.stream(self._stream):
            return self.draw(AHEAD * count), self._stream.record_event()

    @property
    def device(self) -> torch.device:
        """Where it works."""
        return self.sound.device

    def _tensor(self, x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.device)

    # --- sounds

    def _stretches(self, which: np.ndarray, speed: np.ndarray, late: np.ndarray) -> torch.Tensor:
        """Read 5 s of each recording: from its first half, or its second where `late`; round and round if shorter."""
        begin, length = self.bank.begin[which, speed], self.bank.length[which, speed]
        half = length // 2
        span = np.minimum(half, WINDOW)
        start = begin + np.where(late, half, 0) + (self.rng.random(len(which)) * (half - span)).astype(np.int64)
        start, span = self._tensor(start), self._tensor(span)
        at = torch.arange(WINDOW, device=self.device)[None] % span[:, None]
        return self.sound[start[:, None] + at]

    def _pair(self, count: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        """Draw A and B: half of the pairs of one recording, most others of one kind; some with another mixed in."""
        rng, bank = self.rng, self.bank
        a = rng.integers(len(bank.kind), size=count)
        chance = rng.random(count)
        anywhere = rng.integers(len(bank.kind), size=count)
        alike = np.array([rng.choice(self._of_kind[bank.kind[i]]) for i in a])
        b = np.where(chance < 0.5, a, np.where(chance < 0.85, alike, anywhere))
        kin = a == b
        speed = rng.integers(len(SPEEDS), size=count)
        other_speed = np.where(kin, speed, rng.integers(len(SPEEDS), size=count))
        late = rng.random(count) < 0.5
        sounds = [self._stretches(a, speed, late), self._stretches(b, other_speed, ~late)]
        more = rng.integers(len(bank.kind), size=count)
        gain = np.where(rng.random(count) < 0.25, rng.uniform(-18.0, 0.0, count), -200.0)
        gain = self._tensor(np.exp(gain / DB).astype(np.float32))[:, None]
        for i, x in enumerate(sounds):
            mate = self._stretches(more, speed, late if i == 0 else ~late)
            level = [y.square().mean(1, keepdim=True).sqrt() for y in (x, mate)]
            sounds[i] = x + gain * (level[0] / (level[1] + 1e-4)).clamp(max=100.0) * mate
        return sounds[0], sounds[1], kin

    def _whole(self, h: torch.Tensor) -> torch.Tensor:
        """Bring responses of TAPS frames to the bins of a clip's transform."""
        taps = torch.fft.irfft(h, TAPS).roll(TAPS // 4, 1)
        h = torch.fft.rfft(taps, 1 << 18)
        turn = torch.exp(
            2j * torch.pi * torch.arange((1 << 17) + 1, device=h.device, dtype=torch.float64) * (TAPS // 4) / (1 << 18)
        )
        return h * turn.to(h)

    def _coloured(self, x: torch.Tensor, knots: torch.Tensor) -> torch.Tensor:
        return filtered(x, self._whole(torch.exp(knots @ self.tents / DB).to(torch.complex64)))

    # --- f

    def _chains(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw chains of ours: on (count, effects), values (count, params), strange (count, effects)."""
        on, values = [], []
        for _ in range(count):
            settings = priors.draw(self.rng)
            on.append([s.enabled for s in settings.effects])
            values.append([settings.effect(e).values[p.name] for e, p in self.chain.params])
        strange = (self.rng.random((count, 1)) < 0.75) & (self.rng.random((count, EFFECTS)) < STRANGE / 0.75)
        return np.array(on), np.array(values), strange

    def _compressed(self, x: torch.Tensor, on: np.ndarray, values: np.ndarray, strange: np.ndarray) -> tuple:
        """Play compressors of ours and others on both clips of each pair; tells where they are heard."""
        rows = np.flatnonzero(on)
        if not len(rows):
            return x, torch.zeros(len(on), device=self.device)
        table = []
        for i in rows:
            if strange[i]:
                told = compressors.numbers(self.rng)
            else:
                threshold, ratio, attack, release, knee, _ = values[i]
                told = {
                    "static": "down",
                    "smooth": "gain_db",
                    "threshold_db": threshold,
                    "ratio": ratio,
                    "times_ms": (attack, release),
                    "knee_db": knee,
                }
            table.append(compressors.arguments(SAMPLE_RATE, **told))
        at = self._tensor(rows)
        gain = gains(x[:, at].flatten(0, 1), np.array(table + table)).unflatten(0, (2, len(rows)))
        heard = x[:, at].abs() > 0.01
        mean = (gain * heard).sum(2, keepdim=True) / heard.sum(2, keepdim=True).clamp(min=1.0)
        moved = ((gain - mean).square() * heard).sum(2) / heard.sum(2).clamp(min=1.0)
        x = x.index_copy(1, at, x[:, at] * torch.exp(gain / DB))
        return x, torch.zeros(len(on), device=self.device).index_copy(0, at, (moved.mean(0).sqrt() > 0.25).float())

    def _distorted(self, x: torch.Tensor, on: np.ndarray, values: np.ndarray, strange: np.ndarray) -> tuple:
        """Play distortions; tells where they also filter."""
        colours = torch.zeros(len(on), device=self.device)
        rows = np.flatnonzero(on)
        if not len(rows):
            return x, colours
        table, mix, unity, filters = [], [], [], []
        for i in rows:
            if strange[i]:
                told = distortions.numbers(self.rng)
                drive = 10 ** (told["drive_db"] / 20)
                table.append(
                    (
                        distortions.CURVES[told["kind"]],
                        told["shape"],
                        drive,
                        told["bias"],
                        told["follow"],
                        math.exp(-1.0 / (0.08 * SAMPLE_RATE * 2)),
                        2.0 * told["hold"] if told["hold"] > 1.0 else 1.0,
                    )
                )
                mix.append(told["mix"])
                unity.append(0.0)  # as loud as the dry sound
                filters.append(int(self.rng.integers(len(self.bank.amplifiers))))
            else:
                drive_db, bias, _, m = values[i]
                drive = 10 ** (drive_db / 20)
                table.append((distortions.CURVES["tanh"], 0.0, drive, bias, 0.0, 0.0, 1.0))
                mix.append(m)
                unity.append(UNITY / math.tanh(UNITY * drive))
                filters.append(-1)
        at, amplifier = self._tensor(rows), self._tensor(np.array(filters))
        theirs = (amplifier >= 0)[:, None]
        h = torch.where(
            theirs[..., None],
            self.amplifiers[amplifier.clamp(min=0)],
            torch.ones((), device=self.device, dtype=torch.complex64),
        )
        dry = x[:, at]
        into = torch.stack([filtered(clip, self._whole(h[:, 0])) for clip in dry])
        wet = bend(raised(into.flatten(0, 1)), np.array(table + table)).unflatten(0, (2, len(rows)))
        wet = wet - wet.mean(2, keepdim=True)
        same = (into.square().mean((0, 2)) / (wet.square().mean((0, 2)) + 1e-9)).sqrt()
        level = self._tensor(np.array(unity, np.float32))
        wet = wet * torch.where(level > 0.0, level, same)[:, None]
        tone = self._tensor(values[rows, 2].astype(np.float32))
        mix = self._tensor(np.array(mix, np.float32))[:, None]
        tones, after = tone_response(tone, WINDOW), self._whole(h[:, 1])
        played = []
        for d, w in zip(dry, wet, strict=True):
            w = torch.where(theirs, filtered(lowered(w), after), lowered(w, tones))
            played.append((1.0 - mix) * d + mix * w)
        coloured = (h.abs().log().std(2).amax(1) > 0.1).float() * theirs[:, 0]
        return x.index_copy(1, at, torch.stack(played)), colours.index_copy(0, at, coloured)

    def _reverberated(self, x: torch.Tensor, on: np.ndarray, values: np.ndarray, strange: np.ndarray) -> torch.Tensor:
        for other in (False, True):
            rows = np.flatnonzero(on & (strange == other))
            if not len(rows):
                continue
            at = self._tensor(rows)
            if other:
                room = self.rooms[self._tensor(self.rng.integers(len(self.rooms), size=len(rows)))].float() / 64.0
                h, mix = torch.fft.rfft(room, ROOM), self.rng.uniform(0.03, 0.65, len(rows))
                # wet and dry are laws of their own: some keep the dry sound as it is
                kept = np.where(self.rng.random(len(rows)) < 0.3, 1.0, 1.0 - mix)
                mix = mix / (mix + kept)
            else:
                h, mix = room_response(self._tensor(values[rows].astype(np.float32))), values[rows, -1]
            share = self._tensor(mix.astype(np.float32))
            x = x.index_copy(1, at, torch.stack([reverberated(clip[at], h, share) for clip in x]))
        return x

    @torch.no_grad()
    def draw(self, count: int) -> Batch:
        """Draw so many pairs."""
        rng = self.rng
        a, b, kin = self._pair(count)
        knots = (COLOUR_DB * rng.standard_normal((count, 1)) * rng.standard_normal((count, 7))).astype(np.float32)
        x = torch.stack([self.level(self._coloured(clip, self._tensor(knots))) for clip in (a, b)])
        clean = x[1]
        on, values, strange = self._chains(count)
        # the equaliser: one of the bank's, ours or another's
        own = rng.integers(self.bank.own, size=count)
        theirs = rng.integers(self.bank.own, len(self.bank.filters), size=count)
        chosen = self._tensor(np.where(strange[:, 0], theirs, own))
        toned = self._tensor(on[:, 0])
        curve = self.curves[chosen] * toned[:, None]
        h = self._whole(self.filters[chosen])
        before = self.level.loudness(x[0])
        x = torch.stack([torch.where(toned[:, None], filtered(clip, h), clip) for clip in x])
        tone = self.level.loudness(x[0]) - before
        of = [values[:, self.chain.columns(effect)] for effect in CANONICAL]
        x, squeezed = self._compressed(x, on[:, 1], of[1], strange[:, 1])
        x, colours = self._distorted(x, on[:, 2], of[2], strange[:, 2])
        x = self._reverberated(x, on[:, 3], of[3], strange[:, 3])
        # an equaliser that the input has and the answer has not
        bent = rng.random(count) < CORRUPTED
        undone = self._tensor(rng.integers(len(self.bank.filters), size=count))
        spoilt = filtered(clean, self._whole(self.filters[undone]))
        told = self._tensor(bent)
        clean = torch.where(told[:, None], spoilt, clean)
        curve = curve - torch.where(told[:, None], self.curves[undone], 0.0)
        tone = torch.where(told, tone + LUFS - self.level.loudness(spoilt), tone)
        truth = np.concatenate([on[:, :1] | bent[:, None], on[:, 1:]], 1).astype(np.float32)
        truth = self._tensor(truth)
        truth[:, 1] = squeezed
        loud = torch.stack([self.level.loudness(v) for v in (clean, *x)]).amin(0) > QUIETEST_LUFS
        whole = torch.stack([v.isfinite().all(1) for v in (clean, *x)]).all(0)
        sure = torch.ones_like(truth)
        sure[:, 0] = 1.0 - colours
        return Batch(
            self.level(clean),
            self.level(x[0]),
            self.level(x[1]),
            self._settled(values, tone),
            self._trust(on, strange, colours),
            truth,
            curve,
            tone,
            sure,
            self._tensor(kin.astype(np.float32)),
            (loud & whole).float(),
        )

    def _settled(self, values: np.ndarray, tone: torch.Tensor) -> torch.Tensor:
        out = self._tensor(values.astype(np.float32))
        for name, sign in (("threshold_db", -1.0), ("drive_db", 1.0)):
            at = next(i for i, (_, p) in enumerate(self.chain.params) if p.name == name)
            param = self.chain.params[at][1]
            out[:, at] = (out[:, at] + sign * tone).clamp(param.low, param.high)
        return out

    def _trust(self, on: np.ndarray, strange: np.ndarray, colours: torch.Tensor) -> torch.Tensor:
        known = self._tensor((on & ~strange).astype(np.float32))
        known[:, 0] = 1.0 - colours
        owner = [CANONICAL.index(e) for e, _ in self.chain.params]
        return known[:, owner]
