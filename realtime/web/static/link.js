// The connection to afx-live: the state comes in, section by section; changes go out.
// Whatever is drawn listens here, and nothing else in the page knows that there is a network.

const RETRY_MS = [250, 500, 1000, 2000, 4000];
const HOLD_MS = 400; // what a hand has just set is not overwritten by the echo of an earlier value
const KEY = "afx-live token";

export const state = { spec: { effects: {} }, session: { values: {} }, meters: [] };
export const frame = { values: {}, spectrum: null, at: 0 };

const listeners = new Map();
const held = new Map();
let socket = null;
let token = takeToken();
let tries = 0;
let pending = null;
let resting = true; // nothing was said in this frame yet

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname); // out of sight, and out of the history
  }
  return given ?? sessionStorage.getItem(KEY) ?? "";
}

// --- hearing ----------------------------------------------------------------------------------------

/** Call `f` now and whenever one of these sections of the state (or "link", "frame", "reply") changes. */
export function on(sections, f) {
  for (const section of sections.split(" ")) {
    if (!listeners.has(section)) listeners.set(section, new Set());
    listeners.get(section).add(f);
  }
}

function tell(sections, news) {
  const calls = new Set(sections.flatMap((section) => [...(listeners.get(section) ?? [])]));
  for (const call of calls) call(news);
}

/** Have everything drawn again, in other colours. */
export const repaint = () => tell(["theme"]);

export function connect() {
  if (!token) return fail("This page needs the link that afx-live has printed, with its token: open that one.");
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => socket.send(JSON.stringify({ token }));
  socket.onmessage = ({ data }) => (typeof data === "string" ? receive(JSON.parse(data)) : measure(data));
  socket.onclose = ({ code }) => {
    if (code === 4401) {
      return fail("The token is not that of the afx-live that runs now: open the link that it has printed.");
    }
    if (code === 4429) return fail("Too many pages are open: close some, then load this one again.");
    fail(tries ? "afx-live does not answer. The sound may play on; trying again …" : "");
    setTimeout(connect, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
  };
}

function fail(text) {
  state.link = { up: false, text };
  tell(["link"]);
}

function receive(message) {
  if (message.welcome) {
    token = message.welcome;
    sessionStorage.setItem(KEY, token);
    tries = 0;
    held.clear();
    state.link = { up: true, text: "" };
    tell(["link"]);
  } else if (message.state) {
    Object.assign(state, message.state);
    if (message.state.session) keepHeld();
    tell(Object.keys(message.state));
  } else {
    tell(["reply"], message);
  }
}

/** Leave what a hand has just set as it is; what has come meanwhile is shown when the hand has let go. */
function keepHeld() {
  const now = performance.now();
  for (const [name, hold] of held) {
    if (!(name in state.session.values) || now > hold.until) {
      held.delete(name);
      continue;
    }
    hold.came = state.session.values[name];
    state.session.values[name] = hold.value;
    clearTimeout(hold.timer);
    hold.timer = setTimeout(release, hold.until - now, name, hold);
  }
}

function release(name, hold) {
  if (held.get(name) !== hold) return; // it was moved again
  held.delete(name);
  if (name in state.session.values) state.session.values[name] = hold.came;
  tell(["session"]);
}

/** A frame of meters: float32 in the order of the section `meters`, then the spectrum of the input. */
function measure(data) {
  const numbers = new Float32Array(data);
  let at = 0;
  for (const [name, count] of state.meters) {
    frame.values[name] = count === 1 ? numbers[at] : numbers.subarray(at, at + count);
    at += count;
  }
  frame.spectrum = numbers.subarray(at);
  frame.at = performance.now();
  tell(["frame"]);
}

/** Take meters that the page has found itself, for sounds that it plays itself. */
export function measured(values, spectrum) {
  Object.assign(frame.values, values);
  frame.spectrum = spectrum;
  frame.at = performance.now();
  tell(["frame"]);
}

// --- saying -----------------------------------------------------------------------------------------

/** Set controls by name: at once, and from then on once a frame, all that have moved in one message. */
export function set(values) {
  const until = performance.now() + HOLD_MS;
  for (const [name, value] of Object.entries(values)) {
    if (name in state.session.values) {
      held.set(name, { value, until });
      state.session.values[name] = value;
    }
  }
  if (!pending) (resting ? queueMicrotask : requestAnimationFrame)(flush);
  pending = { ...pending, ...values };
  tell(["session"]);
}

function flush() {
  say({ send: pending });
  pending = null;
  resting = false;
  requestAnimationFrame(() => (resting = true));
}

/** Pull a trigger, such as undo: what it changes comes back as state. */
export function pull(name) {
  held.clear();
  say({ send: { [name]: true } });
}

/** Send any message; dropped while there is no connection. */
export function say(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

export const value = (name) => state.session.values[name];

async function request(method, path, body, headers = {}) {
  const answer = await fetch(path, { method, body, headers: { Authorization: `Bearer ${token}`, ...headers } });
  if (answer.ok) return answer;
  let text = `${answer.status} ${answer.statusText}`;
  try {
    text = (await answer.json()).error;
  } catch {
    // no JSON: the status has to do
  }
  throw new Error(text);
}

/** Ask afx-live for something; gives the response. Throws an Error in words for people. */
export function ask(message) {
  return request("POST", "ask", JSON.stringify(message), { "Content-Type": "application/json" });
}

/** Send a file; gives what was found in it. Throws an Error in words for people. */
export async function upload(file, role) {
  const query = new URLSearchParams({ name: file.name });
  const found = await (await request("PUT", `upload?${query}`, file)).json();
  say({ [role]: found.id });
  return found;
}

/** Ask for a file and have the browser save it. */
export async function download(message, name) {
  const answer = await ask(message);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  const [, coded, plain] = /filename(?:\*=utf-8''([^;]+)|="([^"]+)")/i.exec(answer.headers.get("content-disposition") ?? "") ?? [];
  link.download = plain ?? (coded ? decodeURIComponent(coded) : name);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
