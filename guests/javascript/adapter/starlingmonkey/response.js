// Response: of what most apps answer with, the engine's own object is never made.

import { Body, MAKE, replace } from "./body.js";

const Native = globalThis.Response;
/** Statuses that are sent without a body. */
const BODILESS = [204, 205, 304];
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** A value that stays as it is. */
const VALUE = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;
const TEXT = "text/plain;charset=UTF-8";
/** Names in lower case, and values that were looked at: apps have few, again and again. */
const names = new Map();
const values = new Set();
const FEW = 200;
const LONGEST = 100;

/** Names and values of a response's headers, one after the other. */
export let parts;

class Response extends Body {
  #status = 200;
  /** Names and values of headers, one after the other, until there is an object for them. */
  #parts = null;
  #headers = null;

  constructor(body = null, init) {
    const parts = isHeld(body) ? plain(body, init) : null;
    if (parts === null) {
      super(null);
      Body.become(this, new Native(body, init));
    } else {
      const isBytes = typeof body === "object" && body !== null;
      super(isBytes ? copy(body) : body);
      this.#parts = parts;
      if (init !== undefined && init.status !== undefined) this.#status = init.status;
    }
  }

  static json(value, init) {
    const text = JSON.stringify(value);
    if (init === undefined) return new Response(text, { headers: { "content-type": "application/json" } });
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(text, { ...init, headers });
  }

  static redirect(...all) {
    return Native.redirect(...all);
  }

  static error() {
    return Native.error();
  }

  static {
    parts = (of) => (#parts in of && of.#parts !== null ? of.#parts : listed(of.headers).flat());
  }

  get status() {
    return Body.isReal(this) ? Body.real(this).status : this.#status;
  }

  get statusText() {
    return Body.isReal(this) ? Body.real(this).statusText : "";
  }

  get ok() {
    return this.status >= 200 && this.status <= 299;
  }

  get headers() {
    if (this.#parts !== null) {
      this.#headers = new Headers();
      for (let at = 0; at < this.#parts.length; at += 2) this.#headers.append(this.#parts[at], this.#parts[at + 1]);
      this.#parts = null;
    }
    return this.#headers ?? Body.real(this).headers;
  }

  [MAKE](body) {
    return new Native(body, { status: this.#status, headers: this.headers });
  }
}

function isHeld(body) {
  return typeof body === "string" || body === null || body instanceof Uint8Array || body instanceof ArrayBuffer;
}

/** What the app changes afterwards is not sent. */
function copy(body) {
  return body instanceof ArrayBuffer ? new Uint8Array(body.slice(0)) : body.slice();
}

/** Names and values of headers, one after the other, if there is nothing that only the engine can judge. */
function plain(body, init) {
  const parts = [];
  if (init !== undefined) {
    if (init === null || typeof init !== "object") return null;
    const { status = 200, headers, statusText } = init;
    if (statusText || !Number.isInteger(status) || status < 200 || status > 599) return null;
    if (body !== null && BODILESS.includes(status)) return null;
    if (headers !== undefined && !take(headers, parts)) return null;
  }
  if (typeof body === "string" && !isTyped(parts)) parts.push("content-type", TEXT);
  return parts;
}

function isTyped(parts) {
  for (let at = 0; at < parts.length; at += 2) if (parts[at] === "content-type") return true;
  return false;
}

/** Adds headers in any form; whether that was possible. */
function take(headers, parts) {
  if (headers === null || typeof headers !== "object") return false;
  if (headers instanceof Headers) return listed(headers).every(([name, value]) => add(name, value, parts));
  if (Array.isArray(headers)) {
    return headers.every((pair) => Array.isArray(pair) && pair.length === 2 && add(pair[0], pair[1], parts));
  }
  if (headers[Symbol.iterator] !== undefined) return false;
  const names = Object.keys(headers);
  for (let at = 0; at < names.length; at++) if (!add(names[at], headers[names[at]], parts)) return false;
  return true;
}

function add(name, value, parts) {
  const known = named(name);
  if (known === null || typeof value !== "string" || !isPlain(value)) return false;
  parts.push(known, value);
  return true;
}

/** Cookies cannot be joined. */
function listed(headers) {
  const cookies = headers.getSetCookie?.() ?? [];
  return [...headers].filter(([name]) => name !== "set-cookie").concat(cookies.map((cookie) => ["set-cookie", cookie]));
}

function named(name) {
  const known = names.get(name);
  if (known !== undefined) return known;
  if (typeof name !== "string" || !NAME.test(name)) return null;
  const lower = name.toLowerCase();
  if (names.size < FEW && name.length < LONGEST) names.set(name, lower);
  return lower;
}

function isPlain(value) {
  if (values.has(value)) return true;
  if (!VALUE.test(value)) return false;
  if (values.size < FEW && value.length < LONGEST) values.add(value);
  return true;
}

replace("Response", Response);
