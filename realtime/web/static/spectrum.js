// Tone: the spectra of input and reference, the equaliser's curve over them, and its six nodes.

import { state, frame, set, on, value } from "./link.js";
import { make, by, write, mark, signed, frequency, colour, sharpen, trace, drawn, calm, announce } from "./dom.js";
import { parameter, toUnit, fromUnit } from "./parameters.js";

const LOW_HZ = 25;
const HIGH_HZ = 20000;
const TOP_DB = 24;
const BOTTOM_DB = -42;
const HZ_LINES = [50, 100, 200, 500, 1000, 2000, 5000, 10000];
const DB_LINES = [18, 12, 6, 0, -6, -12, -18, -24, -30, -36];
const STEP = { db: 0.5, octave: 1 / 12, q: 1.1 };
const FOLLOW = 0.06; // how fast the level around which the live spectrum is shown follows

const canvas = make("canvas", { "aria-hidden": "true" });
const nodes = new Map();
let middle = -60; // the level around which it is shown
let active = null;

export function startSpectrum() {
  by("spectrum").append(canvas);
  const draw = drawn(paint);
  on("spec session", () => (place(), draw()));
  on("pictures spectra theme", draw);
  on("frame", draw);
  new ResizeObserver(() => (place(), draw())).observe(canvas);
  const names = [["now", "now"], ["input", "input"], ["reference", "reference"], ["result", "input with the curve"], ["curve", "equaliser"]];
  by("legend").append(...names.map(([kind, text]) => make("li", { class: `key-${kind}`, text })));
}

// --- geometry ---------------------------------------------------------------------------------------

const across = (hz) => (Math.log(hz / LOW_HZ) / Math.log(HIGH_HZ / LOW_HZ)) * canvas.clientWidth;
const down = (db) => ((TOP_DB - db) / (TOP_DB - BOTTOM_DB)) * canvas.clientHeight;
const hzAt = (x) => LOW_HZ * (HIGH_HZ / LOW_HZ) ** (x / canvas.clientWidth);
const dbAt = (y) => TOP_DB - (y / canvas.clientHeight) * (TOP_DB - BOTTOM_DB);

// --- nodes ------------------------------------------------------------------------------------------

/** The equaliser's bands, by their names: those of its parameters that have a gain. */
function bands() {
  const params = state.spec.effects.equaliser?.params ?? [];
  return params.filter((p) => p.name.endsWith("_db")).map((p) => p.name.slice(0, -3));
}

const control = (band, what) => `equaliser/${band}_${what}`;
const title = (band) => band.replaceAll("_", " ");

function place() {
  for (const [number, band] of bands().entries()) {
    if (!nodes.has(band)) {
      nodes.set(band, node(band, number));
      by("spectrum").append(nodes.get(band));
    }
    const element = nodes.get(band);
    const [hz, db, q] = ["hz", "db", "q"].map((what) => value(control(band, what)));
    element.hidden = hz === undefined || !state.session.chain?.includes("equaliser");
    if (element.hidden) continue;
    element.style.left = `${across(hz)}px`;
    element.style.top = `${down(db)}px`;
    mark(element, "aria-valuenow", db.toFixed(1));
    mark(element, "aria-valuetext", `${signed(db)} dB at ${frequency(hz)}, Q ${q.toFixed(2)}`);
    element.classList.toggle("flat", Math.abs(db) < 0.05);
    element.classList.toggle("off", Boolean(value("equaliser/bypass")));
    element.classList.toggle("held", ["hz", "db", "q"].some((what) => state.session.locked?.includes(control(band, what))));
    write(element.lastChild, `${signed(db)} dB  ${frequency(hz)}  Q ${q.toFixed(2)}`);
  }
}

function node(band, number) {
  const range = parameter("equaliser", `${band}_db`);
  const element = make(
    "div",
    {
      class: `node node-${number}`,
      role: "slider",
      tabindex: 0,
      "aria-label": `Equaliser ${title(band)}`,
      "aria-orientation": "vertical",
      "aria-valuemin": range.low,
      "aria-valuemax": range.high,
      title: `${title(band)}: drag; scroll for Q; double-click for neutral`,
      onpointerdown: (event) => grab(event, band, element),
      ondblclick: () => neutral(band),
      onwheel: (event) => {
        event.preventDefault();
        move(band, { q: event.deltaY < 0 ? STEP.q : 1 / STEP.q });
      },
      onkeydown: (event) => key(event, band),
      onpointerenter: () => light(band),
      onpointerleave: () => light(null),
      onfocus: () => light(band),
      onblur: () => light(null),
    },
    make("span", { class: "dot", text: String(number + 1), "aria-hidden": "true" }),
    make("span", { class: "tip", "aria-hidden": "true" }),
  );
  return element;
}

function light(band) {
  active = band;
  drawSoon();
}

const drawSoon = drawn(() => paint());

function clip(band, what, given) {
  const { low, high } = parameter("equaliser", `${band}_${what}`);
  return Math.min(Math.max(given, low), high);
}

