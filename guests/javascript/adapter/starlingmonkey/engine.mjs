// Makes the component of a bundle with StarlingMonkey, the engine of Firefox, by componentize-js.

import { componentize } from "@bytecodealliance/componentize-js";
// A part of the tool that it does not export.
import { splicer } from "../../node_modules/@bytecodealliance/componentize-js/lib/spidermonkey-embedding-splicer.js";

/** What the engine needs of esbuild. */
export const bundling = {};

/** Places of the bundle in what the tool says. */
export const PLACE = /bundle\.js:(\d+):(\d+)/g;

/** The function that the tool generates to read a request and to write an answer. */
const GENERATED = /^async function export_app_0_1_0\$call\((arg0, arg1, arg2, arg3, arg4)\) \{$[^]*?^\}$/m;
/** In its place: `memory.js` does both. */
const OURS = "function export_app_0_1_0$call($1) { return app010Call($1, $memory, $realloc); }";

const { spliceBindings } = splicer;
splicer.spliceBindings = (...all) => {
  const spliced = spliceBindings(...all);
  if (!GENERATED.test(spliced.jsBindings)) throw new Error("componentize-js generates something else; is it 0.23.0?");
  return { ...spliced, jsBindings: spliced.jsBindings.replace(GENERATED, (_, all) => OURS.replaceAll("$1", all)) };
};

export async function make(source, job) {
  const { component } = await componentize(source, {
    witPath: job.wit,
    // The tool that makes the snapshot looks for its settings there.
    env: { HOME: process.env.HOME },
    worldName: job.world,
    sourceName: "bundle.js",
  });
  return component;
}

/** What a module failed with, and where, of the lines that the tool says. */
export function told(lines) {
  const own = lines.findIndex((line) => line.includes("while evaluating top-level"));
  return lines
    .slice(own < 0 ? 0 : own + 1)
    .filter((line) => line && !/^(Additionally|Promise rejected|Stack:|\s+at )|@\S*\/adapter\//.test(line))
    .map((line) => line.replace(/^\S*\/adapter\/\S+ Error: /, ""));
}
