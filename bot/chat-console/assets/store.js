// What the page knows: messages by id, and how far the reader has read. Everybody who shows
// something of it listens for changes.

export const state = {
  me: null,
  people: [],
  completions: [],
  channel: null,
  /** Change up to which everything is known. */
  change: 0,
  online: false,
};

const messages = new Map();
const listeners = new Set();

/** listener({message, before, isNew}) for one message, or listener(null) when all has changed. */
export function listen(listener) {
  listeners.add(listener);
}

function tell(event) {
  for (const listener of listeners) listener(event);
}

export function put(message) {
  const before = messages.get(message.id);
  state.change = Math.max(state.change, message.change);
  if (before && before.change >= message.change) return;
  messages.set(message.id, message);
  tell({ message, before, isNew: !before });
}

export function replaceAll(list, change) {
  messages.clear();
  for (const message of list) messages.set(message.id, message);
  state.change = change;
  forgetFuture();
  tell(null);
}

export const find = (id) => messages.get(id);

const inOrder = (list) => list.sort((a, b) => a.id - b.id);

export function topLevel(channel) {
  return inOrder([...messages.values()].filter((m) => m.channel === channel && m.thread_of === null));
}

export function threadOf(id) {
  return inOrder([...messages.values()].filter((m) => m.thread_of === id));
}

export const channelOf = (name) => state.me?.channels.find((channel) => channel.name === name);

/** Runs that go on now: they are what somebody who opens this page at night looks for. */
export function running() {
  return inOrder([...messages.values()].filter((m) => m.kind === "live" && isRunning(m)));
}

export const isRunning = (message) =>
  message.steps !== null && /class="state (running|paused)"/.test(message.html);

// How far each channel was read, by person: other tabs and later visits know it too.

let seen = {};

const seenKey = () => `rollbot:seen:${state.me?.person.id}`;

export function loadSeen() {
  try {
    seen = JSON.parse(localStorage.getItem(seenKey())) ?? {};
  } catch {
    seen = {};
  }
}

function saveSeen() {
  try {
    localStorage.setItem(seenKey(), JSON.stringify(seen));
  } catch {
    // Unread marks are then for this page only.
  }
}

const newest = (channel) =>
  [...messages.values()].reduce((id, m) => (m.channel === channel ? Math.max(id, m.id) : id), 0);

/** Somebody's first visit has nothing unread; marks of another store are void. */
function forgetFuture() {
  for (const { name } of state.me?.channels ?? []) {
    const last = newest(name);
    if (seen[name] === undefined || seen[name] > last) seen[name] = last;
  }
  saveSeen();
}

export const seenIn = (channel) => seen[channel] ?? 0;

export function markSeen(channel) {
  const last = newest(channel);
  if (seenIn(channel) >= last) return false;
  seen[channel] = last;
  saveSeen();
  return true;
}

export function unreadIn(channel) {
  const after = seenIn(channel);
  let count = 0;
  for (const m of messages.values()) {
    // Details of a run have their live message; people's own words are known to them.
    if (m.channel === channel && m.id > after && m.kind !== "detail" && m.author?.id !== state.me?.person.id) count += 1;
  }
  return count;
}
