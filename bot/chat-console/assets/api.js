// Requests. What changes something carries an id of its own, so that sending it again after a lost
// answer does it once.

/** Whom this page acts as; only the demo has that. Kept with the tab, so that two tabs can be two people. */
export const session = { actAs: null };

const KEPT = "rollbot:act-as";

export function rememberActor(id) {
  session.actAs = id;
  try {
    if (id) sessionStorage.setItem(KEPT, id);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // Without storage the page just forgets.
  }
}

try {
  session.actAs = sessionStorage.getItem(KEPT);
} catch {
  // As above.
}

export class Refused extends Error {
  constructor(status, code, message, after = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.after = after;
  }

  /** Whether the same again may succeed. */
  get isPassing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

const WITHIN = 12_000;

export async function request(path, body) {
  const headers = {};
  if (session.actAs) headers["rollbot-act-as"] = session.actAs;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(WITHIN),
      cache: "no-store",
    });
  } catch {
    throw new Refused(0, "away", "rollbot does not answer");
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  const after = Number(response.headers.get("retry-after")) || 0;
  const error = answer?.error ?? { code: "status", message: `rollbot answered ${response.status}` };
  throw new Refused(response.status, error.code, error.message, after);
}

export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Does something once, sending it until it is answered; gives up after `tries`. */
export async function act(path, body, tries = 4) {
  const whole = { ...body, client_id: newId() };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await request(path, whole);
    } catch (error) {
      if (!(error instanceof Refused) || !error.isPassing || attempt >= tries) throw error;
      await pause(Math.max(error.after * 1000, 400 * 2 ** attempt));
    }
  }
}
