// Choosing devices on the page, and going between live and files.

import { state, say, ask, on } from "./link.js";
import { make, by, write } from "./dom.js";
import { trouble } from "./match.js";

const BLOCKS = [32, 64, 128, 256, 512, 1024];

export function startDevices() {
  const input = make("select", { id: "input-device" });
  const output = make("select", { id: "output-device" });
  const block = make("select", { id: "block-size" }, ...BLOCKS.map((size) => make("option", { value: size, text: `${size} frames`, selected: size === 128 })));
  const note = make("p", { class: "note" });
  const play = make("button", { type: "submit", class: "main", text: "Play live" });
  const field = (label, select) => make("div", { class: "field" }, make("label", { for: select.id, text: label }), select);
  const dialog = make(
    "dialog",
    { id: "devices", "aria-labelledby": "devices-title" },
    make(
      "form",
      { method: "dialog", onsubmit: () => say({ live: { input: input.value, output: output.value, block_size: Number(block.value) } }) },
      make("h2", { id: "devices-title", text: "Play live" }),
      field("From", input),
      field("To", output),
      field("Block", block),
      note,
      make("div", { class: "buttons" }, play, make("button", { type: "button", text: "Cancel", onclick: () => dialog.close() })),
    ),
  );
  const open = make("button", { type: "button", class: "quiet", hidden: true, onclick: () => (state.mode === "live" ? say({ files: true }) : choose()) });
  document.body.append(dialog);
  document.querySelector(".bar-tools").prepend(open);

  on("mode switchable", () => {
    open.hidden = !state.switchable;
    write(open, state.mode === "live" ? "Work on files" : "Play live …");
  });

  async function choose() {
    write(note, "");
    play.disabled = true;
    dialog.showModal();
    try {
      const { devices } = await (await ask({ devices: true })).json();
      const fill = (select, kind) => select.replaceChildren(...devices.filter((d) => d[`${kind}s`] > 0).map((d) => make("option", { value: d.number, text: `${d.name} (${d.api})`, selected: d.default.includes(kind) })));
      fill(input, "input");
      fill(output, "output");
      play.disabled = !input.options.length || !output.options.length;
      if (play.disabled) write(note, "No audio device was found. Plug one in, then open this again; afx-live doctor says more.");
    } catch (error) {
      dialog.close();
      trouble(error.message);
    }
  }
}
