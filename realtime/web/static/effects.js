// A card for each effect of the chain: what it does in a picture, how sure the match is of it, and its parameters.

import { state, frame, on, set, value } from "./link.js";
import { make, by, write, mark, sharpen, colour, drawn, labelOf, typeset } from "./dom.js";
import { slider, toggle, lockButton, showLock } from "./parameters.js";
import { pictures } from "./pictures.js";

const cards = new Map();
const OPEN = "(min-width: 1100px)";
const AMOUNT = { name: "amount", low: 0, high: 1, curve: "linear", default: 1, doc: "how much of this effect" };

export function startEffects() {
  on("spec session", order);
}

/** Make cards for what is in the chain, in its order. */
function order() {
  const chain = state.session.chain ?? [];
  if (!state.spec.effects || !chain.length) return;
  for (const effect of chain) if (!cards.has(effect)) cards.set(effect, card(effect));
  const wanted = chain.map((effect) => cards.get(effect).element).filter(Boolean);
  const there = [...by("effects").children];
  if (wanted.length !== there.length || wanted.some((element, i) => element !== there[i])) by("effects").replaceChildren(...wanted);
  for (const effect of chain) cards.get(effect).show();
}

function card(effect) {
  const spec = state.spec.effects[effect];
  const sure = make("span", { class: "sure" });
  const says = make("p", { class: "says" });
  const lock = lockButton(effect, effect);
  const power = toggle(`${effect}/bypass`, `${effect} on`, { inverted: true });
  const amount = `${effect}/amount`;
  const question = asked(effect);
  const rows = spec.params.map((p) => slider(`${effect}/${p.name}`, p, { label: labelOf(p.name) + suffix(p.name) }));
  const more = make("div", { class: "rows hand" }, slider(amount, AMOUNT, { label: "How much", lock: false, name: `${effect}: how much` }), question);
  const details = make("details", {}, make("summary", { text: "Parameters" }), make("div", { class: "rows" }, ...rows));
  if (effect === "equaliser") return tone({ sure, says, lock, power, more, details });
  details.open = matchMedia(OPEN).matches && spec.params.length < 9;
  const canvas = make("canvas", { "aria-hidden": "true" });
  const picture = pictures[effect];
  const element = make(
    "article",
    { class: "panel effect", "aria-label": effect, id: `effect-${effect}` },
    make("div", { class: "panel-head" }, power, make("h2", { text: effect }), sure, lock),
    picture ? make("div", { class: `plot plot-${effect}` }, canvas) : null,
    says,
    more,
    details,
  );
  const draw = drawn(() => {
    if (!picture || !canvas.clientWidth) return;
    picture({ ...sharpen(canvas), colour, data: state.pictures?.[effect], values: frame.values, control: (name) => value(`${effect}/${name}`), slot: slot(effect) });
  });
  on("pictures session theme", draw);
  if (picture?.moves) on("frame", draw);
  new ResizeObserver(draw).observe(canvas);
  return { element, show: () => show(effect, { element, sure, says, lock }) };
}

/** The equaliser has its picture in the panel of the tone: its switch and its numbers go there, too. */
function tone({ sure, says, lock, power, more, details }) {
  const panel = by("spectrum").parentElement;
  const head = panel.querySelector(".panel-head");
  head.prepend(power);
  head.querySelector("h2").after(sure);
  head.append(lock);
  panel.append(says, ...[more, details].filter(Boolean));
  details.querySelector(".rows").classList.add("bands");
  return { element: null, show: () => show("equaliser", { element: panel, sure, says, lock }) };
}

/** What the match may do with an effect: decide, have it for sure and nothing else that is not named, or never use it. */
function asked(effect) {
  const choices = { decide: "as it is heard", only: "only", without: "never" };
  const select = make(
    "select",
    { "aria-label": `Match ${effect}`, onchange: () => set({ [`${effect}/only`]: select.value === "only", [`${effect}/without`]: select.value === "without" }) },
    ...Object.entries(choices).map(([choice, text]) => make("option", { value: choice, text })),
  );
  const show = () => {
    if (document.activeElement !== select) select.value = value(`${effect}/without`) ? "without" : value(`${effect}/only`) ? "only" : "decide";
  };
  on("session", show);
  show();
  return make("div", { class: "row" }, make("span", { class: "label", "aria-hidden": "true", text: "Match" }), select);
}

/** Which band a parameter of many belongs to is in its name; what it is of it, in its unit. */
function suffix(name) {
  if (!/^(low_shelf|high_shelf|peak_\d)_/.test(name)) return "";
  return { hz: " frequency", db: " gain" }[/_(hz|db)$/.exec(name)?.[1]] ?? "";
}

/** Where an effect's gain reduction stands in the meters: slot 0 is the input gain. */
function slot(effect) {
  return 1 + (state.session.chain ?? []).indexOf(effect);
}

function show(effect, { element, sure, says, lock }) {
  const off = Boolean(value(`${effect}/bypass`));
  element.classList.toggle("off", off);
  const probability = state.session.probability?.[effect];
  const known = probability !== undefined && probability !== null;
  write(sure, known ? `${Math.round(100 * probability)} % sure` : "");
  if (known) sure.style.setProperty("--sure", probability);
  write(says, off ? "off" : typeset(state.words?.[effect] ?? ""));
  showLock(lock, effect);
  mark(element, "data-off", off);
}
