// A deck: plays three versions of a recording side by side, in pieces that come from afx-live as they are needed.
//
// Each version has a lane; only one lane is open. The lane of what the chain plays is begun anew when the
// chain has changed: the first piece that comes takes over from the old ones within 20 ms.

const AHEAD_S = 1.2;
const PIECE_S = { before: 2, after: 0.6, reference: 2 }; // what is turned waits for a piece of after that is under way
const FADE_S = 0.02;
const TICK_MS = 100;
const MOST_FAILURES = 5;

class Lane {
  constructor(deck, which) {
    this.deck = deck;
    this.which = which;
    this.gain = deck.context.createGain();
    this.gain.gain.value = 0;
    this.gain.connect(deck.analyser);
    this.take = null;
    this.busy = false;
    this.failures = 0;
  }

  /** Begin anew at the frame that is heard now; what plays goes on until the first piece is there. */
  restart() {
    this.wanted = true;
  }

  /** Fetch and schedule until there is enough. One request at a time, so that the chain plays on from piece to piece. */
  async fill() {
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.deck.playing && (this.wanted || this.take.until < this.deck.clock + AHEAD_S * this.deck.rate)) {
        await this.more();
        this.failures = 0;
      }
    } catch (error) {
      if ((this.failures += 1) > MOST_FAILURES) this.deck.failed(error); // else the next tick tries again
    }
    this.busy = false;
  }

  async more() {
    const { deck } = this;
    const anew = this.wanted;
    const stamp = deck.stamp;
    const clock = anew ? Math.round(deck.clock) : this.take.until;
    const [from, most] = deck.place(clock, this.which);
    const frames = Math.min(Math.round(PIECE_S[this.which] * deck.rate), most);
    this.wanted = false;
    let piece;
    try {
      piece = await deck.fetch(this.which, from, frames, deck.reference?.id);
    } catch (error) {
      this.wanted = anew || this.wanted;
      throw error;
    }
    if (!deck.playing || stamp !== deck.stamp) {
      this.wanted = deck.playing; // somebody went elsewhere meanwhile
      return;
    }
    if (anew) this.begin(clock);
    this.schedule(piece, clock);
  }

  begin(clock) {
    const now = this.deck.context.currentTime;
    this.end(now);
    const gain = this.deck.context.createGain();
    gain.gain.setValueAtTime(0, now);
    gain.gain.linearRampToValueAtTime(1, now + FADE_S);
    gain.connect(this.gain);
    this.take = { gain, until: clock, pieces: [] };
  }

  end(now = this.deck.context.currentTime) {
    if (!this.take) return;
    const { gain, pieces } = this.take;
    gain.gain.cancelScheduledValues(now);
    gain.gain.setValueAtTime(gain.gain.value, now);
    gain.gain.linearRampToValueAtTime(0, now + FADE_S);
    for (const { node } of pieces) node.stop(now + FADE_S);
  }

  schedule(piece, clock) {
    const { context, rate } = this.deck;
    const buffer = context.createBuffer(piece.channels, piece.frames, rate);
    for (let c = 0; c < piece.channels; c++) {
      const data = buffer.getChannelData(c);
      for (let n = 0; n < piece.frames; n++) data[n] = piece.sound[n * piece.channels + c];
    }
    const node = context.createBufferSource();
    node.buffer = buffer;
    node.connect(this.take.gain);
    const when = this.deck.timeOf(clock);
    const late = Math.max(context.currentTime - when, 0);
    if (late < buffer.duration) node.start(Math.max(when, context.currentTime), late);
    this.take.until = clock + piece.frames;
    this.take.pieces = this.take.pieces.filter((p) => p.clock + p.frames > this.deck.clock - rate);
    this.take.pieces.push({ node, clock, frames: piece.frames, rows: piece.rows, step: piece.step, fields: piece.fields });
  }
}

export class Deck {
  /** `fetch(which, from, frames, id)` gives {sound, channels, frames, rows, step, fields}. */
  constructor(recording, fetch) {
    this.recording = recording;
    this.fetch = fetch;
    this.rate = recording.sample_rate;
    this.frames = recording.frames;
    this.reference = null;
    this.region = null;
    this.playing = false;
    this.onplay = this.ontrouble = () => {};
    this.rest = 0; // the frame at which it stands while it does not play
    this.stamp = 0; // another one when it goes elsewhere: pieces under way are not for there
    this.side = "after";
    this.levels = { before: 1, after: 1, reference: 1 };
  }

  open() {
    if (this.context) return;
    this.context = new AudioContext({ sampleRate: this.rate, latencyHint: "interactive" });
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = 4096;
    this.analyser.smoothingTimeConstant = 0.6;
    this.analyser.minDecibels = -130;
    this.analyser.connect(this.context.destination);
    this.lanes = Object.fromEntries(["before", "after", "reference"].map((which) => [which, new Lane(this, which)]));
    this.bins = new Float32Array(this.analyser.frequencyBinCount);
  }

