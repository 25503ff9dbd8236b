// The field at the bottom: commands with completion, history, and messages that wait for the server.

import { newId, pause, Refused, request } from "./api.js";
import { isUnfinished, suggest } from "./completion.js";
import { $, avatar, h, icon, plural, toast } from "./dom.js";
import { take } from "./message.js";
import { channelOf, state } from "./store.js";

const MOST_HISTORY = 50;

let found = { usage: null, items: [] };
/** Index of the marked suggestion; -1 when none is. */
let marked = -1;
/** The reader closed the suggestions for what is typed now. */
let closed = false;
let back = -1;
let unsent = "";
const drafts = new Map();
const waiting = [];
let hooks = {};

export function setUpComposer(given) {
  hooks = given;
  const field = $("text");
  $("send").append(icon("send"));
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  field.addEventListener("input", () => {
    closed = false;
    back = -1;
    refresh();
  });
  field.addEventListener("keydown", onKey);
  field.addEventListener("focus", refresh);
  field.addEventListener("blur", () => setTimeout(() => show(false), 120));
  document.addEventListener("keydown", (event) => {
    const inField = event.target.closest("input, textarea, dialog, [contenteditable]");
    if (event.key === "/" && !inField && !event.ctrlKey && !event.metaKey && !event.altKey && !$("composer").hidden) {
      event.preventDefault();
      field.focus();
      if (field.value === "") write("/");
    }
  });
}

export function openIn(channel) {
  const field = $("text");
  if (state.channel) drafts.set(state.channel, field.value);
  const about = channelOf(channel);
  $("composer").hidden = about.announcements;
  $("read-only").hidden = !about.announcements;
  $("read-only").replaceChildren(icon("megaphone"), `Only ${state.me.title} posts in ${channel}.`);
  field.placeholder = `Message #${channel}, or / for a command`;
  field.setAttribute("aria-label", `Message in ${channel}`);
  field.value = drafts.get(channel) ?? "";
  back = -1;
  refresh();
  drawWaiting(channel);
}

export function write(text) {
  const field = $("text");
  field.value = text;
  field.focus();
  field.setSelectionRange(text.length, text.length);
  closed = false;
  refresh();
}

