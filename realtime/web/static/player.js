// Files: a recording, before and after, beside the reference, at equal loudness; what is turned is heard at once.

import { state, say, ask, upload, download, measured, on, value } from "./link.js";
import { make, by, write, mark, announce, duration, level, sharpen, colour, drawn } from "./dom.js";
import { take as takeReferences, trouble } from "./match.js";
import { Deck } from "./deck.js";

const SIDES = ["before", "after", "reference"];
const FRAME_MS = 1000 / 30;
const SOUND = "audio/*,.wav,.flac,.ogg,.mp3,.aiff,.aif";

const parts = {};
let deck = null;
let side = "after";
let worn = 0;

export const player = {
  toggle: () => (deck?.playing ? deck.pause() : start()),
  hear,
  flip: () => hear(side === "before" ? "after" : "before"),
  take: takeReferences,
};

export function startFiles() {
  const chooser = make("input", { type: "file", accept: SOUND, class: "unseen", tabindex: -1, "aria-label": "Recording", onchange: () => (record(chooser.files[0]), (chooser.value = "")) });
  parts.bundled = make("select", { "aria-label": "A bundled recording", onchange: () => (parts.bundled.value && say({ recording: parts.bundled.value }), (parts.bundled.value = "")) });
  parts.name = make("p", { class: "recording-name" });
  parts.canvas = make("canvas", { "aria-hidden": "true" });
  parts.wave = make(
    "div",
    { class: "plot wave", role: "slider", tabindex: 0, "aria-label": "Position", "aria-valuemin": 0, title: "Click to go there; drag over a stretch to hear it round and round", onpointerdown: select, ondblclick: () => loop(null), onkeydown: seekKey },
    parts.canvas,
  );
  parts.play = make("button", { type: "button", class: "play", text: "Play", onclick: player.toggle });
  parts.time = make("output", { class: "number time", text: "0:00" });
  parts.sides = make("div", { class: "segments", role: "radiogroup", "aria-label": "What is heard" }, ...SIDES.map((name) => make("button", { type: "button", role: "radio", "data-side": name, text: name, onclick: () => hear(name), onkeydown: sideKey })));
  parts.whole = make("button", { type: "button", text: "Whole recording", hidden: true, onclick: () => loop(null) });
  const save = (what, text) => make("button", { type: "button", text, onclick: (event) => keep(event.currentTarget, what) });
  parts.saves = make("div", { class: "buttons saves" }, save("sound", "Save sound"), save("preset", "Save preset"), save("plugin", "Save plug-in"));
  parts.drop = make(
    "div",
    { class: "drop-zone", id: "recording-drop", onrecording: ({ detail }) => record(detail) },
    make("p", { class: "drop-words", text: "Drop the recording to work on here" }),
    make("div", { class: "buttons" }, make("button", { type: "button", text: "Choose a recording …", onclick: () => chooser.click() }), parts.bundled),
    chooser,
  );
  parts.deck = make("div", { class: "deck", hidden: true }, parts.name, parts.wave, make("div", { class: "buttons" }, parts.play, parts.time, parts.sides, parts.whole), parts.saves);
  by("files").append(make("div", { class: "panel-head" }, make("h2", { id: "files-title", text: "Recording" })), parts.drop, parts.deck);

  on("spec", () => parts.bundled.replaceChildren(make("option", { value: "", text: "or a bundled one" }), ...(state.spec.clips ?? []).map((name) => make("option", { value: name, text: name.replaceAll("_", " ") }))));
  on("mode recording references", show);
  on("session", gains);
  on("revision", () => deck?.changed());
  const draw = drawn(paint);
  on("recording theme", draw);
  new ResizeObserver(draw).observe(parts.canvas);
  markSides();
  requestAnimationFrame(run);
}

// --- what is worked on ------------------------------------------------------------------------------

async function record(file) {
  if (!file) return;
  announce(`Listening to ${file.name}`);
  document.body.classList.add("busy");
  try {
    await upload(file, "recording");
  } catch (error) {
    trouble(`${file.name}: ${error.message}`);
  }
  document.body.classList.remove("busy");
}

function show() {
  by("files").hidden = state.mode !== "files";
  const recording = state.mode === "files" ? state.recording : null;
  parts.deck.hidden = !recording;
  parts.drop.classList.toggle("small", Boolean(recording));
  const reference = state.references?.[0];
  parts.sides.querySelector("[data-side=reference]").disabled = !reference;
  if (!recording || (deck && deck.recording.id !== recording.id)) {
    deck?.close();
    deck = null;
  }
  if (!recording) return;
  write(parts.name, `${recording.name} · ${duration(recording.seconds)} · ${recording.sample_rate / 1000} kHz · ${level(recording.lufs)} LUFS`);
  mark(parts.wave, "aria-valuemax", recording.seconds.toFixed(1));
  if (!deck) {
    deck = new Deck(recording, fetchSound);
    deck.onplay = () => write(parts.play, deck.playing ? "Pause" : "Play");
    deck.ontrouble = trouble;
    deck.onplay();
  }
  deck.reference = reference ?? null;
  gains();
}

/** Ask for a stretch of sound: interleaved float32, and for what the chain has played, its meters. */
async function fetchSound(which, from, frames, id) {
  const answer = await ask({ sound: which, start: from, frames, id });
  const about = JSON.parse(answer.headers.get("x-about"));
  const numbers = new Float32Array(await answer.arrayBuffer());
  const size = about.frames * about.channels;
  return { ...about, sound: numbers.subarray(0, size), rows: numbers.subarray(size) };
}

