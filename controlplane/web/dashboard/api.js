// The REST API, and who is signed in.

const KEY = "bilbycast.session";

// True on the monitor port, which only shows.
export const isMonitor = document.documentElement.dataset.surface === "monitor";

// A request that failed, with the node's own words.
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Who is signed in. Kept for this tab alone. `expires` is when the token ends and `life` how long it was good, both in ms
// by this machine's clock; `isOver` that it has ended and nobody could get another one.
export const session = { token: null, role: null, client: null, expires: 0, life: 0, isOver: false };

// The secret is kept in memory alone, for the next token; after a reload of the page somebody has to enter it again.
let secretKept = null;
let renewal = null;
let renewing = null;

const listeners = new Set();

export function onSession(listener) {
  listeners.add(listener);
}

// Reads what this tab knew before it was loaded again.
export function restore() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    if (kept && kept.expires > Date.now()) Object.assign(session, kept, { isOver: false });
  } catch {
    sessionStorage.removeItem(KEY);
  }
}

export function canChange() {
  return !isMonitor && session.role === "admin" && !session.isOver;
}

// The node asks nobody who they are.
export function openToAll() {
  change({ token: null, role: isMonitor ? "monitor" : "admin", client: null, expires: 0, life: 0, isOver: false });
}

export function signOut() {
  sessionStorage.removeItem(KEY);
  secretKept = null;
  clearTimeout(renewal);
  change({ token: null, role: null, client: null, expires: 0, life: 0, isOver: false });
}

export async function signIn(client, secret) {
  const next = await grant(client, secret);
  secretKept = secret;
  renewLater(next.life * RENEW_AFTER);
  change(next);
}

async function grant(client, secret) {
  const body = { grant_type: "client_credentials", client_id: client, client_secret: secret };
  const granted = await send("POST", "/oauth/token", body);
  const life = 1000 * granted.expires_in;
  const next = { token: granted.access_token, role: granted.role, client, expires: Date.now() + life, life, isOver: false };
  sessionStorage.setItem(KEY, JSON.stringify(next));
  return next;
}

function renewLater(ms) {
  clearTimeout(renewal);
  // A browser counts a delay in 31 bits.
  renewal = setTimeout(renew, Math.min(ms, 2 ** 31 - 1));
}

// Gets the next token in place of the one that is about to end; resolves to whether there is one.
function renew() {
  if (secretKept === null) return Promise.resolve(false);
  renewing ??= exchange().finally(() => {
    renewing = null;
  });
  return renewing;
}

async function exchange() {
  const { client, role } = session;
  try {
    const next = await grant(client, secretKept);
    // Somebody signed out meanwhile.
    if (session.client !== client || secretKept === null) return false;
    renewLater(next.life * RENEW_AFTER);
    const isNews = next.role !== role || session.isOver;
    Object.assign(session, next);
    if (isNews) listeners.forEach((listener) => listener());
    return true;
  } catch (error) {
    if (error.status === 400) secretKept = null;
    else renewLater(RENEW_AGAIN_MS);
    return false;
  }
}

function change(next) {
  const isNews = next.token !== session.token || next.role !== session.role;
  Object.assign(session, next);
  if (isNews) listeners.forEach((listener) => listener());
}

// Milliseconds until the session ends and nobody can prolong it; null while that is far off.
export function endsIn() {
  if (session.token === null || secretKept !== null && !session.isOver) return null;
  const left = session.expires - Date.now();
  return left < Math.min(WARN_MS, session.life / 4) ? Math.max(0, left) : null;
}

// What the envelope holds. A token that is no longer good is exchanged for another; where that cannot be, the session is
// over, and what is shown stays.
export async function call(method, path, body) {
  const { token } = session;
  if (session.isOver) throw new ApiError(401, "The session has ended.");
  try {
    const answer = await send(method, path, body);
    return answer.data;
  } catch (error) {
    if (error.status !== 401) throw error;
    if (token === null) {
      // A node that asked nobody asks now.
      if (session.role !== null) signOut();
      throw error;
    }
    if (token !== session.token || await renew()) return (await send(method, path, body)).data;
    // Without an answer to the question for a new token nothing is known yet.
    if (secretKept === null && session.token === token && !session.isOver) {
      session.isOver = true;
      sessionStorage.removeItem(KEY);
      listeners.forEach((listener) => listener());
    }
    throw error;
  }
}

// The whole answer.
export async function send(method, path, body) {
  const headers = {};
  if (session.token) headers.Authorization = `Bearer ${session.token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new ApiError(0, error.name === "TimeoutError" ? "The node did not answer in time." : "The node cannot be reached.");
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) {
    throw new ApiError(response.status, answer?.error ?? `The node answered ${response.status}.`);
  }
  return answer;
}

export const flowPath = (id, rest = "") => `/api/v1/flows/${encodeURIComponent(id)}${rest}`;
export const statsPath = (id, rest = "") => `/api/v1/stats/${encodeURIComponent(id)}${rest}`;

export function socketUrl(path) {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  if (session.token) url.searchParams.set("token", session.token);
  return url.href;
}

const TIMEOUT_MS = 10_000;

// The part of a token's life after which the next one is asked for.
const RENEW_AFTER = 0.6;
const RENEW_AGAIN_MS = 2000;
// How long before the end people are told.
const WARN_MS = 300_000;
