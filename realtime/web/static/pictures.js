// Pictures of effects: a compressor's curve with the level on it, a drive's curve, the decay of a room.
// Each is drawn from numbers that afx-live computes with the very functions that play.

const toDb = (x) => (x > 0 ? 20 * Math.log10(x) : -120);

/** Draw a line through points; x and y map numbers to pixels. */
function path(pen, xs, ys, x, y) {
  pen.beginPath();
  for (let i = 0; i < xs.length; i++) pen[i ? "lineTo" : "moveTo"](x(xs[i]), y(ys[i]));
}

function lines(pen, colour, width, height, columns, rows) {
  pen.strokeStyle = colour("line");
  pen.lineWidth = 1;
  pen.beginPath();
  for (const x of columns) {
    pen.moveTo(Math.round(x) + 0.5, 0);
    pen.lineTo(Math.round(x) + 0.5, height);
  }
  for (const y of rows) {
    pen.moveTo(0, Math.round(y) + 0.5);
    pen.lineTo(width, Math.round(y) + 0.5);
  }
  pen.stroke();
}

function words(pen, colour, text, x, y, align = "left") {
  pen.fillStyle = colour("faint");
  pen.font = "11px system-ui, sans-serif";
  pen.textAlign = align;
  pen.fillText(text, x, y);
}

const LOW_DB = -60;
const TICKS_DB = [-48, -36, -24, -12];
const minus = (number, digits = 0) => number.toFixed(digits).replace("-", "−");

/** The static curve of a compressor or a limiter; the dot is where the sound is on it now. */
function dynamics({ pen, width, height, colour, data, values, control, slot }) {
  const gauge = 40;
  const w = width - gauge;
  const x = (db) => ((db - LOW_DB) / -LOW_DB) * w;
  const y = (db) => height - ((db - LOW_DB) / -LOW_DB) * height;
  lines(pen, colour, w, height, TICKS_DB.map(x), TICKS_DB.map(y));
  for (const db of TICKS_DB.slice(0, -1)) words(pen, colour, minus(db), x(db), height - 5, "center");
  for (const db of TICKS_DB.slice(1)) words(pen, colour, minus(db), 5, y(db) + 4);
  words(pen, colour, "in dB", w - 4, height - 5, "right");
  words(pen, colour, "out dB", 5, 13);
  pen.strokeStyle = colour("line-strong");
  pen.beginPath();
  pen.moveTo(0, height);
  pen.lineTo(w, 0);
  pen.stroke();
  if (!data) return;
  const off = control("bypass");
  pen.globalAlpha = off ? 0.35 : 1;
  path(pen, data.in_db, data.out_db, x, y);
  pen.lineWidth = 2.4;
  pen.strokeStyle = colour("curve");
  pen.stroke();
  pen.globalAlpha = 1;
  const reduction = Math.min(values.gain_reduction_db?.[slot] ?? 0, 0);
  if (!off) {
    const level = Math.min(toDb(values.in_peak ?? 0) + data.gain_db, 0);
    if (level > LOW_DB) {
      pen.fillStyle = colour("output");
      pen.beginPath();
      pen.arc(x(level), Math.min(y(level + reduction + data.makeup_db), height - 4), 5, 0, 7);
      pen.fill();
    }
  }
  gaugeOf(pen, colour, w + gauge / 2, height, off ? 0 : reduction);
}

/** Gain reduction: a bar around x that hangs down, 24 dB long, and its number below. */
function gaugeOf(pen, colour, x, height, reduction) {
  const [width, long] = [16, height - 26];
  for (const [name, share] of [["track", 1], ["reduction", Math.min(-reduction / 24, 1)]]) {
    pen.fillStyle = colour(name);
    pen.beginPath();
    pen.roundRect(x - width / 2, 4, width, share * long, 4);
    pen.fill();
  }
  words(pen, colour, reduction < -0.05 ? minus(reduction, 1) : "0.0", x, height - 5, "center");
}
dynamics.moves = true;

