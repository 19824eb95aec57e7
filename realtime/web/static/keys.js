// Keys: everything at hand, also for those who have no mouse.

import { state, set, pull, value } from "./link.js";
import { make, by, announce } from "./dom.js";
import { flip, panic } from "./match.js";
import { player } from "./player.js";

const KEYS = [
  ["Space", "A/B at equal loudness: the match, or the input", turn],
  ["b", "the same, also while a button has the focus", turn],
  ["m", "panic: mutes, and un-mutes", panic],
  ["u", "undo", () => pull("undo")],
  ["r", "redo", () => pull("redo")],
  ["f", "freeze, and follow again", () => (set({ freeze: !value("freeze") }), announce(value("freeze") ? "Frozen" : "Follows the input"))],
  ["+", "more of the match", () => step("amount", 0.05)],
  ["-", "less of the match", () => step("amount", -0.05)],
  [">", "bolder", () => step("boldness", 0.05)],
  ["<", "less bold", () => step("boldness", -0.05)],
  ["p", "play and pause (files)", () => state.mode === "files" && player.toggle()],
  ["1", "hear before (files)", () => state.mode === "files" && player.hear("before")],
  ["2", "hear after (files)", () => state.mode === "files" && player.hear("after")],
  ["3", "hear the reference (files)", () => state.mode === "files" && player.hear("reference")],
  ["?", "these keys", () => by("help").showModal()],
];

function turn() {
  if (state.mode === "files") player.flip();
  else flip();
}

function step(name, by_) {
  set({ [name]: Math.min(Math.max(Math.round(100 * (value(name) + by_)) / 100, 0), 1) });
  announce(`${name} ${Math.round(100 * value(name))} %`);
}

export function startKeys() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { target } = event;
    if (target.closest("input[type=text], select, textarea")) return;
    // Space presses the button that has the focus.
    if (event.key === " " && target.closest("button, summary, a, [role=switch], input")) return;
    const name = event.key === " " ? "Space" : event.key === "=" ? "+" : event.key;
    const found = KEYS.find(([key]) => key === name || key === name.toLowerCase());
    if (!found) return;
    event.preventDefault();
    found[2]();
  });
  // What was clicked does not keep the focus, or the next Space would press it again instead of A/B.
  addEventListener("click", ({ detail, target }) => detail && target.closest?.("button")?.blur());
  const rows = KEYS.map(([key, text]) => make("div", {}, make("dt", {}, make("kbd", { text: key })), make("dd", { text })));
  const more = [
    ["Arrows on a node", "gain and frequency of an equaliser's band; with Shift in small steps"],
    ["Page up, Page down", "its Q"],
    ["Delete", "makes a node or a slider neutral"],
  ].map(([key, text]) => make("div", {}, make("dt", { text: key }), make("dd", { text })));
  by("help").append(
    make("h2", { id: "help-title", text: "Keys" }),
    make("dl", { class: "keys" }, ...rows, ...more),
    make("button", { type: "button", text: "Close", autofocus: true, onclick: () => by("help").close() }),
  );
  by("help-open").onclick = () => by("help").showModal();
}
