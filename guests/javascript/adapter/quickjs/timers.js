// Time: `performance`, and setTimeout and its like, whose calls run when the code before them has come to its end, and
// their time is there.

import clock from "wasi:clocks/monotonic-clock@0.2.12";

/** When an instance asked for the first time. The engine's own clock began in the build. */
let origin;

Object.defineProperty(globalThis, "performance", {
  value: {
    now() {
      const now = clock.now() / 1e6;
      origin ??= now;
      return now - origin;
    },
  },
  writable: true,
  configurable: true,
});

/** Those that wait, by their numbers. */
const waiting = new Map();
let last = 0;

function add(call, delay, rest, every) {
  last += 1;
  const milliseconds = Math.max(Number(delay) || 0, 0);
  waiting.set(last, { call, rest, every: every ? milliseconds : null, at: performance.now() + milliseconds });
  return last;
}

globalThis.setTimeout = (call, delay, ...rest) => add(call, delay, rest, false);
globalThis.setInterval = (call, delay, ...rest) => add(call, delay, rest, true);
globalThis.clearTimeout = globalThis.clearInterval = (number) => void waiting.delete(number);

/** Sleeps until the next call's time, and makes it; false if none waits. */
export function next() {
  let first;
  for (const [number, timer] of waiting) {
    if (!first || timer.at < first[1].at) first = [number, timer];
  }
  if (!first) return false;
  const [number, timer] = first;
  sleep(timer.at - performance.now());
  if (timer.every === null) waiting.delete(number);
  // No more than one turn of other code for an interval of nothing.
  else timer.at = performance.now() + timer.every;
  try {
    timer.call(...timer.rest);
  } catch (error) {
    // Nobody waits for it; the request goes on.
    console.error(error);
  }
  return true;
}

function sleep(milliseconds) {
  if (milliseconds <= 0) return;
  const timer = clock.subscribeDuration(Math.ceil(milliseconds * 1e6));
  timer.block();
  timer[Symbol.dispose]();
}

/** What one request left waiting is not the next one's. */
export function clear() {
  waiting.clear();
}
