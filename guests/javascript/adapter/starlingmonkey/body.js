// What requests and responses have in common: the body. It is kept as it was given, and read from there. The engine's
// own object, whose bodies are streams, takes three times as long as all else of a request: it is made when something
// asks for what it alone has.

import { read as parsed } from "../form.js";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The method that makes the engine's object. */
export const MAKE = Symbol("make");
/** The engine's object, or null as long as it is not made; its own objects have none. Fields have symbols for names:
 * the engine takes three times as long for private ones. */
export const REAL = Symbol("real");
/** Text, bytes, or null for no body. */
const HELD = Symbol("held");
const USED = Symbol("used");

export class Body {
  constructor(held, real) {
    this[HELD] = held;
    this[USED] = false;
    this[REAL] = real;
  }

  /** What the engine's functions take: its own object. */
  static its(given) {
    return HELD in given ? Body.real(given) : given;
  }

  /** The engine's object of one of ours. */
  static real(of) {
    if (of[REAL] === null) {
      of[REAL] = of[MAKE](of[HELD]);
      // What was read here is read there, too.
      if (of[USED]) of[REAL].arrayBuffer();
    }
    return of[REAL];
  }

  /** What can be sent as it is; undefined where it is a stream, somebody has read it, or this is none of ours. */
  static whole(of) {
    return of[REAL] === null && !of[USED] ? of[HELD] : undefined;
  }

  get body() {
    return this[REAL] === null && this[HELD] === null ? null : Body.real(this).body;
  }

  get bodyUsed() {
    return this[REAL] === null ? this[USED] : this[REAL].bodyUsed;
  }

  async arrayBuffer() {
    if (this[REAL] !== null) return this[REAL].arrayBuffer();
    const bytes = read(this);
    return bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer;
  }

  async text() {
    return this[REAL] === null ? decoder.decode(read(this)) : this[REAL].text();
  }

  async json() {
    return this[REAL] === null ? JSON.parse(decoder.decode(read(this))) : this[REAL].json();
  }

  async formData() {
    if (this[REAL] !== null) return this[REAL].formData();
    return parsed(read(this), this.headers.get("content-type") ?? "");
  }
}

/** The bytes, which nobody reads again. */
function read(of) {
  if (of[USED]) throw new TypeError("the body is read already");
  const held = of[HELD];
  of[USED] = held !== null;
  return typeof held === "string" ? encoder.encode(held) : (held ?? new Uint8Array(0));
}

/** Puts ours in the place of the engine's: what ours does not answer, an object of the engine's does, and each of those
 * is an instance of ours. */
export function replace(name, ours) {
  const its = globalThis[name].prototype;
  for (const [key, { get, value }] of Object.entries(Object.getOwnPropertyDescriptors(its))) {
    if (key in ours.prototype) continue;
    const shape = { configurable: true, enumerable: true };
    if (get) Object.defineProperty(ours.prototype, key, { ...shape, get: function () { return Body.real(this)[key]; } });
    else if (typeof value === "function") {
      const call = function (...all) { return Body.real(this)[key](...all); };
      Object.defineProperty(ours.prototype, key, { ...shape, writable: true, value: call });
    }
  }
  Object.defineProperty(ours.prototype, Symbol.toStringTag, { configurable: true, value: name });
  Object.setPrototypeOf(its, ours.prototype);
  its.constructor = ours;
  globalThis[name] = ours;
}
