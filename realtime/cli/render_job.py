"""What `afx-live render` does with one file; goes to other processes and machines."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from ... import presets
from ...chain import GAIN, ChainSettings
from ...files.streams import shown
from ...matching.clips import Clip, read_clip
from ...matching.explain import Explanation, explain
from ...matching.format import DESCRIPTION
from ...matching.level import MAX_LUFS
from ...matching.match import Match, given_settings, match_clip
from ...matching.words import sentences
from ..audio.render import Rendering, render
from ..audio.safety import CEILING
from ..batch import Item, check_stopped
from .errors import KINDS, exit_code, message
from .saving import settings_data
from .sources import Sources

MISSED_LU = 0.5
"""A loudness that is missed by more is told."""


@dataclass(frozen=True)
class Rendered:
    """One file as it was rendered: loudness in LUFS before, after and aimed at; probabilities by effect, if matched.

    A dry run has no output, and nothing is known of it. explanation: of a match. notes: what is missing from the input,
    what the output could not keep, a loudness that is out of reach; reference_notes: what is missing from references.
    """

    input: Path
    output: Path | None
    seconds: float
    x_real_time: float | None
    lufs_before: float
    lufs_after: float | None
    target_lufs: float | None
    true_peak_db: float | None
    probability: dict[str, float] | None
    reached: bool
    settings: ChainSettings
    notes: tuple[str, ...] = ()
    reference_notes: tuple[str, ...] = ()
    explanation: Explanation | None = None

    def data(self) -> dict[str, Any]:
        """Give it as plain data, for JSON."""
        paths = {"input": str(self.input), "output": None if self.output is None else str(self.output)}
        notes = {"notes": list(self.notes), "reference_notes": list(self.reference_notes)}
        told = self.explanation.data() if self.explanation else None
        return {**vars(self), **paths, "settings": settings_data(self.settings), **notes, "explanation": told}

    def line(self) -> str:
        """Say it in one line."""
        return f"{self._names()}   {self._loudness()}"

    def _names(self) -> str:
        return f"{shown(self.input)} → {shown(self.output) if self.output else 'nowhere: a dry run'}"

    def _loudness(self) -> str:
        after = self.target_lufs if self.lufs_after is None else self.lufs_after
        return f"{self.lufs_before:.1f}" + ("" if after is None else f" → {after:.1f}") + f" LUFS{self._peak()}"

    def _peak(self) -> str:
        return "" if self.true_peak_db is None else f", true peak {self.true_peak_db:.1f} dBTP"

    def __str__(self) -> str:
        speed = "" if self.x_real_time is None else f"   {self.x_real_time:g} × real time"
        lines = [self._names(), f"  loudness   {self._loudness()}{speed}"]
        *chain, level = sentences(self.settings)
        told = self.explanation
        said = [*map(str, told.effects), level, *filter(None, [told.verdict])] if told else [*chain, level]
        lines += [f"  {line}" for line in said]
        return "\n".join(lines)

    def preset(self, name: str, sources: Sources) -> presets.Preset:
        """Give what was played as a preset."""
        model = sources.model.name if sources.model else ""
        made = presets.provenance(sources.references, model, choices=sources.asked) if sources.references else {}
        target = None if self.target_lufs is None else min(self.target_lufs, MAX_LUFS)
        return presets.Preset(name, self.settings, 1.0, target, made)


@dataclass(frozen=True)
class RenderJob:
    """All that an output depends on besides its input, and what to do with an input: call it with an Item.

    amount: 0 to 1; lufs: the loudness to reach, instead of the reference's or preset's; subtype: see `files.writer`;
    channels: the input's, counted from 1, all if empty.
    """

    sources: Sources
    amount: float | None = None
    lufs: float | None = None
    subtype: str = ""
    channels: tuple[int, ...] = ()
    force: bool = False
    dry_run: bool = False

    def key(self) -> str:
        """Give a checksum: with the same one, the same input becomes the same output."""
        s = self.sources
        said = [
            presets.to_json(s.preset) if s.preset else "",
            [(r.sha256, r.seconds) for r in s.references],
            (s.model.folder / DESCRIPTION).read_text(encoding="utf-8") if s.model else "",
            [self.amount, self.lufs, self.subtype, self.channels, s.asked],
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]

    def match(self, clip: Clip) -> Match:
        """Match a clip to the references, or put the preset on it; the loudness that was asked for is its target."""
        if (preset := self.sources.preset) is not None and not self.sources.references:
            share = preset.amount if self.amount is None else self.amount
            target = clip.lufs if preset.target_lufs is None else clip.lufs + share * (preset.target_lufs - clip.lufs)
            return given_settings(clip, preset.settings.scaled(share), target if self.lufs is None else self.lufs)
        assert self.sources.model is not None
        amount, choices = 1.0 if self.amount is None else self.amount, self.sources.choices
        found = match_clip(clip, self.sources.model, self.sources.references, amount, choices)
        if self.lufs is None or found.target_lufs is None:
            return found
        gain_db = GAIN.clip(found.settings.output_gain_db + self.lufs - found.target_lufs)
        return replace(found, settings=replace(found.settings, output_gain_db=gain_db), target_lufs=self.lufs)

    def render(self, item: Item, step: Callable[[float, float | None], None] = lambda done, total: None) -> Rendered:
        """Read, match and render one file; `step` gets frames done and all frames. Raises as `render` does."""
        frames = 0

        def on(count: int) -> None:
            nonlocal frames
            check_stopped()
            frames += count
            step(min(frames, clip.frames), clip.frames)

        clip = read_clip(item.source, lambda count: check_stopped(), self.channels)
        begin = perf_counter()
        found = self.match(clip)
        if self.dry_run:
            return self.told(item, clip, found, None, 0.0)
        item.target.parent.mkdir(parents=True, exist_ok=True)
        done = render(clip, found, item.target, on, self.force or item.ours, self.subtype)
        return self.told(item, clip, found, done, perf_counter() - begin)

    def told(self, item: Item, clip: Clip, found: Match, done: Rendering | None, took_s: float) -> Rendered:
        """Say what was done."""
        notes = [clip.note, *(f"not kept: {what}" for what in (done.lost if done else ()))]
        if done and found.target_lufs is not None and abs(found.target_lufs - done.lufs) > MISSED_LU:
            why = (
                f"under the ceiling of {20 * math.log10(CEILING):.0f} dBFS"
                if done.lufs < found.target_lufs
                else "by its gain"
            )
            notes.append(f"{found.target_lufs:.1f} LUFS could not be reached {why}")
        return Rendered(
            item.source,
            item.target if done else None,
            seconds=round(clip.seconds, 3),
            x_real_time=round(clip.seconds / took_s, 1) if done else None,
            lufs_before=round(clip.lufs, 2),
            lufs_after=round(done.lufs, 2) if done else None,
            target_lufs=None if found.target_lufs is None else round(found.target_lufs, 2),
            true_peak_db=round(done.true_peak_db, 2) if done and abs(done.true_peak_db) < 1e9 else None,
            probability={e: round(p, 3) for e, p in found.probabilities.items()} or None,
            reached=found.in_range,
            settings=done.settings if done else found.settings,
            notes=tuple(filter(None, notes)),
            reference_notes=tuple(f"{shown(r.path)}: {r.note}" for r in self.sources.references if r.note),
            explanation=self._explained(clip, found),
        )

    def _explained(self, clip: Clip, found: Match) -> Explanation | None:
        s = self.sources
        if found.prediction is None or s.model is None:
            return None
        return explain(
            s.model, found.prediction, found.settings, s.choices, clip.excerpts, clip.sample_rate, found.in_range
        )

    def __call__(self, item: Item) -> dict[str, Any]:
        """Render one of many; gives `status` and, as an object, what was `rendered`."""
        return {"status": "done", "rendered": self.render(item)}


def failed(error: Exception) -> dict[str, Any]:
    """Make a row of what went wrong with one of many."""
    return {
        "status": "failed",
        "code": exit_code(error),
        "kind": KINDS.get(exit_code(error), "bug"),
        "message": message(error),
    }
