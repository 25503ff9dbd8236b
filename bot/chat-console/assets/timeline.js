// The messages of the channel that is open.

import { $, announce, dayName, h, icon, plural } from "./dom.js";
import { authorName, exchange, messageElement } from "./message.js";
import { channelOf, find, listen, markSeen, seenIn, state, topLevel } from "./store.js";

/** Messages of one author within this time share a byline. */
const GROUP_WITHIN = 4 * 60_000;
const EXAMPLE = "/rollback trade reason: orders failing";

let hooks = {};
/** The reader is at the end, and follows it. */
let following = true;
let missed = 0;

export function setUpTimeline(given) {
  hooks = given;
  const scroll = $("scroll");
  scroll.addEventListener("scroll", () => {
    following = isAtEnd();
    if (following) read();
    showToEnd();
  }, { passive: true });
  new ResizeObserver(() => {
    if (following) toEnd();
  }).observe(scroll);
  new ResizeObserver(() => {
    if (following) toEnd();
  }).observe($("timeline"));
  $("to-end").addEventListener("click", () => {
    toEnd();
    $("text").focus();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && following) read();
  });
  $("timeline").addEventListener("keydown", (event) => walk(event));
  listen((event) => {
    if (!event) return show();
    if (event.message.channel === state.channel) update(event);
  });
}

const isAtEnd = () => {
  const scroll = $("scroll");
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
};

export function toEnd() {
  const scroll = $("scroll");
  scroll.scrollTop = scroll.scrollHeight;
  following = true;
  read();
  showToEnd();
}

function read() {
  if (document.hidden) return;
  missed = 0;
  if (markSeen(state.channel)) hooks.seen();
}

function showToEnd() {
  const button = $("to-end");
  button.hidden = following;
  button.replaceChildren(icon("down"), missed > 0 ? plural(missed, "new message", "new messages") : "To the newest");
  button.classList.toggle("has-new", missed > 0);
}

/** Shows the channel anew. */
export function show() {
  const list = $("timeline");
  const messages = topLevel(state.channel);
  list.setAttribute("aria-label", `Messages in ${state.channel}`);
  const unreadAfter = seenIn(state.channel);
  list.replaceChildren();
  let before = null;
  let divided = false;
  for (const message of messages) {
    const isNews = message.id > unreadAfter && message.author?.id !== state.me.person.id;
    if (isNews && !divided && before) {
      list.append(h("div", { class: "new-line", role: "separator" }, h("span", {}, "New")));
      divided = true;
      before = null;
    }
    append(list, message, before);
    before = message;
  }
  missed = 0;
  showEmpty(messages.length === 0);
  toEnd();
}

function append(list, message, before) {
  const at = new Date(message.created_at);
  if (!before || new Date(before.created_at).toDateString() !== at.toDateString()) {
    const shown = list.querySelector(`[data-day="${at.toDateString()}"]`);
    if (!shown) {
      list.append(h("div", { class: "day", role: "separator", "data-day": at.toDateString() }, h("span", {}, dayName(at))));
      before = null;
    }
  }
  list.append(messageElement(message, { grouped: isGrouped(message, before), openThread: hooks.openThread }));
}

function isGrouped(message, before) {
  return Boolean(before)
    && (before.author?.id ?? null) === (message.author?.id ?? null)
    && before.private === message.private
    && new Date(message.created_at) - new Date(before.created_at) < GROUP_WITHIN;
}

const elementOf = (id) => $("timeline").querySelector(`:scope > [data-id="${id}"]`);

function update({ message, before, isNew }) {
  if (message.thread_of !== null) {
    // Its first message shows how many there are.
    const root = find(message.thread_of);
    const shown = root && elementOf(root.id);
    if (shown && isNew) redraw(shown, root);
    if (following) read();
    return;
  }
  const shown = elementOf(message.id);
  if (shown) {
    redraw(shown, message);
    sayState(before, message);
  } else {
    const list = $("timeline");
    const lastElement = [...list.querySelectorAll(":scope > [data-id]")].at(-1);
    const last = lastElement ? find(Number(lastElement.dataset.id)) : null;
    if (last && last.id > message.id) return show();
    showEmpty(false);
    append(list, message, last);
    const own = message.author?.id === state.me.person.id;
    if (!following && !own) {
      missed += 1;
      showToEnd();
    }
    if (own) following = true;
    if (!own) announce(`${authorName(message)}: ${message.text}`);
  }
  if (following) toEnd();
}

function redraw(shown, message) {
  const options = { grouped: shown.classList.contains("grouped"), openThread: hooks.openThread };
  const fresh = messageElement(message, options);
  if (shown.classList.contains("selected")) fresh.classList.add("selected");
  exchange(shown, fresh);
}

const stateIn = (message) => /class="state [a-z]+">([^<]+)</.exec(message?.html ?? "")?.[1];

function sayState(before, message) {
  const now = stateIn(message);
  if (now && now !== stateIn(before)) announce(`${message.text.split("\n")[0]}`);
  else if (message.votes && before?.votes && message.votes.have !== before.votes.have) {
    announce(`${message.votes.have} of ${message.votes.need} approvals`);
  }
}

/** Arrow keys go from message to message. */
function walk(event) {
  if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
  if (event.target.closest("pre")) return;
  const all = [...$("timeline").querySelectorAll(":scope > [data-id]")];
  const at = all.indexOf(document.activeElement.closest("[data-id]"));
  const next = at < 0 ? all.at(-1) : all[at + (event.key === "ArrowUp" ? -1 : 1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

export function select(id) {
  for (const element of $("timeline").querySelectorAll(".selected")) element.classList.remove("selected");
  if (id !== null) elementOf(id)?.classList.add("selected");
}

function showEmpty(isEmpty) {
  const box = $("empty");
  box.hidden = !isEmpty;
  if (!isEmpty) return;
  const channel = channelOf(state.channel);
  if (channel?.announcements) {
    box.replaceChildren(icon("megaphone", "large"), h("h2", {}, "Nothing was announced yet"),
      h("p", {}, "What rollbot tells users appears here: that maintenance has begun, how it goes on, and the all-clear."));
    return;
  }
  const known = state.completions.some((c) => EXAMPLE.startsWith(c.text));
  const example = known || state.completions.length === 0 ? EXAMPLE : state.completions[0].text;
  box.replaceChildren(
    h("img", { src: "/assets/mark.svg", alt: "", width: 56, height: 56 }),
    h("h2", {}, "All quiet here"),
    ...state.me.product.map((line) => h("p", {}, line)),
    h("p", { class: "try" }, "Begin with a command. It only makes a plan; nothing happens before people approve it."),
    h("button", { type: "button", class: "example", onclick: () => hooks.write(example) }, h("code", {}, example), h("kbd", {}, "Try it")));
}
