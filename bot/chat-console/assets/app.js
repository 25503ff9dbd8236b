// Puts the page together, and keeps it up to date.

import { pause, Refused, rememberActor, request, session } from "./api.js";
import { openIn, setUpComposer, waitingWords, write } from "./composer.js";
import { $, h, icon, toast } from "./dom.js";
import { drawChannelHead, drawChannels, drawConnection, drawMe, setUpSidebar } from "./sidebar.js";
import { channelOf, loadSeen, put, replaceAll, running, state } from "./store.js";
import { Stream } from "./stream.js";
import { followRun, leaveThread, openThread, setUpThread } from "./thread.js";
import { select, setUpTimeline, show, toEnd } from "./timeline.js";

const stream = new Stream({
  hello(data) {
    // Another process: everything is loaded anew, so that nothing of the old one lingers.
    if (data.instance !== state.me.instance) reload();
    else if (data.version !== state.me.version) offerReload();
  },
  message: put,
  reset: () => reload(),
  state: onConnection,
});

let generation = 0;

/** Loads everything and follows what comes; tries until rollbot answers. */
async function reload() {
  generation += 1;
  const mine = generation;
  stream.stop();
  for (let attempt = 0; mine === generation; attempt += 1) {
    try {
      if (await load(() => mine === generation)) {
        if ($("banner").dataset.about === "connection") hideBanner();
        stream.start(() => state.change);
      }
      return;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.code === "not-in-demo" || error.code === "only-in-demo") {
        // Left over from another console on this address.
        rememberActor(null);
      } else if (error.isPassing) {
        state.online = false;
        drawConnection("away");
        banner("connection", "away", `${error.message}. Trying again.`, "Try now", () => location.reload());
        await pause(Math.max(error.after * 1000, Math.min(5_000, 500 * 2 ** attempt)));
      } else {
        return trouble(error);
      }
    }
  }
}

let countdown = null;

function onConnection(name, wait) {
  state.online = name === "online";
  drawConnection(name);
  clearInterval(countdown);
  if (name === "online") {
    if ($("banner").dataset.about === "connection") hideBanner();
    return;
  }
  if (name !== "away") return;
  // A session that has ended looks like a broken stream.
  request("/api/me").catch((error) => {
    if (error.status === 401) signIn();
  });
  const until = Date.now() + wait;
  const draw = () => {
    const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    banner("connection", "away", `No connection to rollbot. Operations go on without this page. ${left > 0 ? `Trying again in ${left} s.` : "Trying again now."}${waitingWords()}`, "Try now", () => stream.retryNow());
  };
  draw();
  countdown = setInterval(draw, 500);
}

function banner(about, look, text, action, run) {
  const box = $("banner");
  if (box.hidden || box.dataset.about !== about) {
    box.dataset.about = about;
    box.className = `banner ${look}`;
    box.querySelector(".banner-icon").replaceChildren(icon(look === "away" ? "away" : "info"));
    box.hidden = false;
  }
  if ($("banner-text").textContent !== text) $("banner-text").textContent = text;
  $("banner-action").textContent = action;
  $("banner-action").onclick = run;
}

function hideBanner() {
  $("banner").hidden = true;
  $("banner").dataset.about = "";
}

function offerReload() {
  banner("version", "info", "rollbot was updated, and this page is older than it.", "Load the new one", () => location.reload());
}

function trouble(error) {
  if (!(error instanceof Refused)) throw error;
  if (error.status === 401) return signIn();
  toast(error.message);
}

function signIn() {
  stream.stop();
  $("app").hidden = true;
  $("banner").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in").replaceChildren(
    h("img", { src: "/assets/mark.svg", width: 40, height: 40, alt: "" }),
    h("h1", {}, "You are not logged in"),
    h("p", {}, "This console knows people by a login link that works once. Ask whoever runs rollbot for yours, and open it in this browser."),
    h("p", {}, h("button", { type: "button", class: "quiet", onclick: () => location.reload() }, "I have opened it: go on")));
}

async function load(isCurrent) {
  const me = await request("/api/me");
  // A tab stays who it is, whatever other tabs choose.
  if (me.access === "demo" && !session.actAs) rememberActor(me.person.id);
  const [people, completions, page] = await Promise.all([
    me.access === "demo" ? request("/api/people") : { people: [] },
    request("/api/completions"),
    request("/api/messages"),
  ]);
  if (!isCurrent()) return false;
  if (state.me && me.version !== state.me.version) offerReload();
  else state.me = me;
  Object.assign(state, { me: { ...me, version: state.me.version }, people: people.people, completions: completions.completions });
  loadSeen();
  const wanted = state.channel ?? decodeURIComponent(location.hash.slice(1));
  state.channel = channelOf(wanted) ? wanted : me.channels[0].name;
  const first = $("app").hidden;
  $("app").hidden = false;
  $("sign-in").hidden = true;
  drawMe();
  drawChannelHead();
  openIn(state.channel);
  replaceAll(page.messages, page.change);
  if (first && !matchMedia("(pointer: coarse)").matches) $("text").focus();
  return true;
}

function openChannel(name) {
  if (name === state.channel) return;
  leaveThread();
  openIn(name);
  state.channel = name;
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  drawChannelHead();
  show();
  drawChannels();
  followRun();
  if (!matchMedia("(pointer: coarse)").matches) $("text").focus();
}

async function actAs(person) {
  if (person === state.me.person.id) return;
  try {
    const me = await request("/api/act-as", { person });
    rememberActor(me.person.id);
    leaveThread();
    await reload();
  } catch (error) {
    trouble(error);
  }
}

async function logOut() {
  try {
    await request("/api/logout", {});
    signIn();
  } catch (error) {
    trouble(error);
  }
}

function openRun(live) {
  openChannel(live.channel);
  openThread(live.id);
}

setUpSidebar({ openChannel, actAs, logOut, openRun });
setUpTimeline({ openThread, write, seen: drawChannels });
setUpThread({ selected: select, runs: running });
setUpComposer({ toEnd });

window.addEventListener("hashchange", () => {
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (state.me && channelOf(wanted)) openChannel(wanted);
});
window.addEventListener("online", () => stream.retryNow());
document.addEventListener("keydown", (event) => {
  if (!event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown") || !state.me) return;
  event.preventDefault();
  const names = state.me.channels.map(({ name }) => name);
  const step = event.key === "ArrowDown" ? 1 : -1;
  openChannel(names[(names.indexOf(state.channel) + step + names.length) % names.length]);
});

reload();
