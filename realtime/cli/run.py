"""`afx-live run`: open the devices, match, obey OSC and keys, report, and end with a fade."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ...chain import ChainSettings
from ...files.distinct import Named, check_distinct
from ...files.streams import shown
from ...matching.model import MatchModel
from ...matching.reference import read_reference
from ..audio.options import StreamOptions
from ..audio.virtual_mic import VirtualMicrophone, need_pipewire
from ..session.autosave import saved
from ..session.state import SessionState
from ..view.console import Console, ConsoleLogHandler
from ..view.terminal import supports_view
from ..web import HOST
from .devices import devices
from .errors import ExitCode, UsageError
from .file_work import Files
from .page import PageOptions, open_page, play
from .playing import Address, Live, OscOptions
from .printer import Printer
from .saving import check_preset_path, model_files, save_last, settings_data
from .sources import announce_compiling, asked, load_model, load_sources, neutral
from .wishes import NO_WISHES, Wishes

Plan = tuple[MatchModel | None, SessionState]
"""The model, and what to play at first."""


def run(
    reference: Sequence[Path] = (),
    preset: str | None = None,
    amount: float | None = None,
    wishes: Wishes = NO_WISHES,
    model: Path | None = None,
    freeze: bool = False,
    resume: bool = False,
    options: StreamOptions | None = None,
    list_devices: bool = False,
    osc: Address | None = OscOptions.address,
    osc_allow: Sequence[str] = (),
    osc_feedback: Sequence[Address] = (),
    osc_range: float = 1.0,
    clips: Sequence[Path] = (),
    no_screen: bool = False,
    web: int | None = None,
    web_host: str = HOST,
    no_browser: bool = False,
    virtual_mic: str | None = None,
    virtual_mic_default: bool = False,
    save_preset: Path | None = None,
    force: bool = False,
    printer: Printer | None = None,
) -> int:
    """Play until Ctrl-C, SIGTERM, SIGHUP or q; returns 0. Call it from the main thread: it handles these signals.

    The parameters are the command's flags: see afx-live run --help. Raises UsageError, DeviceError, ClipError,
    PresetError, ModelError or PortError.
    """
    printer = printer or Printer()
    if list_devices:
        return devices(printer)
    if save_preset:
        named = [Named("a reference", path) for path in reference]
        named += [Named("the preset", Path(preset))] if preset and Path(preset).is_file() else []
        named += model_files(model)
        check_distinct([*named, Named("the preset to be saved", save_preset, True)])
    check_preset_path(save_preset, force)
    options = options or StreamOptions()
    mic = _microphone(virtual_mic, virtual_mic_default, options)
    if web is None and (web_host != HOST or no_browser):
        raise UsageError("--web-host and --no-browser belong to --web: add it")
    page_options = None if web is None else PageOptions(web, web_host, not no_browser)
    with Console(printer.quiet) as console, ConsoleLogHandler(console, printer.verbose):
        if resume:
            if reference or preset:
                raise UsageError("--resume continues with what was played last: leave out --reference and --preset")
            matcher, state = _resumed(model, amount, wishes, printer, console)
        elif web is None or reference or preset:
            matcher, state = _planned(reference, preset, model, amount, wishes, printer)
        else:
            matcher, state = neutral(model, wishes, printer, amount)
        _announce(state, console)
        name = save_preset.stem if save_preset else "last"
        live = Live(
            matcher,
            state,
            options,
            OscOptions(osc, osc_allow, osc_feedback, osc_range),
            [*clips, *(r.path.parent for r in state.references)],
            freeze,
            shows_view(printer, no_screen),
            name,
        )
        asked = bool(resume or reference or preset or mic or options.input_device or options.output_device)
        files = Files(matcher, state, name, may_leave=mic is None)
        with open_page(page_options, console) as page, _playing_into(mic, live, console) as live:
            outcome = play(live, files, console, page, "live" if asked else "files")
        save_last(outcome.preset, outcome.autosave, console, save_preset, force)
    if printer.as_json:
        printer.result(settings_data(outcome.preset.settings), "")
    return ExitCode.DONE


def _microphone(name: str | None, default: bool, options: StreamOptions) -> VirtualMicrophone | None:
    """Give the virtual microphone that was asked for, not made yet. Raises UsageError, or DeviceError E311."""
    if name is None:
        if default:
            raise UsageError("--virtual-mic-default belongs to --virtual-mic: add it")
        return None
    if options.output_device is not None:
        raise UsageError("--virtual-mic is where it plays: leave out --output-device")
    if isinstance(options.input_device, int):
        raise UsageError("with --virtual-mic, inputs are PipeWire's: give -i a part of a microphone's name")
    need_pipewire()
    try:
        return VirtualMicrophone(name, default)
    except ValueError as error:
        raise UsageError(f"--virtual-mic: {error}") from None


@contextmanager
def _playing_into(mic: VirtualMicrophone | None, live: Live, console: Console) -> Iterator[Live]:
    """Have it play into a microphone, if there is one, and say that it is there."""
    if mic is None:
        yield live
        return
    with mic:
        console(f'Microphone "{mic.name}": choose it in OBS, Zoom or a browser; it goes when afx-live ends')
        yield replace(live, options=mic.options(live.options), env=mic.env)


def shows_view(printer: Printer, no_screen: bool = False) -> bool:
    """Tell whether to show the view: on a terminal that can, unless plain lines or JSON were asked for."""
    return not (printer.quiet or printer.as_json or no_screen) and supports_view(sys.stderr)


# --- what to play ---------------------------------------------------------------------------------


def _planned(
    reference: Sequence[Path],
    preset: str | None,
    model: Path | None,
    amount: float | None,
    wishes: Wishes,
    printer: Printer,
) -> Plan:
    """Load what was asked for."""
    sources = load_sources(reference, preset, model, printer, always_model=True, wishes=wishes)
    assert sources.model is not None
    order, chosen, share = sources.model.chain.order, sources.preset, amount
    if chosen is None or reference:
        settings = ChainSettings.default(order)
        if chosen is not None:  # to be locked, in part
            settings = wishes.choices(order, chosen.settings.scaled(chosen.amount)).kept(settings)
        state = SessionState(settings, 1.0 if share is None else share, references=tuple(sources.references))
    else:
        share = chosen.amount if share is None else share
        state = SessionState(chosen.settings, share, chosen.target_lufs, preset_name=chosen.name)
    return sources.model, asked(state, wishes, order)


def _resumed(model: Path | None, amount: float | None, wishes: Wishes, printer: Printer, console: Console) -> Plan:
    """Continue from the autosave; with its settings alone if the references are gone."""
    announce_compiling(printer)
    preset, files, by_hand = saved()
    matcher = load_model(model)
    there = [path for path in files if path.is_file()]
    for path in files:
        if path not in there:
            console(f"warning: {path} is missing" + ("" if there else "; playing the settings it led to"))
    settings, share = preset.settings, preset.amount if amount is None else amount
    if not there:
        state = SessionState(settings, share, preset.target_lufs, preset_name=preset.name)
    else:
        if [s.effect for s in settings.effects] != list(matcher.chain.order):
            settings = ChainSettings.default(matcher.chain.order)
        state = SessionState(settings, share, references=tuple(read_reference(path, matcher) for path in there))
    state = state.with_choices(preset.source.get("choices", {})).with_by_hand(by_hand)
    return matcher, asked(state, wishes, matcher.chain.order)


def _announce(state: SessionState, console: Console) -> None:
    for r in state.references:
        console(f"Reference  {shown(r.path.name)}  {r.seconds:.1f} s  {r.lufs:.1f} LUFS")
        if r.note:
            console(f"warning: {shown(r.path.name)}: {r.note}")
    if state.preset_name:
        console(f"Preset     {state.preset_name}")