  close() {
    this.playing = false;
    clearInterval(this.timer);
    this.context?.close();
  }

  // --- time: `clock` counts frames that were heard since the start, `position` is the place in the file ---

  get clock() {
    return this.playing ? this.began.clock + (this.context.currentTime - this.began.time) * this.rate : this.rest;
  }

  timeOf(clock) {
    return this.began.time + (clock - this.began.clock) / this.rate;
  }

  /** Where in the file a clock is, and how many frames follow there without a jump. */
  place(clock, which = "after") {
    if (which === "reference") {
      const frames = Math.max(this.reference?.frames ?? this.frames, 1);
      const at = ((Math.round(clock) % frames) + frames) % frames;
      return [at, frames - at];
    }
    const [from, to] = (this.region ?? [0, this.frames]).map(Math.round);
    let at = Math.round(clock);
    if (at >= to || at < from) at = from + ((((at - from) % (to - from)) + (to - from)) % (to - from));
    return [at, to - at];
  }

  get position() {
    return this.place(this.clock)[0];
  }

  // --- playing --------------------------------------------------------------------------------------

  async play() {
    this.open();
    await this.context.resume();
    this.began = { clock: this.place(this.rest)[0], time: this.context.currentTime + 0.02 };
    this.playing = true;
    this.hear(this.side);
    this.anew(this.began.clock);
    this.timer = setInterval(() => this.fill(), TICK_MS);
    this.onplay();
  }

  pause() {
    this.rest = this.position;
    this.playing = false;
    clearInterval(this.timer);
    for (const lane of Object.values(this.lanes)) lane.end();
    this.onplay();
  }

  seek(position) {
    const to = Math.min(Math.max(Math.round(position), 0), this.frames - 1);
    this.rest = to;
    if (!this.playing) return;
    this.began = { clock: to, time: this.context.currentTime + 0.02 };
    this.anew(to);
  }

  repeat(region) {
    const here = this.position;
    this.region = region && region[1] - region[0] > 0.2 * this.rate ? region : null;
    this.seek(this.region ? Math.min(Math.max(here, this.region[0]), this.region[1] - 1) : here);
  }

  anew() {
    this.stamp += 1;
    for (const lane of Object.values(this.lanes)) lane.restart();
    this.fill();
  }

  /** What the chain plays is another now. */
  changed() {
    if (!this.playing) return;
    this.lanes.after.restart();
    this.lanes.after.fill();
  }

  fill() {
    if (!this.playing) return;
    for (const [which, lane] of Object.entries(this.lanes)) if (which !== "reference" || this.reference) lane.fill();
  }

  failed(error) {
    this.pause();
    this.ontrouble(error.message);
  }

  hear(side) {
    this.side = side;
    if (!this.context) return;
    const now = this.context.currentTime;
    for (const [which, lane] of Object.entries(this.lanes)) {
      lane.gain.gain.cancelScheduledValues(now);
      lane.gain.gain.setValueAtTime(lane.gain.gain.value, now);
      lane.gain.gain.linearRampToValueAtTime(which === side ? this.levels[which] : 0, now + FADE_S);
    }
  }

  gains(levels) {
    this.levels = levels;
    this.hear(this.side);
  }

  // --- meters ---------------------------------------------------------------------------------------

  /** The chain's meters where it plays, and the spectrum of what is heard in third octaves around `hz`. */
  readings(hz) {
    const clock = this.clock;
    const piece = this.lanes.after.take?.pieces.find((p) => p.clock <= clock && clock < p.clock + p.frames);
    let values = null;
    if (piece?.rows.length) {
      values = {};
      const width = piece.fields.reduce((sum, [, count]) => sum + count, 0);
      const row = Math.min(Math.floor((clock - piece.clock) / piece.step), piece.rows.length / width - 1);
      let at = row * width;
      for (const [name, count] of piece.fields) {
        values[name] = count === 1 ? piece.rows[at] : piece.rows.subarray(at, at + count);
        at += count;
      }
    }
    this.analyser.getFloatFrequencyData(this.bins);
    const bin = this.rate / this.analyser.fftSize;
    const below = new Float64Array(this.bins.length + 1);
    for (let i = 0; i < this.bins.length; i++) below[i + 1] = below[i] + 10 ** (this.bins[i] / 10);
    const upTo = (frequency) => {
      const at = Math.min(Math.max(frequency / bin + 0.5, 0), this.bins.length - 0.001);
      const whole = Math.floor(at);
      return below[whole] + (at - whole) * (below[whole + 1] - below[whole]);
    };
    const spectrum = Float32Array.from(hz, (f) => Math.max(10 * Math.log10(upTo(f * 2 ** (1 / 6)) - upTo(f * 2 ** (-1 / 6))), -120));
    return { values, spectrum };
  }
}
