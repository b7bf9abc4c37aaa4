// `console`, which writes to the log.

import stderr from "wasi:cli/stderr@0.2.12";
import stdout from "wasi:cli/stdout@0.2.12";

/** Bytes that a stream of WASI takes at once. */
const CHUNK = 4096;
const encoder = new TextEncoder();

function writer(open) {
  return (...values) => {
    const bytes = encoder.encode(`${values.map(shown).join(" ")}\n`);
    const stream = open();
    for (let at = 0; at < bytes.length; at += CHUNK) stream.blockingWriteAndFlush(bytes.subarray(at, at + CHUNK));
    stream[Symbol.dispose]();
  };
}

function shown(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return `${value}${value.stack ? `\n${value.stack.trimEnd()}` : ""}`;
  if (typeof value !== "object" || value === null) return String(value);
  const above = [];
  try {
    return JSON.stringify(value, function (key, inner) {
      // Only those that hold this one; the same object may be there twice.
      while (above.length > 0 && above.at(-1) !== this) above.pop();
      if (typeof inner === "bigint") return `${inner}n`;
      if (inner instanceof Map || inner instanceof Set) inner = [...inner];
      if (typeof inner !== "object" || inner === null) return inner;
      if (above.includes(inner)) return "[itself]";
      above.push(inner);
      return inner;
    });
  } catch {
    return String(value);
  }
}

const out = writer(() => stdout.getStdout());
const err = writer(() => stderr.getStderr());

globalThis.console = {
  log: out,
  info: out,
  debug: out,
  dir: (value) => out(value),
  table: (value) => out(value),
  group: out,
  groupEnd() {},
  warn: err,
  error: err,
  trace: (...values) => err(...values, new Error("trace").stack),
  assert(holds, ...values) {
    if (!holds) err("assertion failed:", ...values);
  },
  time() {},
  timeEnd() {},
};
