// Presets: load, save, compare.

import { state, say, pull, ask, download, on, value } from "./link.js";
import { make, by, write, announce, shown, labelOf } from "./dom.js";
import { trouble } from "./match.js";
import { slider } from "./parameters.js";

const MORPH = { name: "mix", low: 0, high: 1, curve: "linear", default: 0, doc: "from the sound of the one to that of the other" };

export function startPresets() {
  const choice = make("select", { id: "preset", "aria-label": "Preset" });
  const load = make("button", { type: "button", text: "Load", onclick: () => choice.value && say({ send: { preset: choice.value } }) });
  const compare = make("button", { type: "button", text: "Compare", "aria-expanded": "false", onclick: () => (table.hidden ? contrast() : hide()) });
  const name = make("input", { type: "text", id: "preset-name", maxlength: 64, pattern: "\\w[\\w .+\\-]*", placeholder: "my voice", autocomplete: "off", spellcheck: "false" });
  const save = make("button", { type: "submit", text: "Save" });
  const form = make("form", { class: "buttons", onsubmit: (event) => (event.preventDefault(), name.value.trim() && say({ preset_save: { name: name.value.trim() } })) }, make("label", { for: "preset-name", text: "Save as" }), name, save);
  const file = make("button", { type: "button", text: "Download preset", onclick: () => download({ save: "preset" }, "preset.json").catch((error) => trouble(error.message)) });
  const table = make("div", { class: "contrast", hidden: true });
  by("presets").append(make("div", { class: "buttons" }, choice, load, compare), form, make("div", { class: "buttons" }, file), table, morph());

  on("presets", () => {
    const now = choice.value;
    choice.replaceChildren(...(state.presets ?? []).map((text) => make("option", { value: text, text })));
    choice.value = now || choice.value;
  });
  on("session", () => {
    if (value("preset") && document.activeElement !== choice) choice.value = value("preset");
  });
  on("reply", (reply) => {
    if (reply.saved) announce(`Saved as ${reply.saved}`);
    if (reply.exists && confirm(`There is a preset ${reply.exists} already. Replace it?`)) say({ preset_save: { name: reply.exists, replace: true } });
  });

  function hide() {
    table.hidden = true;
    compare.setAttribute("aria-expanded", "false");
  }

  /** Show where what plays differs from a preset, and let both be heard in turns. */
  async function contrast() {
    let other;
    try {
      other = await (await ask({ preset: choice.value })).json();
    } catch (error) {
      return trouble(error.message);
    }
    const rows = Object.entries(other.values).filter(([place, theirs]) => differs(place, theirs));
    const hear = make("button", { type: "button", text: `Hear ${choice.value}`, "aria-pressed": "false" });
    hear.onclick = () => {
      const theirs = hear.getAttribute("aria-pressed") !== "true";
      if (theirs) say({ send: { preset: choice.value } });
      else pull("undo");
      hear.setAttribute("aria-pressed", String(theirs));
      write(hear, theirs ? "Back to mine" : `Hear ${choice.value}`);
    };
    table.replaceChildren(
      hear,
      make(
        "table",
        {},
        make("caption", { text: rows.length ? `Where it differs from ${choice.value}` : `The same as ${choice.value}` }),
        make("tbody", {}, ...rows.map(([place, theirs]) => make("tr", {}, make("th", { scope: "row", text: titled(place) }), make("td", { text: told(place, value(place)) }), make("td", { text: told(place, theirs) })))),
      ),
    );
    table.hidden = false;
    compare.setAttribute("aria-expanded", "true");
  }
}

/** From the sound of one preset or bundled clip to that of another. */
function morph() {
  const ends = ["a", "b"].map((end) => {
    const select = make("select", { "aria-label": end === "a" ? "Morph from" : "Morph to", onchange: () => select.value && say({ send: { [`morph/${end}`]: select.value } }) });
    on("presets spec session", () => {
      const now = value(`morph/${end}`) ?? "";
      const names = [...new Set([...(state.presets ?? []), ...(state.spec.clips ?? []), ...(now ? [now] : [])])];
      if (select.options.length !== names.length + 1) {
        select.replaceChildren(make("option", { value: "", text: "what plays now" }), ...names.map((text) => make("option", { value: text, text: text.replaceAll("_", " ") })));
      }
      if (document.activeElement !== select) select.value = now;
    });
    return select;
  });
  const rows = make("div", { class: "rows" });
  on("session", () => {
    if (!rows.children.length && value("morph") !== undefined) rows.append(slider("morph", MORPH, { label: "Morph", lock: false }));
  });
  return make("details", {}, make("summary", { text: "Morph" }), make("div", { class: "buttons" }, ...ends), rows);
}

function differs(place, theirs) {
  const mine = value(place);
  return typeof theirs === "number" && typeof mine === "number" ? Math.abs(mine - theirs) > 1e-3 * Math.max(1, Math.abs(theirs)) : mine !== theirs;
}

const titled = (place) => place.split("/").map(labelOf).join(" ");
const told = (place, given) => (typeof given === "boolean" ? (given ? "yes" : "no") : given === undefined ? "–" : shown(place.split("/").pop(), given));
