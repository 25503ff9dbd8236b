// Elements, icons and small words. Text only ever gets in as text; HTML comes from the server's
// own Markdown renderer and nowhere else.

/** h("button", {class: "x", onclick: f}, "text", node, …) */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "html") element.innerHTML = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

const SHAPES = {
  check: "M5 12.5l4.6 4.6L19 7.5",
  cross: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  skip: "M6 6.5l6 5.5-6 5.5M13 6.5l6 5.5-6 5.5",
  pause: "M9 6v12M15 6v12",
  undo: "M8.5 5.5L4.5 9.5l4 4M4.5 9.5H14a5 5 0 010 10h-3",
  warning: "M12 4.2L2.9 19.5h18.2zM12 10v4.2M12 17v.1",
  info: "M12 21a9 9 0 100-18 9 9 0 000 18zM12 11v5.5M12 7.8v.1",
  hash: "M9.5 4L7.5 20M16.5 4l-2 16M4.5 9h16M3.5 15h16",
  megaphone: "M4 10v4h3l9 4.5v-13L7 10zM7.5 14.2l1.3 5h2.4l-1.4-4.2M19.5 9.5a3.6 3.6 0 010 5",
  thread: "M4.5 5h15v10.5H11l-4.2 3.7v-3.7H4.5zM8.5 8.8h7M8.5 11.8h4.5",
  send: "M4.5 12L20 4.5 15.5 20l-3.6-6.3zM11.9 13.7L20 4.5",
  sun: "M12 16.5a4.5 4.5 0 100-9 4.5 4.5 0 000 9zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
  moon: "M20 13.8A8.3 8.3 0 0110.2 4a8.3 8.3 0 109.8 9.8z",
  half: "M12 20.5a8.5 8.5 0 100-17v17zM12 3.5a8.5 8.5 0 000 17",
  menu: "M4 7h16M4 12h16M4 17h16",
  leave: "M10 4.5H5.5v15H10M14.5 8l4 4-4 4M18 12H9.5",
  lock: "M6.5 11h11v8.5h-11zM9 11V8a3 3 0 016 0v3",
  down: "M12 5v13M6.5 12.5L12 18l5.5-5.5",
  ballot: "M5 4.5h14v15H5zM8.5 9.2l1.4 1.4 2.4-2.7M14.5 9.5H16M8.5 15.2h7.5",
  pulse: "M3 12.5h4l2.6-7 4.6 13 2.4-6H21",
  question: "M12 21a9 9 0 100-18 9 9 0 000 18zM9.4 9.6a2.7 2.7 0 115.2.9c0 1.7-2.6 2-2.6 3.6M12 17v.1",
  smile: "M12 21a9 9 0 100-18 9 9 0 000 18zM8.7 14.2a4.2 4.2 0 006.6 0M9.2 9.5v.1M14.8 9.5v.1",
  away: "M3 9.5a13 13 0 0118 0M6.5 13a8 8 0 0111 0M9.8 16.4a3.3 3.3 0 014.4 0M12 19.5v.1M4 4l16 16",
  dot: "",
  spin: "M12 3.5a8.5 8.5 0 108.5 8.5",
};

const SVG = "http://www.w3.org/2000/svg";

export function icon(name, className = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name} ${className}`.trim());
  if (name === "dot") {
    const circle = document.createElementNS(SVG, "circle");
    for (const [key, value] of [["cx", 12], ["cy", 12], ["r", 4]]) circle.setAttribute(key, value);
    svg.append(circle);
  } else {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", SHAPES[name]);
    svg.append(path);
  }
  return svg;
}

/** How a mark of the server's HTML is drawn: the same everywhere, whatever fonts there are. */
const MARKS = {
  done: "check", running: "spin", failed: "cross", skipped: "skip", waiting: "dot",
  paused: "pause", undone: "undo", warning: "warning", info: "info",
};
const MARK_WORDS = {
  done: "done: ", running: "running: ", failed: "failed: ", skipped: "skipped: ",
  waiting: "to do: ", paused: "paused: ", undone: "undone: ", warning: "warning: ", info: "",
};

export function drawMarks(root) {
  for (const mark of root.querySelectorAll(".mark")) {
    const kind = Object.keys(MARKS).find((name) => mark.classList.contains(name));
    if (!kind) continue;
    const words = h("span", { class: "sr-only" }, MARK_WORDS[kind]);
    mark.replaceChildren(icon(MARKS[kind]), words);
  }
}

/** The same colour for a person on every screen. */
export function hue(id) {
  let sum = 7;
  for (const c of id) sum = (sum * 31 + c.codePointAt(0)) >>> 0;
  return `hue-${sum % 8}`;
}

export function initials(name) {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0] ?? "?"];
  return letters.map((word) => [...word][0] ?? "").join("").toUpperCase();
}

export function avatar(person, size = "") {
  if (!person) {
    return h("span", { class: `avatar bot ${size}`, "aria-hidden": "true" },
      h("img", { src: "/assets/mark.svg", alt: "", width: 32, height: 32 }));
  }
  return h("span", { class: `avatar ${hue(person.id)} ${size}`, "aria-hidden": "true" }, initials(person.name));
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export const shortTime = (date) => clock.format(date);
export const utcTime = (date) => `${date.toISOString().slice(11, 19)} UTC`;

export function stamp(iso) {
  const date = new Date(iso);
  return h("time", { datetime: iso, class: "stamp", title: `${full.format(date)} (${utcTime(date)})` }, shortTime(date));
}

export function dayName(date) {
  const today = new Date();
  const before = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (date.toDateString() === today.toDateString()) return "Today";
  if (date.toDateString() === before.toDateString()) return "Yesterday";
  return day.format(date);
}

export const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

/** Says something to those who listen instead of look. */
export function announce(text) {
  const region = $("announcer");
  const line = h("p", {}, text.slice(0, 240));
  region.append(line);
  while (region.childElementCount > 4) region.firstElementChild.remove();
  setTimeout(() => line.remove(), 12_000);
}

export function toast(text, kind = "error") {
  const close = () => note.remove();
  const note = h("div", { class: `toast ${kind}` }, icon(kind === "error" ? "warning" : "info"), h("span", {}, text),
    h("button", { type: "button", class: "icon-button", "aria-label": "Dismiss", onclick: close }, icon("cross")));
  $("toasts").append(note);
  while ($("toasts").childElementCount > 3) $("toasts").firstElementChild.remove();
  setTimeout(close, 10_000);
}
