// The stream of changes, and what to do when it breaks. The position is the number of the last
// change that was seen; a new connection goes on from there.

import { session } from "./api.js";

/** The server sends something at least every ten seconds. */
const SILENCE = 25_000;
const LONGEST_WAIT = 8_000;

export class Stream {
  #source = null;
  #timer = null;
  #watchdog = null;
  #attempt = 0;
  #handlers;
  #position;

  /** handlers: hello(data), message(data), reset(), state(name, waitMs) */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#position = () => 0;
  }

  /** `position` is asked at every connection. */
  start(position) {
    this.stop();
    this.#position = position;
    this.#attempt = 0;
    this.#connect();
  }

  stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    this.#source?.close();
    this.#source = null;
  }

  retryNow() {
    clearTimeout(this.#timer);
    this.#connect();
  }

  #connect() {
    this.#source?.close();
    const query = new URLSearchParams({ since: String(this.#position()) });
    if (session.actAs) query.set("as", session.actAs);
    const source = new EventSource(`/api/events?${query}`);
    this.#source = source;
    this.#listen();
    this.#handlers.state("connecting", 0);
    const on = (name, handle) =>
      source.addEventListener(name, (event) => {
        if (source !== this.#source) return;
        this.#listen();
        handle(JSON.parse(event.data));
      });
    on("hello", (data) => {
      this.#attempt = 0;
      this.#handlers.state("online", 0);
      this.#handlers.hello(data);
    });
    on("message", (data) => this.#handlers.message(data));
    on("beat", () => {});
    on("reset", () => this.#handlers.reset());
    source.onerror = () => {
      if (source === this.#source) this.#broken();
    };
  }

  /** A connection that is silent for too long is dead, whatever the browser thinks of it. */
  #listen() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#broken(), SILENCE);
  }

  #broken() {
    clearTimeout(this.#watchdog);
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#timer);
    this.#attempt += 1;
    const wait = this.#attempt === 1 ? 250 : Math.min(LONGEST_WAIT, 500 * 2 ** (this.#attempt - 1));
    const jitter = wait * (0.8 + Math.random() * 0.4);
    this.#handlers.state(this.#attempt === 1 ? "connecting" : "away", jitter);
    this.#timer = setTimeout(() => this.#connect(), jitter);
  }
}