/** What a drive makes of a wave: its curve, with the part on which the sound moves now drawn bold. */
function drive({ pen, width, height, colour, data, values, control, slot }) {
  lines(pen, colour, width, height, [0.25, 0.75].map((share) => share * width), [0.25, 0.75].map((share) => share * height));
  pen.strokeStyle = colour("line-strong");
  pen.beginPath();
  pen.moveTo(width / 2, 0);
  pen.lineTo(width / 2, height);
  pen.moveTo(0, height / 2);
  pen.lineTo(width, height / 2);
  pen.stroke();
  words(pen, colour, "wave in", width - 4, height - 5, "right");
  words(pen, colour, "out", 5, 13);
  if (!data) return;
  const far = data.x[data.x.length - 1];
  const tall = 1.2 * Math.max(...data.y.map(Math.abs));
  const x = (u) => ((u / far + 1) / 2) * width;
  const y = (v) => (1 - v / tall) * (height / 2);
  const off = control("bypass");
  pen.globalAlpha = off ? 0.35 : 0.55;
  path(pen, data.x, data.y, x, y);
  pen.lineWidth = 2;
  pen.strokeStyle = colour("curve");
  pen.stroke();
  pen.globalAlpha = 1;
  const before = Array.from(values.gain_reduction_db ?? []).slice(1, slot).reduce((sum, db) => sum + Math.min(db, 0), 0);
  const reach = (values.in_peak ?? 0) * 10 ** ((data.gain_db + before) / 20);
  const inside = data.x.map((u, i) => [u, data.y[i]]).filter(([u]) => Math.abs(u) <= reach);
  if (off || inside.length < 2) return;
  path(pen, inside.map(([u]) => u), inside.map(([, v]) => v), x, y);
  pen.lineWidth = 5;
  pen.lineCap = "round";
  pen.strokeStyle = colour("output");
  pen.stroke();
  pen.lineCap = "butt";
}
drive.moves = true;

const ROOM_DB = -60;
const ROOM_TICKS_DB = [-20, -40];

/** How a clap would die away: the energy that is left, in three bands, after the pre-delay. */
function room({ pen, width, height, colour, data, control }) {
  if (!data) return;
  const end = data.time_s[data.time_s.length - 1];
  const x = (s) => (s / end) * width;
  const y = (db) => (db / ROOM_DB) * height;
  const step = end > 3 ? 1 : end > 1.2 ? 0.5 : 0.2;
  const seconds = [];
  for (let s = step; s < end; s += step) seconds.push(s);
  lines(pen, colour, width, height, seconds.map(x), ROOM_TICKS_DB.map(y));
  pen.globalAlpha = control("bypass") ? 0.3 : 1;
  for (const [i, band] of data.bands.entries()) {
    const name = `room-${i}`;
    path(pen, data.time_s, band.energy_db, x, y);
    pen.lineWidth = 2;
    pen.strokeStyle = colour(name);
    pen.stroke();
    pen.lineTo(width, height);
    pen.lineTo(0, height);
    pen.globalAlpha *= 0.16;
    pen.fillStyle = colour(name);
    pen.fill();
    pen.globalAlpha = control("bypass") ? 0.3 : 1;
  }
  pen.globalAlpha = 1;
  pen.font = "11px system-ui, sans-serif";
  let at = width - 6;
  for (const [i, band] of [...data.bands.entries()].reverse()) {
    pen.textAlign = "right";
    pen.fillStyle = colour(`room-${i}`);
    pen.fillText(band.label, at, 14);
    at -= pen.measureText(band.label).width + 10;
  }
  for (const s of seconds) words(pen, colour, `${Number(s.toFixed(1))} s`, x(s) - 4, height - 5, "right");
  for (const db of ROOM_TICKS_DB) words(pen, colour, `${minus(db)} dB`, width - 6, y(db) - 4, "right");
}

export const pictures = { compressor: dynamics, limiter: dynamics, distortion: drive, reverb: room };
