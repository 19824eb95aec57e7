// Match: what to sound like, how far and how boldly, what was heard, and the hand on all of it.

import { state, set, pull, say, upload, on, value } from "./link.js";
import { make, by, write, mark, level, announce, duration, typeset } from "./dom.js";
import { slider, toggle } from "./parameters.js";

const AMOUNT = { name: "amount", low: 0, high: 1, curve: "linear", default: 1, doc: "how far from the input to the match" };
const BOLDNESS = { name: "boldness", low: 0, high: 1, curve: "linear", default: 0.5, doc: "0: only what is nearly certain; 1: everything the reference suggests" };
const SOUND = "audio/*,.wav,.flac,.ogg,.mp3,.aiff,.aif,.opus";

const blend = make("input", { type: "checkbox", id: "blend" });
let busy = 0;

export function startMatch() {
  const chooser = make("input", { type: "file", accept: SOUND, multiple: true, class: "unseen", tabindex: -1, "aria-label": "Reference recordings", onchange: () => (take([...chooser.files]), (chooser.value = "")) });
  const bundled = make("select", { "aria-label": "A bundled reference", onchange: () => (bundled.value && say(blend.checked ? { reference_more: bundled.value } : { references: [bundled.value] }), (bundled.value = "")) });
  const chips = make("ul", { class: "chips", "aria-label": "References" });
  const drop = make(
    "div",
    { class: "drop-zone", id: "reference-drop" },
    make("p", { class: "drop-words", text: "Drop a recording here to sound like it" }),
    make("div", { class: "buttons" }, make("button", { type: "button", text: "Choose a reference …", onclick: () => chooser.click() }), bundled),
    chooser,
  );
  const blending = make("label", { class: "check blend", hidden: true, title: "What is chosen or dropped next joins these, instead of taking their place" }, blend, "Blend the next one with these");
  const sliders = make("div", { class: "rows big" });
  const heard = make("ul", { class: "heard", "aria-label": "What the match heard" });
  const verdict = make("p", { class: "verdict" });
  const listening = make("p", { class: "says" });
  const showHeard = () => said(verdict, listening, heard);
  by("match").append(drop, chips, blending, sliders, buttons(), verdict, heard, listening);

  on("spec", () => {
    const clips = state.spec.clips ?? [];
    bundled.replaceChildren(make("option", { value: "", text: "or a bundled one" }), ...clips.map((name) => make("option", { value: name, text: name.replaceAll("_", " ") })));
  });
  on("session spec", () => {
    if (!sliders.children.length && value("amount") !== undefined) sliders.append(slider("amount", AMOUNT, { label: "Amount", lock: false }));
    if (sliders.children.length === 1 && value("boldness") !== undefined) sliders.append(slider("boldness", BOLDNESS, { label: "Boldness", lock: false }));
    showHeard();
  });
  on("references", () => showReferences(chips));
  on("references", () => {
    blending.hidden = !state.references?.length;
    blend.checked &&= !blending.hidden;
  });
  on("references mode", showHeard);
  dropping();
}

// --- references -------------------------------------------------------------------------------------

/** Send files and match them: they take the place of what is matched now, or with `more` join it. */
export async function take(files, more = blend.checked) {
  const sounds = files.filter((file) => file.type.startsWith("audio/") || /\.(wav|flac|ogg|mp3|aiff?|opus|w64|caf)$/i.test(file.name));
  if (!sounds.length) return announce("That is no recording that can be heard");
  busy += sounds.length;
  document.body.classList.add("busy");
  for (const [i, file] of sounds.entries()) {
    announce(`Listening to ${file.name}`);
    try {
      await upload(file, more || i ? "reference_more" : "reference");
    } catch (error) {
      trouble(`${file.name}: ${error.message}`);
    }
    busy -= 1;
  }
  document.body.classList.toggle("busy", busy > 0);
}

function showReferences(chips) {
  const there = state.references ?? [];
  chips.replaceChildren(
    ...there.map(({ id, name, seconds, lufs }) =>
      make(
        "li",
        { class: "chip" },
        make("span", { class: "chip-name", text: name, title: name }),
        make("small", { text: `${duration(seconds)} · ${level(lufs)} LUFS` }),
        make("button", {
          type: "button",
          class: "chip-away",
          "aria-label": `Leave out ${name}`,
          text: "×",
          onclick: () => say({ references: there.filter((r) => r.id !== id).map((r) => r.id) }),
        }),
      ),
    ),
  );
  by("reference-drop").classList.toggle("small", there.length > 0);
}

