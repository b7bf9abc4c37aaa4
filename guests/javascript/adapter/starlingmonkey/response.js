// Response: of what most apps answer with, the engine's own object is never made.

import { Body, MAKE, replace } from "./body.js";
import { begin, header } from "../message.js";

const Native = globalThis.Response;
/** Statuses that are sent without a body. */
const BODILESS = [204, 205, 304];
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** A value that stays as it is. */
const VALUE = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;
const TYPED = header("content-type", "text/plain;charset=UTF-8");
/** Names in lower case, and values that were looked at: apps have few, again and again. */
const names = new Map();
const values = new Set();
const FEW = 200;
const LONGEST = 100;

/** The text of a response, up to its body. */
export function head(of) {
  const { text, status } = Body.owns(of) ? Body.state(of) : of;
  if (typeof text === "string") return begin(status, false) + text;
  return begin(of.status, false) + listed(of.headers).map(([name, value]) => header(name, value)).join("");
}

class Response extends Body {
  constructor(body = null, init) {
    const text = typeof body === "string" || isHeld(body) ? plain(body, init) : null;
    if (text === null) {
      super({ held: null, used: false, status: 0, text, headers: null, real: new Native(body, init) });
    } else {
      const held = typeof body === "string" || body === null ? body : copy(body);
      // The text of the headers, until there is an object for them.
      super({ held, used: false, status: init?.status ?? 200, text, headers: null, real: null });
    }
  }

  static json(value, init) {
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError("there is no JSON of that");
    if (init === undefined) return new Response(text, { headers: { "content-type": "application/json" } });
    const { status, statusText, headers: given } = init ?? {};
    const headers = new Headers(given);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(text, { status, statusText, headers });
  }

  static redirect(...all) {
    return Native.redirect(...all);
  }

  get status() {
    const { real, status } = Body.state(this);
    return real === null ? status : real.status;
  }

  get statusText() {
    const { real } = Body.state(this);
    return real === null ? "" : real.statusText;
  }

  get ok() {
    return this.status >= 200 && this.status <= 299;
  }

  get headers() {
    const state = Body.state(this);
    if (state.text !== null) {
      const part = state.text.split("\0");
      state.headers = new Headers();
      for (let at = 1; at < part.length; at += 2) state.headers.append(part[at], part[at + 1]);
      state.text = null;
    }
    return state.headers ?? Body.real(this).headers;
  }

  [MAKE]({ held, status }) {
    return new Native(held, { status, headers: this.headers });
  }
}

function isHeld(body) {
  return body === null || body instanceof Uint8Array || body instanceof ArrayBuffer;
}

/** What the app changes afterwards is not sent. */
function copy(body) {
  return body instanceof ArrayBuffer ? new Uint8Array(body.slice(0)) : body.slice();
}

/** The text of the headers, if there is nothing that only the engine can judge. */
function plain(body, init) {
  let text = "";
  if (init !== undefined) {
    if (init === null || typeof init !== "object") return null;
    const { status, headers, statusText } = init;
    if (statusText || (status !== undefined && !isUsual(status, body))) return null;
    text = headers === undefined ? "" : written(headers);
  }
  return typeof body !== "string" || text === null || isTyped(text) ? text : text + TYPED;
}

function isTyped(text) {
  if (text === "" || text.startsWith("\0content-type\0")) return text !== "";
  return text.split("\0").some((part, at) => part === "content-type" && at % 2 === 1);
}

function isUsual(status, body) {
  return Number.isInteger(status) && status >= 200 && status <= 599 && (body === null || !BODILESS.includes(status));
}

/** Headers in any form. */
function written(headers) {
  if (headers === null || typeof headers !== "object") return null;
  let text = "";
  if (headers[Symbol.iterator] === undefined) {
    const names = Object.keys(headers);
    for (let at = 0; at < names.length && text !== null; at++) text = add(text, names[at], headers[names[at]]);
    return text;
  }
  const isPair = (pair) => Array.isArray(pair) && pair.length === 2;
  const pairs = headers instanceof Headers ? listed(headers) : headers;
  if (!Array.isArray(pairs) || !pairs.every(isPair)) return null;
  for (let at = 0; at < pairs.length && text !== null; at++) text = add(text, pairs[at][0], pairs[at][1]);
  return text;
}

function add(text, name, value) {
  const known = names.get(name) ?? named(name);
  if (known === null || !(values.has(value) || isPlain(value))) return null;
  return `${text}\0${known}\0${value}`;
}

/** Cookies cannot be joined. */
function listed(headers) {
  const cookies = headers.getSetCookie?.() ?? [];
  return [...headers].filter(([name]) => name !== "set-cookie").concat(cookies.map((cookie) => ["set-cookie", cookie]));
}

function named(name) {
  if (typeof name !== "string" || !NAME.test(name)) return null;
  const lower = name.toLowerCase();
  if (names.size < FEW && name.length < LONGEST) names.set(name, lower);
  return lower;
}

function isPlain(value) {
  if (typeof value !== "string" || !VALUE.test(value)) return false;
  if (values.size < FEW && value.length < LONGEST) values.add(value);
  return true;
}

replace("Response", Response);