function refresh() {
  const field = $("text");
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 220)}px`;
  $("send").disabled = field.value.trim() === "";
  field.classList.toggle("is-command", field.value.startsWith("/"));
  const atEnd = field.selectionStart === field.value.length;
  found = atEnd ? suggest(field.value, state.completions) : { usage: null, items: [] };
  // Before the command is whole the best suggestion is taken by Enter; afterwards Enter sends.
  marked = isUnfinished(found) && field.value.length > 1 ? 0 : -1;
  draw();
}

function show(isOpen) {
  $("suggestions").hidden = !isOpen;
  $("text").setAttribute("aria-expanded", String(isOpen));
  if (!isOpen) $("text").removeAttribute("aria-activedescendant");
}

function draw() {
  const open = !closed && (found.items.length > 0 || found.usage !== null) && document.activeElement === $("text");
  const { usage } = found;
  $("usage").hidden = usage === null;
  if (usage) {
    $("usage").replaceChildren(h("code", {}, h("b", {}, usage.text), usage.rest ? ` ${usage.rest}` : ""), h("span", {}, usage.about));
  }
  $("options").replaceChildren(...found.items.map((item, at) => h("li", {
    role: "option", id: `option-${at}`, "aria-selected": String(at === marked), class: at === marked ? "marked" : "",
    onmousedown: (event) => {
      event.preventDefault();
      accept(at);
    },
  }, h("code", {}, split(item.label), item.rest ? h("span", { class: "rest" }, ` ${item.rest}`) : null), h("span", { class: "about" }, item.about))));
  $("options").hidden = found.items.length === 0;
  show(open);
  if (open && marked >= 0) {
    $("text").setAttribute("aria-activedescendant", `option-${marked}`);
    $(`option-${marked}`).scrollIntoView({ block: "nearest" });
  } else {
    $("text").removeAttribute("aria-activedescendant");
  }
}

/** What is typed already stands out less than what would come. */
function split(label) {
  const typed = $("text").value;
  if (!label.toLowerCase().startsWith(typed.toLowerCase())) return h("b", {}, label);
  return [h("span", { class: "typed" }, label.slice(0, typed.length)), h("b", {}, label.slice(typed.length))];
}

function accept(at) {
  const item = found.items[at];
  if (item) write(item.insert);
}

function onKey(event) {
  if (event.isComposing) return;
  const field = $("text");
  const open = !$("suggestions").hidden;
  const count = found.items.length;
  if (open && count > 0 && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    marked = marked < 0 ? (step > 0 ? 0 : count - 1) : (marked + step + count) % count;
    draw();
  } else if (event.key === "Tab" && !event.shiftKey && open && count > 0) {
    event.preventDefault();
    accept(Math.max(marked, 0));
  } else if (event.key === "Escape" && open) {
    event.preventDefault();
    closed = true;
    draw();
  } else if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    if (open && marked >= 0 && found.items[marked].insert.trim() !== field.value.trim()) accept(marked);
    else send();
  } else if (event.key === "ArrowUp" && (back >= 0 || field.value === "" || field.selectionEnd === 0)) {
    recall(event, 1);
  } else if (event.key === "ArrowDown" && back >= 0) {
    recall(event, -1);
  }
}

const historyKey = () => `rollbot:sent:${state.me.person.id}`;

function sent() {
  try {
    return JSON.parse(sessionStorage.getItem(historyKey())) ?? [];
  } catch {
    return [];
  }
}

function remember(text) {
  const lines = [text, ...sent().filter((other) => other !== text)].slice(0, MOST_HISTORY);
  try {
    sessionStorage.setItem(historyKey(), JSON.stringify(lines));
  } catch {
    // No history then.
  }
}

function recall(event, step) {
  const lines = sent();
  const next = back + step;
  if (next >= lines.length) return;
  event.preventDefault();
  if (back === -1) unsent = $("text").value;
  back = next;
  const text = back === -1 ? unsent : lines[back];
  const field = $("text");
  field.value = text;
  field.setSelectionRange(text.length, text.length);
  closed = true;
  const keep = back;
  refresh();
  back = keep;
}

function send() {
  const field = $("text");
  const text = field.value.trim();
  if (text === "") return;
  const entry = { id: newId(), channel: state.channel, text, person: state.me.person, slow: false, cancelled: false };
  remember(text);
  field.value = "";
  back = -1;
  refresh();
  hooks.toEnd();
  waiting.push(entry);
  deliver(entry);
}

/** Until it is answered: with the same id, so that it arrives once however often it is sent. */
async function deliver(entry) {
  const slow = setTimeout(() => {
    entry.slow = true;
    drawWaiting(state.channel);
  }, 350);
  const done = () => {
    clearTimeout(slow);
    waiting.splice(waiting.indexOf(entry), 1);
    drawWaiting(state.channel);
  };
  for (let attempt = 1; !entry.cancelled; attempt += 1) {
    // Somebody who acts as another by now does not send this in their name.
    if (entry.person.id !== state.me.person.id) break;
    try {
      const acted = await request("/api/messages", { channel: entry.channel, text: entry.text, client_id: entry.id });
      done();
      take(acted);
      return;
    } catch (error) {
      if (!(error instanceof Refused)) {
        done();
        throw error;
      }
      if (!error.isPassing) {
        done();
        toast(error.message);
        if ($("text").value === "" && entry.channel === state.channel) write(entry.text);
        return;
      }
      await pause(Math.max(error.after * 1000, Math.min(8_000, 500 * 2 ** attempt)));
    }
  }
  done();
}

function drawWaiting(channel) {
  const mine = waiting.filter((entry) => entry.channel === channel && entry.slow);
  $("pending").replaceChildren(...mine.map((entry) => h("div", { class: "message pending" }, avatar(entry.person),
    h("div", { class: "content" },
      h("header", { class: "byline" }, h("span", { class: "who" }, entry.person.name), h("span", { class: "stamp" }, state.online ? "sending" : "waits for the connection"),
        h("button", { type: "button", class: "link", onclick: () => {
          entry.cancelled = true;
          entry.slow = false;
          drawWaiting(channel);
          if ($("text").value === "") write(entry.text);
        } }, "Take it back")),
      h("div", { class: "plain" }, h("div", { class: "body" }, h("p", {}, entry.text)))))));
  if (mine.length > 0) hooks.toEnd();
}

/** For the banner: how much waits. */
export const waitingWords = () => (waiting.length === 0 ? "" : ` ${plural(waiting.length, "message waits", "messages wait")} here and will be sent.`);
