// What browsers have, tried in an engine: each fault is a line of the answer.

import { bodies } from "./bodies.js";
import { promises } from "./promises.js";
import { texts } from "./texts.js";

/** Compares values as JSON; what differs is kept. */
function judge(faults) {
  const same = (name, found, expected) => {
    const [found_, expected_] = [JSON.stringify(found), JSON.stringify(expected)];
    if (found_ !== expected_) faults.push(`${name}: ${found_}, not ${expected_}`);
  };
  same.throws = async (name, call) => {
    try {
      await call();
    } catch {
      return;
    }
    faults.push(`${name}: no exception`);
  };
  return same;
}

export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/never") return new Promise(() => {});
    const faults = [];
    for (const part of [texts, bodies, promises]) await part(judge(faults));
    return new Response(faults.join("\n"));
  },
};
