// One message: its looks by kind, its reactions and its buttons.

import { act, Refused } from "./api.js";
import { $, avatar, drawMarks, h, icon, plural, shortTime, stamp, toast } from "./dom.js";
import { put, state, threadOf } from "./store.js";

const LABELS = {
  approval: { open: "Approval needed", over: "Approval", icon: "ballot" },
  live: { open: "Running", over: "Run", icon: "pulse" },
  question: { open: "Decision needed", over: "Decision", icon: "question" },
  announcement: { open: "To all users", over: "To all users", icon: "megaphone" },
  notice: { open: "Notice", over: "Notice", icon: "info" },
};

const REACTIONS = {
  white_check_mark: { icon: "check", word: "Approve", look: "yes" },
  x: { icon: "cross", word: "Veto", look: "no" },
};

/** Reactions that people pick from; `me` brings the signs for all of them. */
const PALETTE = ["white_check_mark", "x", "eyes", "+1", "raised_hands", "question"];

/** Folded above this height; what is voted on is always shown whole. */
const FOLD_AT = 620;

const unfolded = new Set();

export function isOpen(message) {
  if (message.kind === "approval") return message.votes?.open ?? message.reactions.some((r) => r.offered);
  if (message.kind === "question") return message.buttons.length > 0;
  if (message.kind === "live") return /class="state (running|paused)"/.test(message.html);
  return false;
}

/** What a message is about, without the sign before it. */
export const firstLine = (message) => message.text.split("\n")[0].replace(/^\p{Extended_Pictographic}\uFE0F?\s*/u, "");

export const authorName = (message) => message.author?.name ?? state.me?.title ?? "rollbot";

/** options: {grouped, inThread, openThread(id)} */
export function messageElement(message, options) {
  const compact = message.kind === "detail";
  const label = LABELS[message.kind];
  const body = h("div", { class: "body", html: message.html });
  drawMarks(body);
  const parts = [];
  if (label) parts.push(cardHead(message, label));
  parts.push(body);
  if (message.kind === "approval" && message.votes) parts.push(meter(message.votes, message));
  if (message.buttons.length > 0) parts.push(buttonRow(message));
  const chips = reactionRow(message);
  if (chips) parts.push(chips);
  const replies = options.inThread ? null : repliesButton(message, options.openThread);
  if (replies) parts.push(replies);

  const head = options.grouped || compact ? null : h("header", { class: "byline" },
    h("span", { class: "who" }, authorName(message)),
    message.author ? null : h("span", { class: "bot-tag" }, "bot"),
    stamp(message.created_at),
    message.private ? h("span", { class: "only-you" }, icon("lock"), "Only you see this") : null);
  const side = compact ? null
    : options.grouped ? h("span", { class: "side-stamp", "aria-hidden": "true" }, shortTime(new Date(message.created_at)))
    : avatar(message.author);

  const classes = ["message", `kind-${message.kind}`];
  if (options.grouped) classes.push("grouped");
  if (message.private) classes.push("private");
  if (label) classes.push("is-card");
  if (isOpen(message)) classes.push("is-open");
  const element = h("article", {
    class: classes.join(" "),
    "data-id": message.id,
    tabindex: "-1",
    "aria-label": `${authorName(message)}, ${shortTime(new Date(message.created_at))}`,
  }, side, h("div", { class: "content" }, head, h("div", { class: label ? "card" : "plain" }, parts)),
  compact ? null : tools(message, options));
  if (!label && !compact) foldIfLong(element, body, message.id);
  return element;
}

function cardHead(message, label) {
  const open = isOpen(message);
  const right = message.steps && message.steps.total > 0
    ? h("span", { class: "card-progress" },
      h("span", { class: "bar", "aria-hidden": "true" },
        Array.from({ length: message.steps.total }, (_, at) =>
          h("i", { class: at < message.steps.done ? "full" : at === message.steps.done && message.steps.running ? "now" : "" }))),
      `${message.steps.done} of ${plural(message.steps.total, "step", "steps")}`)
    : null;
  const paused = message.kind === "live" && message.html.includes('class="state paused"');
  const word = paused ? "Paused" : open ? label.open : label.over;
  return h("div", { class: "card-head" }, icon(paused ? "pause" : label.icon), h("span", { class: "card-label" }, word),
    open && message.kind === "live" && !paused ? h("span", { class: "pulse", "aria-hidden": "true" }) : null, right);
}

function meter(votes, message) {
  const names = message.reactions.find((r) => r.emoji === "white_check_mark")?.people.map((p) => p.name) ?? [];
  const enough = votes.have >= votes.need;
  return h("div", { class: `meter${enough ? " enough" : ""}` },
    h("span", { class: "segments", role: "img", "aria-label": `${votes.have} of ${votes.need} approvals` },
      Array.from({ length: Math.min(votes.need, 12) }, (_, at) => h("i", { class: at < votes.have ? "full" : "" }))),
    h("span", { class: "meter-text" }, h("b", {}, `${votes.have} of ${votes.need}`), " approvals"),
    votes.open && names.length > votes.have
      ? h("span", { class: "meter-note" }, "not every check mark counts") : null);
}

function buttonRow(message) {
  return h("div", { class: "buttons" }, message.buttons.map((button, at) => {
    const look = button.confirm ? "button-destructive" : at === 0 ? "primary" : "quiet";
    return h("button", {
      type: "button", class: look, "data-key": `button-${button.key}`,
      onclick: (event) => press(event.currentTarget, message, button),
    }, button.label);
  }));
}

