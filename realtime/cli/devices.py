"""`afx-live devices`: the audio devices as a table."""

from dataclasses import asdict

from ..audio.devices import Device, Kind, Listing, query, require_any
from .errors import ExitCode
from .printer import Printer


def devices(printer: Printer | None = None) -> int:
    """List audio devices; returns 0. Raises DeviceError E301 if there are none, E300 or E307 without PortAudio."""
    found = query(rates=True)
    require_any(found)
    (printer or Printer()).result([asdict(d) for d in found.devices], table(found))
    return ExitCode.DONE


def table(found: Listing) -> str:
    """Write the devices as text for people, the default pair marked; needs `query(rates=True)`."""
    width = max((len(d.name) for d in found.devices), default=4)
    head = f"   #  {'name':{width}}  {'API':11} in out  {'rates (kHz)':14} latency (low)"
    unusable = [f"{d} {why}" for d in found.devices if (why := _why_not(d))]
    lines = [head, *(_row(found, d, width) for d in found.devices if not _why_not(d))]
    if unusable:
        lines.append(f"not usable: {' · '.join(unusable)}")
    return "\n".join([*lines, "Pick by number or part of the name:  -i scarlett -o scarlett"])


def _why_not(device: Device) -> str:
    if device.trouble:
        return device.trouble
    if not (device.inputs or device.outputs):
        return "has no channels"
    return "" if device.rates else "is busy, or offers none of the usual rates"


def _row(found: Listing, d: Device, width: int) -> str:
    rates = " ".join(f"{r / 1000:g}" for r in d.rates)
    ways = (("in", d.input_latency, d.inputs), ("out", d.output_latency, d.outputs))
    delays = " ".join(f"{way} {delay * 1000:.1f}" for way, delay, channels in ways if channels)
    kinds: tuple[Kind, Kind] = ("input", "output")
    roles = " and ".join(kind for kind in kinds if found.default(kind) == d)
    left = f"{'>' if roles else ' '} {d.number:2}  {d.name:{width}}  {d.api:11} {d.inputs:2} {d.outputs:3}"
    return f"{left}  {rates:14} {delays} ms" + (f"   ← default {roles}" if roles else "")
