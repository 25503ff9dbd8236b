// Channels, the person, the connection and the colours.

import { $, avatar, h, icon, plural } from "./dom.js";
import { listen, running, state, unreadIn } from "./store.js";

let hooks = {};

export function setUpSidebar(given) {
  hooks = given;
  $("open-sidebar").append(icon("menu"));
  $("close-sidebar").append(icon("cross"));
  $("logout").append(icon("leave"));
  $("open-sidebar").addEventListener("click", () => drawer(true));
  $("close-sidebar").addEventListener("click", () => drawer(false));
  $("veil").addEventListener("click", () => drawer(false));
  $("sidebar").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.body.classList.contains("with-drawer")) {
      event.preventDefault();
      drawer(false);
    }
  });
  $("logout").addEventListener("click", () => hooks.logOut());
  setUpTheme();
  listen(() => {
    drawChannels();
    drawRunning();
  });
}

function drawer(isOpen) {
  document.body.classList.toggle("with-drawer", isOpen);
  $("veil").hidden = !isOpen;
  (isOpen ? $("close-sidebar") : $("open-sidebar")).focus();
}

export function drawMe() {
  const { me } = state;
  $("title").textContent = me.title;
  $("logout").hidden = me.access !== "login";
  $("me").replaceChildren(avatar(me.person, "small"),
    h("span", { class: "me-text" }, h("b", {}, me.person.name), h("span", {}, me.person.groups.join(", ") || "no group")));
  drawActors();
  drawChannels();
}

/** The demo's switch. Arrow keys move in it as in every group of radio buttons. */
function drawActors() {
  const { me, people } = state;
  $("demo-bar").hidden = me.access !== "demo";
  if (me.access !== "demo") return;
  const focused = $("act-as").contains(document.activeElement);
  $("act-as").replaceChildren(...people.map((person) => {
    const mine = person.id === me.person.id;
    return h("button", {
      type: "button", role: "radio", class: "actor", "aria-checked": String(mine), tabindex: mine ? 0 : -1,
      "data-person": person.id, title: person.groups.length > 0 ? `In ${person.groups.join(", ")}` : "In no group",
      onclick: () => hooks.actAs(person.id),
      onkeydown: (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const at = people.findIndex((other) => other.id === person.id);
        hooks.actAs(people[(at + step + people.length) % people.length].id);
      },
    }, avatar(person, "tiny"), h("span", { class: "actor-name" }, person.name),
    h("span", { class: "actor-role" }, person.groups[0] ?? "no group"));
  }));
  const current = $("act-as").querySelector('[aria-checked="true"]');
  if (focused) current?.focus();
  current?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

export function drawChannels() {
  const { me } = state;
  if (!me) return;
  let total = 0;
  $("channels").replaceChildren(...me.channels.map((channel) => {
    const unread = unreadIn(channel.name);
    total += unread;
    const current = channel.name === state.channel;
    return h("li", {}, h("button", {
      type: "button", class: `channel${unread > 0 ? " unread" : ""}`, "aria-current": current ? "page" : null,
      onclick: () => {
        if (document.body.classList.contains("with-drawer")) drawer(false);
        hooks.openChannel(channel.name);
      },
    }, icon(channel.announcements ? "megaphone" : "hash"), h("span", { class: "channel-label" }, channel.name),
    unread > 0 ? h("span", { class: "badge" }, h("span", { "aria-hidden": "true" }, unread > 99 ? "99+" : String(unread)),
      h("span", { class: "sr-only" }, `, ${plural(unread, "unread message", "unread messages")}`)) : null));
  }));
  $("open-sidebar").classList.toggle("has-unread", total > 0);
  document.title = `${total > 0 ? `(${total}) ` : ""}#${state.channel} · ${me.title}`;
}

/** What runs now is one press away, wherever one is. */
function drawRunning() {
  $("running").replaceChildren(...running().slice(-2).map((live) => {
    const name = live.text.split("\n")[0].split(" · ");
    const paused = live.html.includes('class="state paused"');
    return h("button", { type: "button", class: `run-chip${paused ? " paused" : ""}`, onclick: () => hooks.openRun(live) },
      paused ? icon("pause") : h("span", { class: "pulse", "aria-hidden": "true" }),
      h("b", {}, name[0]), h("span", { class: "run-steps" }, paused ? "paused" : `${live.steps.done}/${live.steps.total}`));
  }));
}

export function drawChannelHead() {
  const channel = state.me.channels.find(({ name }) => name === state.channel);
  $("channel-name").replaceChildren(icon(channel.announcements ? "megaphone" : "hash"), channel.name);
  $("channel-about").textContent = channel.about;
}

export function drawConnection(name) {
  const words = { online: "Live", connecting: "Connecting", away: "Not connected" };
  $("connection").dataset.state = name;
  $("connection-text").textContent = words[name];
}

const THEMES = ["system", "light", "dark"];
const THEME_ICONS = { system: "half", light: "sun", dark: "moon" };

function setUpTheme() {
  const button = $("theme");
  const current = () => document.documentElement.dataset.theme ?? "system";
  const draw = () => {
    button.replaceChildren(icon(THEME_ICONS[current()]));
    const words = { system: "as the system", light: "light", dark: "dark" };
    button.setAttribute("aria-label", `Colours: ${words[current()]}. Press to change`);
    button.dataset.tip = `Colours: ${words[current()]}`;
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(current()) + 1) % THEMES.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      if (next === "system") localStorage.removeItem("rollbot:theme");
      else localStorage.setItem("rollbot:theme", next);
    } catch {
      // It holds for this page.
    }
    draw();
  });
  draw();
}
