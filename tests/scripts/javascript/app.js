// A handler without a framework: what it may do, well and badly.

import { later } from "./ways.js";

const TEXT = { "content-type": "text/plain; charset=utf-8" };
const MADE_AT_TOP = new Map([["kept", 1]]);

const ways = {
  home: () => [200, TEXT, "home\n"],
  env: (env) => [200, { "content-type": "application/json" }, JSON.stringify({ ...env, body: [...env.body] })],
  bytes: () => [201, [["x-twice", "1"], ["x-twice", "2"]], new Uint8Array([104, 105])],
  nothing: () => [204],
  keeps: ({ body }) => [200, TEXT, String((body.kept = (body.kept ?? 0) + 1))],
  later,
  fetch: async (env) => {
    const answer = await fetch(new URLSearchParams(env.queryString).get("from"));
    return [answer.status, TEXT, await answer.text()];
  },
  logs: () => {
    console.log("said", 1, { a: 2 });
    console.error("wrong");
    return [200, TEXT, "logged"];
  },
  throws: () => {
    throw new TypeError("a secret cause");
  },
  rejects: async () => {
    await null;
    throw new TypeError("later than that");
  },
  text: () => "not an array",
  status: () => [1000, TEXT, ""],
  name: () => ["200", TEXT, ""],
  nul: () => [200, { "x-split": "a\0set-cookie\0b=1" }, ""],
  octets: () => [200, [["x-text", "\xc3\xa9"], ["x-wide", "✓"], ["x-bytes", new Uint8Array([0xc3, 0xa9])]], ""],
  split: () => [200, { "x-split": "a\r\nset-cookie: b=1" }, ""],
  length: () => [200, { "content-length": "99" }, "short"],
  recurses: () => ways.recurses() + 1,
  count: () => {
    MADE_AT_TOP.set("kept", MADE_AT_TOP.get("kept") + 1);
    return [200, TEXT, String(MADE_AT_TOP.get("kept"))];
  },
  random: () => {
    const said = [Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(8))].join()];
    return [200, { "content-type": "application/json" }, JSON.stringify(said)];
  },
};

export function application(env) {
  const way = ways[env.pathInfo.slice(1) || "home"];
  return way ? way(env) : [404, TEXT, "no such way\n"];
}