function dropping() {
  let depth = 0;
  const overlay = by("drop");
  const leave = () => {
    depth = 0;
    overlay.classList.remove("shown");
  };
  addEventListener("dragenter", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    depth += 1;
    overlay.classList.add("shown");
    const here = event.target.closest?.("#recording-drop");
    write(overlay.firstElementChild, here ? "Let go to work on this" : "Let go to sound like this");
  });
  addEventListener("dragover", (event) => event.preventDefault()); // else a missed drop would leave the page
  addEventListener("dragleave", () => (depth -= 1) <= 0 && leave());
  addEventListener("drop", (event) => {
    event.preventDefault();
    leave();
    const files = [...event.dataTransfer.files];
    const recording = event.target.closest?.("#recording-drop");
    if (recording) recording.dispatchEvent(new CustomEvent("recording", { detail: files[0] }));
    else take(files, event.shiftKey || blend.checked);
  });
}

// --- the hand on it ---------------------------------------------------------------------------------

function buttons() {
  const ab = make("button", { type: "button", class: "ab", id: "ab", onclick: flip }, make("span", { class: "ab-a", text: "Match" }), make("span", { class: "ab-b", text: "Input" }));
  const freeze = make("label", { class: "check" }, toggle("freeze", "Freeze"), make("span", { "aria-hidden": "true", text: "Freeze" }));
  const undo = make("button", { type: "button", text: "Undo", id: "undo", onclick: () => pull("undo") });
  const redo = make("button", { type: "button", text: "Redo", id: "redo", onclick: () => pull("redo") });
  on("session", () => {
    mark(ab, "aria-label", `A/B at equal loudness: ${value("bypass") ? "the input" : "the match"} is heard`);
    ab.classList.toggle("b", Boolean(value("bypass")));
    undo.disabled = !state.session.undo;
    redo.disabled = !state.session.redo;
  });
  return make("div", { class: "buttons" }, ab, freeze, undo, redo);
}

export function flip() {
  set({ bypass: !value("bypass") });
  announce(value("bypass") ? "The input, as loud as the match" : "The match");
}

export function panic() {
  const muted = value("mute");
  pull(muted ? "unmute" : "mute");
  announce(muted ? "Sounds again" : "Muted");
}

// --- what was heard ---------------------------------------------------------------------------------

function said(verdict, listening, heard) {
  const { explanation, error, in_range: near } = state.session;
  const now = JSON.stringify(explanation?.effects ?? []);
  if (heard.dataset.shown !== now) {
    heard.dataset.shown = now;
    heard.replaceChildren(...(explanation?.effects ?? []).map(told));
  }
  write(verdict, error || sentence(explanation));
  write(listening, explanation ? hearing(explanation) : "");
  verdict.classList.toggle("bad", Boolean(error));
  verdict.classList.toggle("doubt", !error && near === false);
}

/** A row about an effect: how sure, how much, what it does, and what would add what is undecided. */
function told({ effect, probability, amount, does, why, boldness }) {
  const sure = make("span", { class: "meter-sure" });
  sure.style.setProperty("--sure", probability);
  const words = {
    "": `${does} · ${percent(amount)} used`,
    locked: `kept as it was: ${does || "off"}`,
    "by hand": `${does || "off"} · set by hand`,
    "left out": "left out, as you said",
    "not heard": "not heard",
    undecided: boldness ? `undecided below boldness ${percent(boldness)}` : "undecided: “only” adds it",
  };
  const bolder = why === "undecided" && boldness;
  return make(
    "li",
    { class: does ? "" : "off" },
    make("strong", { text: effect }),
    sure,
    make("span", { class: "percent", text: percent(probability), title: "how sure the match is that the reference has it" }),
    make(
      "span",
      { class: "why" },
      typeset(words[why] ?? why),
      bolder ? make("button", { type: "button", class: "quiet", text: "Add it", "aria-label": `Add the ${effect}: boldness ${percent(boldness)}`, onclick: () => set({ boldness }) }) : null,
    ),
  );
}

const percent = (share) => `${Math.round(100 * share)} %`;

function hearing({ heard_s: seconds, heard_enough: enough }) {
  if (seconds === null) return "";
  return `Heard about ${seconds} s of the input${enough ? ": enough, more would hardly change this." : "; still listening."}`;
}

function sentence(explanation) {
  const there = (state.references ?? []).length;
  if (value("preset")) return `Playing the preset ${value("preset")}.`;
  if (value("morph/a") && value("morph/b")) return `Playing between ${value("morph/a")} and ${value("morph/b")}.`;
  if (!there) return "Nothing is matched yet: the input is heard as it is.";
  if (!explanation && state.mode !== "files") return "Listening: play or speak for a few seconds.";
  if (!explanation) return state.recording ? "Matching the recording …" : "Waiting for a recording to work on.";
  if (explanation.verdict) return `${explanation.verdict[0].toUpperCase()}${explanation.verdict.slice(1)}.`;
  return value("freeze") ? "Matched, and frozen." : "Matched; how sure it is of each effect:";
}

/** Say what went wrong, where everybody sees it. */
export function trouble(text) {
  const place = by("trouble");
  write(place, text);
  place.hidden = !text;
  clearTimeout(place.timer);
  if (text) place.timer = setTimeout(() => (place.hidden = true), 12000);
}
