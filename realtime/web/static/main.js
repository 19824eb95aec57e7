// The page of afx-live: starts its parts. Plain modules; what they share is in link.js and dom.js.

import { connect, on, repaint, state } from "./link.js";
import { make, by, forgetColours, announce } from "./dom.js";
import { startSpectrum } from "./spectrum.js";
import { startLevels } from "./levels.js";
import { startEffects } from "./effects.js";
import { startMatch, flip, panic, trouble } from "./match.js";
import { startPresets } from "./presets.js";
import { startHealth } from "./health.js";
import { startFiles, player } from "./player.js";
import { startDevices } from "./devices.js";
import { startKeys } from "./keys.js";

const THEME = "afx-live theme";

function recolour() {
  forgetColours();
  repaint();
}

function startTheme() {
  const set = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    recolour();
  };
  set(localStorage.getItem(THEME));
  by("theme").onclick = () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    localStorage.setItem(THEME, next);
    set(next);
    announce(`${next} theme`);
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
}

/** On a telephone: what one wants under the thumb. */
function startThumb() {
  const ab = make("button", { type: "button", class: "thumb-ab", text: "A/B", onclick: () => (state.mode === "files" ? player.flip() : flip()) });
  const mute = make("button", { type: "button", class: "panic", text: "Mute", onclick: panic });
  by("thumb").append(ab, mute);
  by("panic").onclick = panic;
}

function startLog() {
  on("messages", () => {
    const lines = (state.messages ?? []).slice(-12).reverse();
    by("log").parentElement.hidden = !lines.length;
    by("log").replaceChildren(
      ...lines.map(([when, text]) => make("li", {}, make("time", { text: new Date(1000 * when).toLocaleTimeString() }), ` ${text.trim()}`)),
    );
  });
  on("reply", ({ error }) => error && trouble(error));
  on("notice", () => trouble(state.notice));
}

startTheme();
startHealth();
startSpectrum();
startMatch();
startLevels();
startEffects();
startPresets();
startFiles();
startDevices();
startThumb();
startLog();
startKeys();
connect();
