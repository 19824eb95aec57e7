// Parameters: their curves, and a slider for each, with its lock.

import { state, set, say, value, on } from "./link.js";
import { make, write, mark, labelOf, shown } from "./dom.js";

const STEPS = 1000;

/** From 0..1 to a value, as the parameter's curve says (effects/_effect.py, `Param`). */
export function fromUnit({ low, high, curve }, unit) {
  if (curve === "log") return low * (high / low) ** unit;
  if (curve === "slope") return 1 / (1 / low + (1 / high - 1 / low) * unit);
  return low + (high - low) * unit;
}

/** From a value to 0..1. */
export function toUnit({ low, high, curve }, given) {
  const inside = Math.min(Math.max(given, low), high);
  if (curve === "log") return Math.log(inside / low) / Math.log(high / low);
  if (curve === "slope") return (1 / inside - 1 / low) / (1 / high - 1 / low);
  return (inside - low) / (high - low);
}

export function parameter(effect, name) {
  return state.spec.effects[effect]?.params.find((p) => p.name === name);
}

/** Whether a hand holds it: the matching leaves it alone. */
export const locked = (place) => (state.session.locked ?? []).includes(place);

/** A button that locks a parameter, or an effect, against the matching. */
export function lockButton(place, label) {
  const button = make("button", {
    type: "button",
    class: "lock",
    "aria-pressed": "false",
    "aria-label": `Lock ${label}`,
    title: "Locked: the matching leaves it alone",
    onclick: () => say({ lock: { [place]: button.getAttribute("aria-pressed") !== "true" } }),
  });
  return button;
}

export function showLock(button, place) {
  const whole = `${place}/`;
  const held = state.session.locked ?? [];
  mark(button, "aria-pressed", String(held.includes(place) || (!place.includes("/") && held.some((p) => p.startsWith(whole)))));
}

/** A slider for a control with a range; `spec` has low, high, curve, and `neutral` or `default` for a double click. */
export function slider(control, spec, { label = labelOf(spec.name), lock = true, name = label } = {}) {
  const input = make("input", {
    type: "range",
    min: 0,
    max: STEPS,
    step: 1,
    "aria-label": name,
    title: spec.doc,
    oninput: () => set({ [control]: fromUnit(spec, input.value / STEPS) }),
    ondblclick: () => set({ [control]: spec.neutral ?? spec.default }),
    onkeydown: (event) => {
      if (event.key !== "Delete" && event.key !== "Backspace") return;
      event.preventDefault();
      set({ [control]: spec.neutral ?? spec.default });
    },
  });
  const text = make("output", { class: "number" });
  const button = lock ? lockButton(control, label) : null;
  const row = make("div", { class: "row" }, make("span", { class: "label", "aria-hidden": "true", text: label }), input, text, button);
  const show = () => {
    const now = value(control);
    if (now === undefined) return;
    const words = shown(spec.name, now);
    if (document.activeElement !== input || Math.abs(input.value / STEPS - toUnit(spec, now)) > 1 / STEPS) {
      input.value = Math.round(STEPS * toUnit(spec, now));
    }
    row.style.setProperty("--at", toUnit(spec, now));
    mark(input, "aria-valuetext", words);
    write(text, words);
    if (button) showLock(button, control);
  };
  on("session", show);
  show();
  return row;
}

/** A switch for a control; `inverted` for one that says what is off. */
export function toggle(control, label, { inverted = false } = {}) {
  const button = make("button", {
    type: "button",
    role: "switch",
    class: "switch",
    "aria-label": label,
    onclick: () => set({ [control]: !value(control) }),
  });
  const show = () => mark(button, "aria-checked", String(Boolean(value(control)) !== inverted));
  on("session", show);
  show();
  return button;
}