/** Bring all three to the loudness of the match; further down, together, if one would clip; to silence in a panic. */
function gains() {
  if (!deck) return;
  const { input_lufs: before, output_lufs: after } = state.loudness ?? {};
  const { recording, reference } = deck;
  const db = {
    before: (after ?? recording.lufs) - recording.lufs,
    after: 0,
    reference: reference ? (after ?? before ?? recording.lufs) - reference.lufs : 0,
  };
  const peak = { before: recording.peak, after: 0.9, reference: reference?.peak ?? 1 };
  const over = Math.max(...SIDES.map((name) => db[name] + 20 * Math.log10(Math.max(peak[name], 1e-6))), 0);
  deck.gains(Object.fromEntries(SIDES.map((name) => [name, value("mute") ? 0 : 10 ** ((db[name] - over) / 20)])));
}

// --- hearing ----------------------------------------------------------------------------------------

async function start() {
  if (!deck) return;
  await deck.play();
  deck.hear(side);
}

function hear(name) {
  if (name === "reference" && !deck?.reference) return;
  side = name;
  deck?.hear(name);
  markSides();
  announce({ before: "Before", after: "After", reference: "The reference" }[name]);
}

function markSides() {
  for (const button of parts.sides.children) {
    const on_ = button.dataset.side === side;
    mark(button, "aria-checked", String(on_));
    button.tabIndex = on_ ? 0 : -1;
  }
}

function sideKey(event) {
  const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!way) return;
  event.preventDefault();
  const there = SIDES.filter((name) => name !== "reference" || deck?.reference);
  hear(there[(there.indexOf(side) + way + there.length) % there.length]);
  parts.sides.querySelector("[aria-checked=true]").focus();
}

function seekKey(event) {
  if (!deck) return;
  const seconds = { ArrowRight: 1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
  if (seconds) deck.seek(deck.position + seconds * deck.rate);
  else if (event.key === "Home") deck.seek(0);
  else if (event.key === "[") loop([deck.position, deck.region?.[1] ?? deck.frames]);
  else if (event.key === "]") loop([deck.region?.[0] ?? 0, deck.position]);
  else if (event.key === "Escape") loop(null);
  else return;
  event.preventDefault();
}

function loop(region) {
  deck?.repeat(region);
  parts.whole.hidden = !deck?.region;
  paint();
}

/** A click goes there; a drag chooses the stretch that is heard round and round. */
function select(event) {
  if (!deck || event.button > 0) return;
  parts.wave.setPointerCapture(event.pointerId);
  const box = parts.wave.getBoundingClientRect();
  const at = (x) => Math.min(Math.max((x - box.left) / box.width, 0), 1) * deck.frames;
  const from = at(event.clientX);
  let to = from;
  const drag = ({ clientX }) => {
    to = at(clientX);
    if (Math.abs(to - from) > 0.3 * deck.rate) loop([Math.min(from, to), Math.max(from, to)]);
  };
  parts.wave.addEventListener("pointermove", drag);
  parts.wave.addEventListener(
    "lostpointercapture",
    () => {
      parts.wave.removeEventListener("pointermove", drag);
      if (Math.abs(to - from) <= 0.3 * deck.rate) deck.seek(from);
    },
    { once: true },
  );
}

async function keep(button, what) {
  const text = button.textContent;
  button.disabled = true;
  write(button, "Making it …");
  try {
    await download({ save: what }, what);
    announce("Saved");
  } catch (error) {
    trouble(error.message);
  }
  button.disabled = false;
  write(button, text);
}

// --- showing ----------------------------------------------------------------------------------------

function run(when) {
  requestAnimationFrame(run);
  if (!deck?.playing || when - worn < FRAME_MS - 4) return;
  worn = when;
  const { values, spectrum } = deck.readings(state.spec.hz ?? []);
  if (values) measured(values, spectrum);
  paint();
}

function paint() {
  const { pen, width, height } = sharpen(parts.canvas);
  const peaks = state.recording?.peaks ?? [];
  if (!width || !peaks.length || !deck) return;
  const [from, to] = deck.region ?? [0, deck.frames];
  const inside = (i) => i / peaks.length >= from / deck.frames && i / peaks.length <= to / deck.frames;
  const bar = width / peaks.length;
  const top = Math.max(...peaks, 0.05);
  const at = (deck.position / deck.frames) * width;
  for (const [i, peak] of peaks.entries()) {
    const tall = Math.max((peak / top) * (height - 6), 1);
    pen.fillStyle = colour(!inside(i) ? "track" : i * bar < at ? side === "after" ? "output" : side === "before" ? "input" : "reference" : "wave");
    pen.fillRect(i * bar, (height - tall) / 2, Math.max(bar - 1, 0.6), tall);
  }
  pen.fillStyle = colour("text");
  pen.fillRect(at - 1, 0, 2, height);
  const seconds = deck.position / deck.rate;
  write(parts.time, `${duration(seconds)} / ${duration(deck.frames / deck.rate)}`);
  mark(parts.wave, "aria-valuenow", seconds.toFixed(0));
  mark(parts.wave, "aria-valuetext", `${duration(seconds)} of ${duration(deck.frames / deck.rate)}`);
}
