"""`afx-live doctor`: what is installed, what limits latency, which block size is safe."""

from dataclasses import asdict, dataclass, field
from typing import Any

from ..audio.devices import Device, DeviceError, Listing, choose_pair, query
from ..audio.options import StreamOptions
from ..audio.safety import LOOKAHEAD
from ..doctor import dropouts
from ..doctor.dropouts import SETTLE_S, START_S, DropOuts, diagnosis, drop_outs, smallest
from ..doctor.system import Check, checks, no_device
from .devices import table
from .errors import ExitCode
from .loopback import loopback as measure_loopback
from .printer import Printer
from .sources import announce_compiling

HEAD = " block   late  xruns  callbacks   load mean      max     latency"


@dataclass
class Findings:
    """All that the doctor found: checks in order, devices, drop-outs by block size, and those of the empty callback."""

    printer: Printer
    checks: list[Check] = field(default_factory=list)
    listing: Listing | None = None
    pair: tuple[Device, Device] | None = None
    rows: list[DropOuts] = field(default_factory=list)
    empty: DropOuts | None = None

    def add(self, check: Check) -> None:
        """Keep a check, and print it."""
        self.checks.append(check)
        self.printer.text(check)

    def data(self) -> dict[str, Any]:
        """Give it as plain data, for JSON."""
        best, pair, empty = smallest(self.rows), self.pair, self.empty
        return {
            "checks": [asdict(c) for c in self.checks],
            "devices": [asdict(d) for d in self.listing.devices] if self.listing else [],
            "chosen": {"input": pair[0].name, "output": pair[1].name, "api": pair[0].api} if pair else None,
            "drop_outs": [{**asdict(row), "safe": row.safe} for row in self.rows],
            "empty": {**asdict(empty), "safe": empty.safe} if empty else None,
            "safe_block": best.block if best else None,
            "latency_ms": best.latency_ms if best else None,
        }


def doctor(
    loopback: bool = False,
    seconds: float = 10.0,
    options: StreamOptions | None = None,
    printer: Printer | None = None,
) -> int:
    """Check everything; returns 0 if there is a safe block size, 3 if there is none, or no device.

    seconds: how long each block size is tested. `loopback`: measure the round trip instead; raises DeviceError.
    """
    options, printer = options or StreamOptions(), printer or Printer()
    if loopback:
        return measure_loopback(options, printer)
    found = Findings(printer)
    for check in checks():
        found.add(check)
    _find_devices(found, options)
    if found.pair:
        _test(found, seconds, options)
    for check in diagnosis(found.rows, found.empty):
        found.add(check)
    best = smallest(found.rows)
    if printer.as_json:
        printer.result(found.data(), "")
    elif found.rows:
        printer.text(_verdict(best))
    return ExitCode.DONE if best else ExitCode.DEVICE


def _row(row: DropOuts) -> str:
    if row.error:
        return f"{row.block:6}  {row.error}"
    return (
        f"{row.block:6} {row.late:6} {row.xruns:6} {row.callbacks:10} {100 * row.load:9.1f} % "
        f"{100 * row.load_max:6.1f} % {row.latency_ms:8.2f} ms  {'safe' if row.safe else 'drops out'}"
    )


def _verdict(best: DropOuts | None) -> str:
    if best is None:
        return "No block size is safe here: fix the problems above, from the first one down."
    return (
        f"Smallest safe block: {best.block} frames, {best.latency_ms:.1f} ms from input to output: the limiter's "
        f"look-ahead of {LOOKAHEAD} frames, and what PortAudio claims (afx-live doctor --loopback measures it).\n"
        f"Use: afx-live --blocksize {best.block} --reference YOUR.wav"
    )


def _find_devices(found: Findings, options: StreamOptions) -> None:
    """List the devices and choose two as `run` would; where that fails, say why."""
    try:
        found.listing = query(rates=True)
    except DeviceError as error:
        return found.add(no_device(str(error)))
    if not found.listing.devices:
        return found.add(no_device(f"PortAudio found none under {', '.join(found.listing.apis) or 'no host API'}."))
    found.printer.text(table(found.listing))
    try:
        pair = choose_pair(found.listing, options.input_device, options.output_device)
    except DeviceError as error:
        return found.add(Check("devices", "problem", str(error), "afx-live devices"))
    found.pair = input, output = pair
    text = f"plays from {input} to {output}, at {options.sample_rate or output.rate:g} Hz"
    if input.name == output.name:
        return found.add(Check("devices", "ok", text))
    fix = "use input and output of one interface: -i NAME -o NAME"
    found.add(Check("devices", "warning", f"{text}: two devices, whose clocks may drift apart", fix))


def _test(found: Findings, seconds: float, options: StreamOptions) -> None:
    """Try every block size; then the empty callback with the longest one that dropped out."""
    printer, blocks = found.printer, dropouts.BLOCKS
    announce_compiling(printer)
    each = seconds + SETTLE_S + START_S
    if not printer.as_json:
        sizes = ", ".join(map(str, blocks))
        total = f"about {len(blocks) * each:.0f} s, {each:.0f} s more if one drops out"
        printer.note(f"Drop-outs: the full chain, muted, {seconds:g} s each with {sizes} frames: {total}.")
    total_s = seconds * len(blocks)
    with printer.bar("drop-out test", total_s) as step:
        for i, block in enumerate(blocks):
            found.rows.append(drop_outs(block, seconds, options, lambda s, i=i: step(i * seconds + s, total_s)))
    bad = [row for row in found.rows if row.callbacks and not row.safe]
    if bad:
        with printer.bar("drop-out test", seconds) as step:
            found.empty = drop_outs(bad[0].block, seconds, options, lambda s: step(s, seconds), empty=True)
    printer.text("\n".join([HEAD, *map(_row, found.rows), *([f"{_row(found.empty)}, empty"] if found.empty else [])]))
