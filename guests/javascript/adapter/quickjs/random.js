// Random numbers of the host: the engine's own begin the same in every instance, as its state is that of the build.

import random from "wasi:random/random@0.2.12";

/** The most that is asked for at once, as elsewhere. */
const MOST = 65536;

function bytes(length) {
  return random.getRandomBytes(length);
}

/** The state of `Math.random`: xorshift128, seeded at its first call. */
let state;

Math.random = function random() {
  state ??= new Uint32Array(bytes(16).slice().buffer);
  // All zero would stay so.
  if (!(state[0] | state[1] | state[2] | state[3])) state[0] = 1;
  return (step() * 2 ** 21 + (step() >>> 11)) / 2 ** 53;
};

/** At the end of the build: what was random there is not so in an instance. */
export function forget() {
  state = undefined;
}

function step() {
  let mixed = state[3];
  const first = state[0];
  state.copyWithin(1, 0, 3);
  mixed ^= mixed << 11;
  mixed ^= mixed >>> 8;
  state[0] = mixed ^ first ^ (first >>> 19);
  return state[0];
}

globalThis.crypto = {
  getRandomValues(array) {
    if (!ArrayBuffer.isView(array) || array.BYTES_PER_ELEMENT === undefined || /Float/.test(array.constructor.name)) {
      throw new TypeError("crypto.getRandomValues(array) takes an array of integers");
    }
    if (array.byteLength > MOST) {
      throw new DOMException(`${array.byteLength} bytes are more than ${MOST}`, "QuotaExceededError");
    }
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(bytes(array.byteLength));
    return array;
  },
  randomUUID() {
    const made = bytes(16);
    made[6] = (made[6] & 15) | 64;
    made[8] = (made[8] & 63) | 128;
    const text = [...made].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join("-");
  },
};
