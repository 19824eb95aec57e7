// A card for each effect of the chain: what it does in a picture, how sure the match is of it, and its parameters.

import { state, frame, on, value } from "./link.js";
import { make, by, write, mark, sharpen, colour, drawn, labelOf } from "./dom.js";
import { slider, toggle, lockButton, showLock } from "./parameters.js";
import { pictures } from "./pictures.js";

const cards = new Map();
const OPEN = "(min-width: 1100px)";

export function startEffects() {
  on("spec session", order);
}

/** Make cards for what is in the chain, in its order. */
function order() {
  const chain = state.session.chain ?? [];
  if (!state.spec.effects || !chain.length) return;
  for (const effect of chain) if (!cards.has(effect)) cards.set(effect, card(effect));
  const wanted = chain.map((effect) => cards.get(effect).element);
  const there = [...by("effects").children];
  if (wanted.length !== there.length || wanted.some((element, i) => element !== there[i])) by("effects").replaceChildren(...wanted);
  for (const effect of chain) cards.get(effect).show();
}

function card(effect) {
  const spec = state.spec.effects[effect];
  const canvas = make("canvas", { "aria-hidden": "true" });
  const sure = make("span", { class: "sure" });
  const says = make("p", { class: "says" });
  const lock = lockButton(effect, effect);
  const amount = `${effect}/amount`;
  const rows = spec.params.map((p) => slider(`${effect}/${p.name}`, p, { label: labelOf(p.name) + suffix(p.name) }));
  const picture = pictures[effect];
  const element = make(
    "article",
    { class: "panel effect", "aria-label": effect, id: `effect-${effect}` },
    make(
      "div",
      { class: "panel-head" },
      toggle(`${effect}/bypass`, `${effect} on`, { inverted: true }),
      make("h2", { text: effect }),
      sure,
      lock,
    ),
    picture ? make("div", { class: `plot plot-${effect}` }, canvas) : null,
    says,
    amount in state.session.values ? slider(amount, { name: "amount", low: 0, high: 1, curve: "linear", default: 1, doc: "how much of it" }) : null,
    make("details", { open: matchMedia(OPEN).matches && spec.params.length < 9 }, make("summary", { text: "Parameters" }), make("div", { class: "rows" }, ...rows)),
  );
  const draw = drawn(() => {
    if (!picture || !canvas.clientWidth) return;
    picture({ ...sharpen(canvas), colour, data: state.pictures?.[effect], values: frame.values, control: (name) => value(`${effect}/${name}`), slot: slot(effect) });
  });
  on("pictures theme", draw);
  if (picture?.moves) on("frame", draw);
  new ResizeObserver(draw).observe(canvas);
  return { element, show: () => show(effect, { element, sure, says, lock }) };
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
  write(says, off ? "off" : (state.words?.[effect] ?? ""));
  showLock(lock, effect);
  mark(element, "data-off", off);
}
