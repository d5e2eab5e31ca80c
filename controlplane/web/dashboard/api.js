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

// Who is signed in. Kept for this tab alone.
export const session = { token: null, role: null, client: null, expires: 0 };

const listeners = new Set();

export function onSession(listener) {
  listeners.add(listener);
}

// Reads what this tab knew before it was loaded again.
export function restore() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    if (kept && kept.expires > Date.now()) Object.assign(session, kept);
  } catch {
    sessionStorage.removeItem(KEY);
  }
}

export function canChange() {
  return !isMonitor && session.role === "admin";
}

// The node asks nobody who they are.
export function openToAll() {
  change({ token: null, role: isMonitor ? "monitor" : "admin", client: null, expires: 0 });
}

export function signOut() {
  sessionStorage.removeItem(KEY);
  change({ token: null, role: null, client: null, expires: 0 });
}

export async function signIn(client, secret) {
  const body = { grant_type: "client_credentials", client_id: client, client_secret: secret };
  const granted = await send("POST", "/oauth/token", body);
  const next = {
    token: granted.access_token,
    role: granted.role,
    client,
    expires: Date.now() + 1000 * granted.expires_in,
  };
  sessionStorage.setItem(KEY, JSON.stringify(next));
  change(next);
}

function change(next) {
  const isNews = next.token !== session.token || next.role !== session.role;
  Object.assign(session, next);
  if (isNews) listeners.forEach((listener) => listener());
}

// What the envelope holds. A token that is no longer good ends the session.
export async function call(method, path, body) {
  try {
    const answer = await send(method, path, body);
    return answer.data;
  } catch (error) {
    if (error.status === 401 && session.token) signOut();
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
