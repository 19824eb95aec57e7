// The bar at the top: what plays, its delay, its load and its drop-outs, and what helps against them.

import { state, frame, on, value } from "./link.js";
import { make, by, write, mark, announce } from "./dom.js";

const PERIOD_MS = 500;
const chips = {};
let told = 0;
let drops = null;

export function startHealth() {
  for (const [name, label] of [["device", "Plays on"], ["latency", "Delay"], ["load", "Load"], ["drops", "Drop-outs"]]) {
    const text = make("strong", { text: "–" });
    chips[name] = { text, element: make("li", { class: `health-${name}`, hidden: true }, make("span", { text: label }), text) };
    by("health").append(chips[name].element);
  }
  on("mode stream link", show);
  on("frame", follow);
  on("session", () => {
    const muted = Boolean(value("mute"));
    mark(by("panic"), "aria-pressed", String(muted));
    write(by("panic"), muted ? "Un-mute" : "Panic");
    document.body.classList.toggle("muted", muted);
  });
}

function show() {
  const { up, text } = state.link ?? {};
  const mode = by("mode");
  document.body.dataset.mode = state.mode ?? "";
  document.body.classList.toggle("down", !up);
  write(mode, !up ? "no connection" : state.mode === "files" ? "files" : state.stream?.running ? "live" : "waiting for the device");
  mark(mode, "data-state", !up ? "down" : state.mode === "files" ? "files" : state.stream?.running ? "live" : "waiting");
  if (text) {
    write(by("trouble"), text);
    by("trouble").hidden = false;
  } else if (up && by("trouble").textContent.startsWith("afx-live does not answer")) by("trouble").hidden = true;
  const s = state.stream;
  for (const chip of Object.values(chips)) chip.element.hidden = state.mode !== "live" || !s;
  if (!s || state.mode !== "live") return;
  const names = s.input === s.output ? s.input : `${s.input} → ${s.output}`;
  write(chips.device.text, `${names}, ${s.sample_rate / 1000} kHz, block ${s.block_size}`);
  const parts = Object.entries(s.latency_ms ?? {});
  const total = parts.reduce((sum, [, ms]) => sum + ms, 0);
  write(chips.latency.text, `${total.toFixed(1)} ms`);
  mark(chips.latency.element, "title", parts.map(([name, ms]) => `${name} ${ms.toFixed(1)} ms`).join(" + "));
}

function follow() {
  if (state.mode !== "live" || frame.at - told < PERIOD_MS) return;
  told = frame.at;
  const v = frame.values;
  write(chips.load.text, `${Math.round(100 * (v.load ?? 0))} %`);
  chips.load.element.classList.toggle("bad", v.load_max > 1);
  const now = (v.input_overflows ?? 0) + (v.output_underflows ?? 0) + (v.late ?? 0);
  const more = drops !== null && now > drops;
  write(chips.drops.text, now > 2 ? `${now} · ${state.stream?.advice ?? ""}` : String(now));
  chips.drops.element.classList.toggle("bad", more);
  if (more && now > 2) announce(`${now} drop-outs; ${state.stream?.advice ?? ""}`);
  drops = now;
}
