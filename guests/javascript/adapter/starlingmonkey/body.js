// What requests and responses have in common: the body. It is kept as it was given, and read from there. The engine's
// own object, whose bodies are streams, takes three times as long as all else of a request: it is made when something
// asks for what it alone has.

import { read as parsed } from "../form.js";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The method that makes the engine's object. */
export const MAKE = Symbol("make");

export class Body {
  /** `held` is text, bytes, or null for no body, `used` whether somebody has read it, `real` the engine's object, or null
   * as long as it is not made; and what requests and responses have besides. One field: each takes the engine long. */
  #state;

  constructor(state) {
    this.#state = state;
  }

  static state(of) {
    return of.#state;
  }

  /** Whether it is one of ours, and none of the engine's. */
  static owns(given) {
    return #state in given;
  }

  /** What the engine's functions take: its own object. */
  static its(given) {
    return #state in given ? Body.real(given) : given;
  }

  /** The engine's object of one of ours. */
  static real(of) {
    const state = of.#state;
    if (state.real === null) {
      state.real = of[MAKE](state);
      // What was read here is read there, too.
      if (state.used) state.real.arrayBuffer();
    }
    return state.real;
  }

  /** What can be sent as it is; undefined where it is a stream, somebody has read it, or this is none of ours. */
  static whole(of) {
    if (!(#state in of)) return undefined;
    const { real, used, held } = of.#state;
    return real === null && !used ? held : undefined;
  }

  get body() {
    const { real, held } = this.#state;
    return real === null && held === null ? null : Body.real(this).body;
  }

  get bodyUsed() {
    const { real, used } = this.#state;
    return real === null ? used : real.bodyUsed;
  }

  async arrayBuffer() {
    if (this.#state.real !== null) return this.#state.real.arrayBuffer();
    const bytes = read(this.#state);
    return bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer;
  }

  async bytes() {
    return new Uint8Array(await this.arrayBuffer());
  }

  async text() {
    return this.#state.real === null ? decoder.decode(read(this.#state)) : this.#state.real.text();
  }

  async json() {
    return this.#state.real === null ? JSON.parse(decoder.decode(read(this.#state))) : this.#state.real.json();
  }

  async formData() {
    if (this.#state.real !== null) return this.#state.real.formData();
    return parsed(read(this.#state), this.headers.get("content-type") ?? "");
  }
}

/** The bytes, which nobody reads again. */
function read(state) {
  if (state.used) throw new TypeError("the body is read already");
  const { held } = state;
  state.used = held !== null;
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
