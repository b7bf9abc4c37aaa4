// A plugin of esbuild: a bundle is made of the app's files and its packages alone. Every import is resolved to the real
// file first, and a file is opened and checked before any of it is read.

import { closeSync, constants, fstatSync, openSync, readFileSync, readlinkSync, realpathSync, existsSync } from "node:fs";
import { join, relative } from "node:path";

/** Opening a file never waits, not even for a FIFO. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
/** Texts in which esbuild looks for a source map, whose sources it would read from anywhere. */
const MAPPED = /\.([cm]?[jt]sx?|css)$/;
const MAP = /(\/[/*][#@] sourceMapping)URL(?==)/g;

/**
 * `folder` has the app's files, copied from `origin`; `modules` are packages in there, `packages` those that were
 * installed for it, `tools` the bundler's own.
 */
export function inside({ folder, origin, modules, packages, tools }) {
  const roots = [folder, modules, packages, tools].filter(Boolean).map((path) => realpathSync(path));
  const isIn = (path, root) => path === root || path.startsWith(`${root}/`);
  const isInside = (path) => roots.some((root) => isIn(path, root));
  const refused = (path) => ({ errors: [{ text: `"${path}" is outside of the app's folder; move it there` }] });

  async function resolved(build, args) {
    if (args.pluginData === inside) return undefined;
    const { importer, namespace, resolveDir, kind } = args;
    const found = await build.resolve(args.path, { importer, namespace, resolveDir, kind, with: args.with, pluginData: inside });
    // esbuild itself reports an import that is not found.
    if (found.errors.length > 0 || found.external || found.namespace !== "file") return undefined;
    const path = real(found.path);
    if (!path || isInside(path)) return undefined;
    // A package may link to the app itself: to the copy, which lacks what was left out.
    const copy = join(folder, relative(origin, path));
    if (isIn(path, origin) && existsSync(copy)) return { path: copy, suffix: found.suffix };
    return refused(args.path);
  }

  function loaded(args) {
    const file = openSync(args.path, FLAGS);
    try {
      const path = opened(file, args.path);
      if (!fstatSync(file).isFile() || !isInside(path)) return refused(args.path);
      const bytes = readFileSync(file);
      const maps = MAPPED.test(args.path) && !["text", "json", "bytes"].includes(args.with?.type) && bytes.includes("sourceMappingURL=");
      return { contents: maps ? Buffer.from(bytes.toString("latin1").replace(MAP, "$1url"), "latin1") : bytes, loader: "default" };
    } finally {
      closeSync(file);
    }
  }

  return {
    name: "inside",
    setup(build) {
      build.onResolve({ filter: /.*/ }, (args) => resolved(build, args));
      build.onLoad({ filter: /.*/, namespace: "file" }, loaded);
    },
  };
}

/** A path without links, if there is something. */
function real(path) {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** The path of an open file. */
function opened(file, path) {
  try {
    return readlinkSync(`/proc/self/fd/${file}`);
  } catch {
    return realpathSync(path);
  }
}
