// Makes the component of a bundle with QuickJS, by componentize-qjs.

import { componentize } from "componentize-qjs";

/** What the engine needs of esbuild: `async` functions become promises, which are the adapter's own. */
export const bundling = { supported: { "async-await": false, "async-generator": false, "for-await": false } };

/** Places of the bundle in what the tool says. */
export const PLACE = /componentize-qjs:user\.js:(\d+):(\d+)/g;

export async function make(source, job) {
  const { component } = await componentize({ witPath: job.wit, jsSource: source, world: job.world, sync: true });
  return component;
}

/** What a module failed with, and where, of the lines that the tool says. */
export function told(lines) {
  const steps = /^:? *(Failed to [^:]+: )+/;
  const own = lines.map((line) => line.replace(steps, "")).filter((line) => line && !/^\s+at .*(\/adapter\/|\(native\))/.test(line));
  // Without a place it is the adapter that says so.
  return own.length > 1 ? own : own.map((line) => line.replace(/^Error: /, ""));
}
