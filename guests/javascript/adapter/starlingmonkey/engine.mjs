// Makes the component of a bundle with StarlingMonkey, the engine of Firefox, by componentize-js.

import { componentize } from "@bytecodealliance/componentize-js";

/** What the engine needs of esbuild. */
export const bundling = {};

/** Places of the bundle in what the tool says. */
export const PLACE = /bundle\.js:(\d+):(\d+)/g;

export async function make(source, job) {
  const { component } = await componentize(source, {
    witPath: job.wit,
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
