// Small things for making pages out of: elements, numbers for people, canvases, announcements.

/** Make an element: attributes by name, `on…` for events, children as nodes or texts. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const by = (id) => document.getElementById(id);

/** Set a text or an attribute only if it is another: screen readers and layouts need not hear of the same. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function mark(element, name, value) {
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

let saying = 0;

/** Tell what has changed to those who cannot see it; the latest wins. */
export function announce(text) {
  clearTimeout(saying);
  saying = setTimeout(() => write(by("said"), text), 150);
}

// --- numbers ----------------------------------------------------------------------------------------

const UNITS = { db: "dB", hz: "Hz", ms: "ms", s: "s", lufs: "LUFS" };

export function unitOf(name) {
  return UNITS[/_([a-z]+)$/.exec(name)?.[1]] ?? "";
}

/** A parameter's name as a label: peak_1_hz is "peak 1", attack_ms is "attack". */
export function labelOf(name) {
  const unit = /_(db|hz|ms|s|lufs)$/.exec(name);
  const words = (unit ? name.slice(0, unit.index) : name).replaceAll("_", " ");
  return words.replace(/\b(rt60|hf|q)\b/g, (word) => word.toUpperCase());
}

export const signed = (number, digits = 1) => `${number > -0.05 ? "+" : "−"}${Math.abs(number).toFixed(digits)}`;

export function frequency(hz) {
  return hz >= 1000 ? `${(hz / 1000).toFixed(hz >= 10000 ? 1 : 2)} kHz` : `${hz.toFixed(0)} Hz`;
}

/** A number with a proper minus, and no minus on a zero; silence for what is below all levels. */
export function level(number, digits = 1) {
  if (!(number > -99)) return "−∞";
  const text = number.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/** Write the numbers of a text from afx-live as the page writes its own. */
export const typeset = (text) => text.replace(/(^|[\s(])-(?=\d)/g, "$1−");

/** A parameter's value with its unit. */
export function shown(name, value) {
  if (name === "mix" || name === "width" || name === "amount" || name === "boldness") {
    return `${Math.round(100 * value)} %`;
  }
  if (name === "ratio") return `${value.toFixed(1)} : 1`;
  const unit = unitOf(name);
  if (unit === "Hz") return frequency(value);
  if (unit === "dB") return `${/gain|makeup|shelf|peak/.test(name) ? signed(value) : level(value)} dB`;
  if (unit === "s") return `${value.toFixed(2)} s`;
  if (unit === "ms") return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
  return level(value, 2);
}

export function duration(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// --- canvases ---------------------------------------------------------------------------------------

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Whether things should move less. */
export const calm = () => still.matches;

let colours = {};
const probe = document.createElement("i");

/** A colour of the theme, by the name of its variable in style.css, as canvases take it. */
export function colour(name) {
  if (!colours[name]) {
    if (!probe.isConnected) document.body.append(probe);
    probe.hidden = true;
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  return colours[name];
}

export function forgetColours() {
  colours = {};
}

/** Make a canvas as sharp as the screen; gives its context with units of CSS pixels, cleared, and its size. */
export function sharpen(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = Math.min(devicePixelRatio || 1, 2);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

/** Put a path through points, leaving out what is no number. */
export function trace(pen, xs, ys) {
  let down = false;
  pen.beginPath();
  for (let i = 0; i < xs.length; i++) {
    if (!Number.isFinite(ys[i])) down = false;
    else if (down) pen.lineTo(xs[i], ys[i]);
    else {
      pen.moveTo(xs[i], ys[i]);
      down = true;
    }
  }
}

/** Draw something on the next frame of the screen, however often it is asked for. */
export function drawn(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