async function press(element, message, button) {
  if (button.confirm && !(await confirmed(message, button))) return;
  await busy(element, async () => {
    const path = `/api/messages/${message.id}/buttons/${encodeURIComponent(button.key)}`;
    take(await act(path, {}));
  });
}

/** Asks before something is given up; the way back has the focus. */
function confirmed(message, button) {
  const dialog = $("confirm");
  $("confirm-title").textContent = `${button.label}?`;
  $("confirm-about").textContent = firstLine(message);
  $("confirm-text").textContent = button.confirm;
  $("confirm-yes").textContent = button.label;
  return new Promise((decide) => {
    const close = (answer) => {
      $("confirm-yes").onclick = $("confirm-no").onclick = dialog.oncancel = dialog.onclick = null;
      dialog.close();
      decide(answer);
    };
    $("confirm-yes").onclick = () => close(true);
    $("confirm-no").onclick = () => close(false);
    dialog.oncancel = (event) => {
      event.preventDefault();
      close(false);
    };
    dialog.onclick = (event) => {
      if (event.target === dialog) close(false);
    };
    dialog.showModal();
    $("confirm-no").focus();
  });
}

function reactionRow(message) {
  const shown = message.reactions.filter((r) => r.offered || r.people.length > 0);
  if (shown.length === 0) return null;
  return h("div", { class: "reactions" }, shown.map((reaction) => chip(message, reaction)));
}

function chip(message, reaction) {
  const known = REACTIONS[reaction.emoji];
  const vote = message.kind === "approval" && known;
  const closed = vote && !isOpen(message);
  const names = reaction.people.map((p) => (p.id === state.me.person.id ? "You" : p.name));
  const word = vote ? known.word : reaction.emoji.replaceAll("_", " ");
  const tip = names.length > 0 ? names.join(", ") : vote ? `Nobody yet` : "";
  return h("button", {
    type: "button",
    class: `chip${vote ? ` vote ${known.look}` : ""}${reaction.mine ? " mine" : ""}`,
    "aria-pressed": String(reaction.mine),
    "data-tip": tip,
    "data-key": `reaction-${reaction.emoji}`,
    disabled: closed,
    onclick: (event) => react(event.currentTarget, message, reaction.emoji, !reaction.mine),
  },
  known ? icon(known.icon) : h("span", { class: "sign", "aria-hidden": "true" }, reaction.sign ?? `:${reaction.emoji}:`),
  h("span", { class: vote ? "" : "sr-only" }, `${word} `),
  h("b", {}, String(reaction.people.length)),
  names.length > 0 ? h("span", { class: "sr-only" }, `: ${names.join(", ")}`) : null);
}

async function react(element, message, emoji, on) {
  await busy(element, async () => take(await act(`/api/messages/${message.id}/reactions`, { emoji, on })));
}

/** What a request brought, before the stream brings it too. */
export function take(acted) {
  if (acted.message) put(acted.message);
  if (acted.answer) put(acted.answer);
  if (acted.pending) toast("rollbot is still working on it. Its answer will appear here.", "info");
}

async function busy(element, work) {
  element.setAttribute("aria-busy", "true");
  element.disabled = true;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    toast(error.message);
  } finally {
    element.removeAttribute("aria-busy");
    element.disabled = false;
  }
}

function repliesButton(message, openThread) {
  const replies = threadOf(message.id);
  if (replies.length === 0 || !openThread) return null;
  const last = replies.at(-1);
  const what = message.kind === "live" ? plural(replies.length, "detail", "details") : plural(replies.length, "reply", "replies");
  return h("button", { type: "button", class: "replies", "data-key": "replies", onclick: () => openThread(message.id) },
    icon("thread"), h("b", {}, what), h("span", {}, `last ${shortTime(new Date(last.created_at))}`));
}

function tools(message, options) {
  const signs = state.me?.emoji ?? {};
  const picks = PALETTE.filter((emoji) => signs[emoji] && !message.reactions.some((r) => r.emoji === emoji && r.offered)).slice(0, 4);
  const mine = (emoji) => message.reactions.some((r) => r.emoji === emoji && r.mine);
  const canThread = options.openThread && !options.inThread && message.thread_of === null && !message.private;
  if (message.private) return null;
  return h("div", { class: "tools" },
    picks.map((emoji) => h("button", {
      type: "button", class: "icon-button", "aria-label": `React: ${emoji.replaceAll("_", " ")}`, "data-key": `pick-${emoji}`,
      onclick: (event) => react(event.currentTarget, message, emoji, !mine(emoji)),
    }, REACTIONS[emoji] ? icon(REACTIONS[emoji].icon) : h("span", { class: "sign" }, signs[emoji]))),
    canThread ? h("button", { type: "button", class: "icon-button", "aria-label": "Open the thread", "data-key": "open-thread", onclick: () => options.openThread(message.id) }, icon("thread")) : null);
}

function foldIfLong(element, body, id) {
  requestAnimationFrame(() => {
    if (unfolded.has(id) || body.scrollHeight <= FOLD_AT + 80) return;
    body.classList.add("folded");
    const more = h("button", {
      type: "button", class: "quiet unfold",
      onclick: () => {
        unfolded.add(id);
        body.classList.remove("folded");
        more.remove();
      },
    }, "Show all of it");
    body.after(more);
  });
}

/** Exchanges an element for its newer self and keeps the keyboard where it was. */
export function exchange(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset.key;
  old.replaceWith(fresh);
  if (!focused) return;
  const again = key ? [...fresh.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key) : null;
  (again ?? fresh).focus({ preventScroll: true });
}