function grab(event, band, element) {
  if (event.button > 0) return;
  event.preventDefault();
  element.focus();
  element.setPointerCapture(event.pointerId);
  element.classList.add("grabbed");
  const box = canvas.getBoundingClientRect();
  const offset = { x: event.clientX - box.left - across(value(control(band, "hz"))), y: event.clientY - box.top - down(value(control(band, "db"))) };
  const drag = ({ clientX, clientY, altKey, shiftKey }) => {
    const db = clip(band, "db", dbAt(clientY - box.top - offset.y));
    const hz = clip(band, "hz", hzAt(clientX - box.left - offset.x));
    // With Shift only the gain moves, with Alt only the frequency.
    set({ ...(altKey ? {} : { [control(band, "db")]: db }), ...(shiftKey ? {} : { [control(band, "hz")]: hz }) });
  };
  const release = () => {
    element.classList.remove("grabbed");
    element.removeEventListener("pointermove", drag);
    announce(`${title(band)} ${element.getAttribute("aria-valuetext")}`);
  };
  element.addEventListener("pointermove", drag);
  element.addEventListener("lostpointercapture", release, { once: true });
}

function neutral(band) {
  set({ [control(band, "db")]: 0 });
}

/** Move a band: `db` is added, `octave` too, `q` multiplies. */
function move(band, { db = 0, octave = 0, q = 1 }) {
  const now = (what) => value(control(band, what));
  const news = {};
  if (db) news[control(band, "db")] = clip(band, "db", now("db") + db);
  if (octave) news[control(band, "hz")] = clip(band, "hz", now("hz") * 2 ** octave);
  if (q !== 1) news[control(band, "q")] = clip(band, "q", now("q") * q);
  set(news);
}

function key(event, band) {
  const fine = event.shiftKey ? 0.2 : 1;
  const moves = {
    ArrowUp: { db: STEP.db * fine },
    ArrowDown: { db: -STEP.db * fine },
    ArrowRight: { octave: STEP.octave * fine },
    ArrowLeft: { octave: -STEP.octave * fine },
    PageUp: { q: STEP.q },
    PageDown: { q: 1 / STEP.q },
  };
  if (event.key in moves) move(band, moves[event.key]);
  else if (["Delete", "Backspace", "Home"].includes(event.key)) neutral(band);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

// --- the picture ------------------------------------------------------------------------------------

function paint() {
  const { pen, width, height } = sharpen(canvas);
  if (!width) return;
  grid(pen, width, height);
  const hz = state.spec.hz ?? [];
  const xs = hz.map(across);
  const { input_db: input, reference_db: reference } = state.spectra ?? {};
  const curve = state.pictures?.equaliser;
  const ys = (dbs) => dbs.map((db) => (db === null ? NaN : down(db)));

  if (frame.spectrum?.length === xs.length && performance.now() - frame.at < 2000) now(pen, xs, height);
  if (input) line(pen, xs, ys(input), "input", 1.6);
  if (reference) line(pen, xs, ys(reference), "reference", 2, [7, 4]);
  if (input && curve && !value("equaliser/bypass")) {
    line(pen, xs, ys(input.map((db, i) => (db === null ? null : db + curve.total_db[i]))), "result", 1.6, [2, 3]);
  }
  if (!curve) return;
  if (active && curve.bands_db[active]) {
    const band = ys(curve.bands_db[active]);
    trace(pen, xs, band);
    pen.lineTo(xs[xs.length - 1], down(0));
    pen.lineTo(xs[0], down(0));
    pen.globalAlpha = 0.22;
    pen.fillStyle = colour("curve");
    pen.fill();
    pen.globalAlpha = 1;
  }
  pen.globalAlpha = value("equaliser/bypass") ? 0.35 : 1;
  line(pen, xs, ys(curve.total_db), "curve", 2.6);
  pen.globalAlpha = 1;
}

function grid(pen, width, height) {
  pen.lineWidth = 1;
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = colour("faint");
  pen.textBaseline = "bottom";
  for (const hz of HZ_LINES) {
    const x = Math.round(across(hz)) + 0.5;
    pen.strokeStyle = colour("line");
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, height);
    pen.stroke();
    pen.textAlign = "center";
    pen.fillText(hz >= 1000 ? `${hz / 1000}k` : hz, x, height - 3);
  }
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  for (const db of DB_LINES) {
    const y = Math.round(down(db)) + 0.5;
    pen.strokeStyle = db === 0 ? colour("line-strong") : colour("line");
    pen.beginPath();
    pen.moveTo(0, y);
    pen.lineTo(width, y);
    pen.stroke();
    if (db % 12 === 0) pen.fillText(db > 0 ? `+${db}` : String(db).replace("-", "−"), 4, y - 7);
  }
}

const power = (dbs) => 10 * Math.log10(dbs.reduce((sum, db) => sum + (db === null ? 0 : 10 ** (db / 10)), 1e-12));

/** What is heard now, as a soft hill: with as much power, over a while, as the long-term spectrum of the input. */
function now(pen, xs, height) {
  const loud = power(Array.from(frame.spectrum));
  if (loud < -85) return;
  const away = loud - power(state.spectra?.input_db ?? [0]);
  middle += (Math.abs(away - middle) > 24 ? 1 : calm() ? 0.02 : FOLLOW) * (away - middle);
  trace(pen, xs, Array.from(frame.spectrum, (db) => Math.min(down(db - middle), height)));
  pen.lineTo(xs[xs.length - 1], height);
  pen.lineTo(xs[0], height);
  const fill = pen.createLinearGradient(0, 0, 0, height);
  fill.addColorStop(0, colour("now-top"));
  fill.addColorStop(1, colour("now-bottom"));
  pen.fillStyle = fill;
  pen.fill();
}

function line(pen, xs, ys, name, width, dash = []) {
  trace(pen, xs, ys);
  pen.lineJoin = "round";
  pen.setLineDash(dash);
  pen.lineWidth = width;
  pen.strokeStyle = colour(name);
  pen.stroke();
  pen.setLineDash([]);
}
