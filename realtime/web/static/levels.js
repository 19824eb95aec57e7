// Levels: how loud it comes in and goes out, what is taken away, and both gains.

import { state, frame, on } from "./link.js";
import { make, by, write, mark, level, calm, announce } from "./dom.js";
import { slider } from "./parameters.js";

const LOW_DB = -60;
const HOLD_MS = 1500;
const FALL_DB_S = 20;
const WORDS_MS = 250;

const toDb = (x) => (x > 0 ? 20 * Math.log10(x) : -120);
const share = (db) => Math.min(Math.max((db - LOW_DB) / -LOW_DB, 0), 1);

const meters = {};
let worded = 0;
let drawnAt = 0;
let clipped = null;

function meter(name, label) {
  const bar = make("div", { class: "bar-fill" });
  const peak = make("div", { class: "bar-peak" });
  const goal = make("div", { class: "bar-goal", hidden: true });
  const track = make(
    "div",
    {
      class: "bar-track",
      role: "meter",
      "aria-label": `${label} peak`,
      "aria-valuemin": LOW_DB,
      "aria-valuemax": 0,
      "aria-valuenow": LOW_DB,
    },
    make("div", { class: "bar-scale" }),
    bar,
    peak,
    goal,
  );
  const loudness = make("strong", { class: "loudness", text: "−∞" });
  const peakText = make("span", { class: "peak-text" });
  meters[name] = { bar, peak, goal, track, loudness, peakText, held: -120, since: 0, now: -120 };
  return make(
    "div",
    { class: `meter meter-${name}` },
    make("h3", { text: label }),
    make("p", { class: "loud" }, loudness, make("small", { text: "LUFS" })),
    track,
    peakText,
  );
}

export function startLevels() {
  const reduction = make("div", { class: "meter meter-reduction" }, make("h3", { text: "Ceiling" }));
  const fill = make("div", { class: "bar-fill" });
  const track = make("div", { class: "bar-track down", role: "meter", "aria-label": "Taken away by the ceiling", "aria-valuemin": 0, "aria-valuemax": 24, "aria-valuenow": 0 }, fill);
  const text = make("span", { class: "peak-text" });
  const amount = make("strong", { class: "loudness", text: "0.0" });
  reduction.append(make("p", { class: "loud" }, amount, make("small", { text: "dB" })), track, text);
  meters.ceiling = { fill, track, amount };
  by("levels").append(make("div", { class: "meters" }, meter("in", "Input"), meter("out", "Output"), reduction));
  on("spec", gains);
  on("frame", follow);
  on("session", goal);
}

function gains() {
  if (by("gains") || !state.spec.gain) return;
  const rows = [["input/gain_db", "input gain"], ["output/gain_db", "output gain"]];
  by("levels").append(
    make("div", { id: "gains", class: "rows" }, ...rows.map(([control, label]) => slider(control, state.spec.gain, { label }))),
  );
}

function goal() {
  const { goal: line } = meters.out;
  const target = state.session.target_lufs;
  line.hidden = target === null || target === undefined;
  if (!line.hidden) {
    line.style.bottom = `${100 * share(target)}%`;
    mark(line, "title", `to reach: ${level(target)} LUFS`);
  }
}

function follow() {
  const v = frame.values;
  const passed = Math.min((frame.at - drawnAt) / 1000, 0.2);
  if (calm() && frame.at - drawnAt < 66) return; // half the frames
  drawnAt = frame.at;
  for (const name of ["in", "out"]) {
    const m = meters[name];
    m.now = toDb(v[`${name}_peak`] ?? 0);
    if (m.now >= m.held) [m.held, m.since] = [m.now, frame.at];
    else if (frame.at - m.since > HOLD_MS) m.held = Math.max(m.now, m.held - FALL_DB_S * passed);
    m.bar.style.clipPath = `inset(${100 - 100 * share(m.now)}% 0 0 0)`;
    m.peak.style.bottom = `${100 * share(m.held)}%`;
    m.track.classList.toggle("hot", m.held > -1.01 && name === "in");
  }
  const taken = -Math.min(toDb(v.ceiling_gain ?? 1), 0);
  meters.ceiling.fill.style.clipPath = `inset(0 0 ${100 - 100 * Math.min(taken / 24, 1)}% 0)`;
  if (frame.at - worded > WORDS_MS) words(v, taken);
}

function words(v, taken) {
  worded = frame.at;
  for (const name of ["in", "out"]) {
    const m = meters[name];
    write(m.loudness, level(Math.max(v[`${name}_lufs`] ?? -120, -120)));
    write(m.peakText, `peak ${level(m.held)}`);
    mark(m.track, "aria-valuenow", Math.max(m.held, LOW_DB).toFixed(0));
    mark(m.track, "aria-valuetext", `${level(m.held, 0)} dB`);
  }
  write(meters.ceiling.amount, level(-taken));
  mark(meters.ceiling.track, "aria-valuenow", taken.toFixed(0));
  if (clipped !== null && v.clipped > clipped) announce("The ceiling holds peaks back");
  clipped = v.clipped ?? null;
}
