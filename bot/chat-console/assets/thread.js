// The panel beside the timeline: one message and everything in its thread.

import { act, Refused } from "./api.js";
import { $, announce, h, icon, toast } from "./dom.js";
import { exchange, firstLine, isOpen, messageElement, take } from "./message.js";
import { channelOf, find, listen, state, threadOf } from "./store.js";

/** Wide enough to stand beside the timeline. */
const WIDE = matchMedia("(min-width: 1120px)");

let open = null;
/** Opened by the reader, and not by a run that began. */
let chosen = false;
let hooks = {};
let cameFrom = null;
const dismissed = new Set();

export function setUpThread(given) {
  hooks = given;
  listen((event) => {
    if (!event) {
      if (open !== null && !find(open)) closeThread();
      else if (open !== null) draw();
      return followRun();
    }
    const { message, isNew } = event;
    if (message.id === open) drawRoot();
    else if (message.thread_of === open && open !== null) drawReply(message, isNew);
    if (message.kind === "live") followRun();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && open !== null && !event.defaultPrevented && !document.querySelector("dialog[open]")) {
      closeThread();
    }
  });
}

export function openThread(id, byReader = true) {
  if (!find(id)) return;
  if (byReader) cameFrom = document.activeElement;
  open = id;
  chosen = byReader;
  if (byReader) dismissed.delete(id);
  draw();
  hooks.selected(id);
  if (byReader) $("thread").querySelector(".close-thread").focus();
}

export function closeThread() {
  if (open === null) return;
  const id = open;
  dismissed.add(id);
  open = null;
  chosen = false;
  $("thread").hidden = true;
  document.body.classList.remove("with-thread");
  hooks.selected(null);
  if ($("thread").contains(document.activeElement) || document.activeElement === document.body) {
    (cameFrom?.isConnected ? cameFrom : $("text")).focus();
  }
}

/** Closes without remembering that: the channel or the person was changed. */
export function leaveThread() {
  closeThread();
  dismissed.clear();
}

/** On a wide screen the run that goes on is followed by itself. */
export function followRun() {
  if (!WIDE.matches || chosen) return;
  const live = hooks.runs().filter((m) => m.channel === state.channel && !dismissed.has(m.id)).at(-1);
  if (live && live.id !== open) openThread(live.id, false);
}

function draw() {
  const panel = $("thread");
  const root = find(open);
  const scroll = h("div", { class: "thread-scroll", tabindex: "0", "aria-label": "Messages of the thread" },
    h("div", { class: "thread-root" }), h("div", { class: "thread-replies" }));
  panel.replaceChildren(
    h("header", { class: "thread-head" },
      h("div", {}, h("h2", {}, root.kind === "live" ? "Run in detail" : "Thread"), h("p", {}, firstLine(root))),
      h("button", { type: "button", class: "icon-button close-thread", "aria-label": "Close the thread", onclick: closeThread }, icon("cross"))),
    scroll,
    channelOf(root.channel)?.announcements ? "" : replyForm());
  panel.hidden = false;
  document.body.classList.add("with-thread");
  drawRoot();
  const list = panel.querySelector(".thread-replies");
  list.append(...threadOf(open).map((reply) => element(reply)));
  showCount();
  scroll.scrollTop = scroll.scrollHeight;
}

const element = (message) => messageElement(message, { inThread: true, grouped: false });

function drawRoot() {
  const box = $("thread").querySelector(".thread-root");
  const fresh = element(find(open));
  if (box.firstElementChild) exchange(box.firstElementChild, fresh);
  else box.append(fresh);
}

function drawReply(message, isNew) {
  const scroll = $("thread").querySelector(".thread-scroll");
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  const list = $("thread").querySelector(".thread-replies");
  const shown = list.querySelector(`:scope > [data-id="${message.id}"]`);
  if (shown) exchange(shown, element(message));
  else {
    const after = [...list.children].find((other) => Number(other.dataset.id) > message.id);
    list.insertBefore(element(message), after ?? null);
  }
  showCount();
  if (isNew && isOpen(find(open))) announce(message.text);
  if (atEnd) scroll.scrollTop = scroll.scrollHeight;
}

function showCount() {
  $("thread").querySelector(".thread-replies").classList.toggle("is-empty", threadOf(open).length === 0);
}

function replyForm() {
  const field = h("textarea", { rows: 1, maxlength: 4000, placeholder: "Reply in this thread", "aria-label": "Reply in this thread", enterkeyhint: "send" });
  const send = async () => {
    const text = field.value.trim();
    if (!text) return;
    const root = find(open);
    field.disabled = true;
    try {
      take(await act("/api/messages", { channel: root.channel, text, thread_of: root.id }));
      field.value = "";
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      toast(error.message);
    } finally {
      field.disabled = false;
      field.focus();
    }
  };
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  return h("form", { class: "composer reply", onsubmit: (event) => { event.preventDefault(); send(); } },
    h("div", { class: "field" }, field, h("button", { type: "submit", class: "send", "aria-label": "Send the reply" }, icon("send"))));
}
