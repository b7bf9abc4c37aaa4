// Promises that the adapter drives itself: the contract's function is not asynchronous, and the engine's own promises
// go on only after it has returned. esbuild makes `async` functions of these.

import "./timers.js";
import Promise from "promise-polyfill";
import { clear, next } from "./timers.js";

/** What runs after the code that runs now. */
let jobs = [];

Promise._immediateFn = (job) => void jobs.push(job);
Promise._unhandledRejectionFn = (reason) => console.error("a promise was rejected, and nobody looked:", reason);

Promise.withResolvers ??= function () {
  const made = {};
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};
Promise.try ??= function (call, ...rest) {
  return new this((resolve) => resolve(call(...rest)));
};
Object.defineProperty(Promise.prototype, Symbol.toStringTag, { value: "Promise", configurable: true });
// The engine's own returns one of its own promises.
Array.fromAsync = async function fromAsync(items, map, self) {
  const all = [];
  const each = items[Symbol.asyncIterator] || items[Symbol.iterator] ? items : Array.from(items);
  for await (const item of each) all.push(map ? await map.call(self, item, all.length) : item);
  return all;
};

globalThis.Promise = Promise;
globalThis.queueMicrotask = (job) => void jobs.push(job);

/** Runs what there is to run until a promise is settled; its value. */
export function settle(promise) {
  let ended;
  promise.then(
    (value) => (ended = { value }),
    (error) => (ended = { error }),
  );
  while (!ended) {
    drain();
    if (!ended && !next()) throw new Error("the answer is a promise that nothing will settle any more");
  }
  drain();
  clear();
  if ("error" in ended) throw ended.error;
  return ended.value;
}

function drain() {
  while (jobs.length > 0) {
    const now = jobs;
    jobs = [];
    for (const job of now) {
      try {
        job();
      } catch (error) {
        console.error(error);
      }
    }
  }
}
