// What requests and responses have in common: the body. It is kept as it was given, and read from there. The engine's
// own object, whose bodies are streams, takes three times as long as all else of a request: it is made when something
// asks for what it alone has.

import { read } from "../form.js";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The method that makes the engine's object. */
export const MAKE = Symbol("make");

export class Body {
  /** Text, bytes, or null for no body. */
  #held;
  #used = false;
  #real = null;

  constructor(held) {
    this.#held = held;
  }

  /** From now on the engine's object answers. */
  static become(of, real) {
    of.#real = real;
    return real;
  }

  /** What the engine's functions take: its own object. */
  static its(given) {
    return #held in given ? Body.real(given) : given;
  }

  /** The engine's object of one of ours. */
  static real(of) {
    if (of.#real === null) {
      of.#real = of[MAKE](of.#held);
      // What was read here is read there, too.
      if (of.#used) of.#real.arrayBuffer();
    }
    return of.#real;
  }

  /** What can be sent as it is; undefined where it is a stream, or somebody has read it. */
  static whole(of) {
    return #held in of && of.#real === null && !of.#used ? of.#held : undefined;
  }

  /** Whether the engine's object is made. */
  static isReal(of) {
    return of.#real !== null;
  }

  get body() {
    return this.#real === null && this.#held === null ? null : Body.real(this).body;
  }

  get bodyUsed() {
    return this.#real === null ? this.#used : this.#real.bodyUsed;
  }

  async arrayBuffer() {
    if (this.#real !== null) return this.#real.arrayBuffer();
    const bytes = this.#read();
    return bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer;
  }

  async text() {
    return this.#real === null ? decoder.decode(this.#read()) : this.#real.text();
  }

  async json() {
    return this.#real === null ? JSON.parse(decoder.decode(this.#read())) : this.#real.json();
  }

  async formData() {
    if (this.#real !== null) return this.#real.formData();
    return read(this.#read(), this.headers.get("content-type") ?? "");
  }

  /** The bytes, which nobody reads again. */
  #read() {
    if (this.#used) throw new TypeError("the body is read already");
    this.#used = this.#held !== null;
    return typeof this.#held === "string" ? encoder.encode(this.#held) : (this.#held ?? new Uint8Array(0));
  }
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
