// Run by node in a folder beside the tools: bundles an app with esbuild, and makes it a component with its engine.
// Arguments: a file of JSON with all paths. What went wrong is written to `report`, as { sentence }.

import { readFileSync, writeFileSync } from "node:fs";
import { builtinModules, SourceMap } from "node:module";
import { relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import esbuild from "esbuild";
import { inside } from "./inside.mjs";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { bundling, make, PLACE, told } = await import(`./${job.engine}/engine.mjs`);

function fail(sentence) {
  writeFileSync(job.report, JSON.stringify({ sentence }));
  process.exit(1);
}

async function bundled() {
  try {
    return await esbuild.build({
      entryPoints: [`${job.adapter}/${job.entry}`],
      alias: { "myweb:app": job.app },
      bundle: true,
      write: false,
      outdir: job.work,
      format: "esm",
      platform: "neutral",
      mainFields: ["browser", "module", "main"],
      conditions: ["worker", "workerd", "browser", "import"],
      target: "es2022",
      external: ["myweb:handler/*", "wasi:*"],
      absWorkingDir: job.folder,
      // In place of any file of that name: esbuild would follow what those extend.
      tsconfigRaw: job.tsconfig,
      plugins: [inside(job)],
      sourcemap: "external",
      metafile: true,
      logLevel: "silent",
      ...bundling,
    });
  } catch (error) {
    const told = (error.errors ?? []).map(({ text, location, notes }) => {
      const place = location ? `${location.file}:${location.line}:${location.column + 1}: ` : "";
      // A line is shown only if it is in one of the app's own files.
      const isOwn = location && resolve(job.folder, location.file).startsWith(`${job.folder}/`);
      const line = isOwn && location.lineText ? `\n    ${location.lineText.trim()}` : "";
      return `${place}${mended(text)}${line}`;
    });
    return fail(told.length > 0 ? told.join("\n") : String(error.message ?? error));
  }
}

/** What esbuild says, with what it means here. */
function mended(text) {
  if (text.startsWith("Top-level await")) {
    return "`await` at the top level of a module is not in this engine; await within the handler, or build with --engine starlingmonkey";
  }
  const missing = /^Could not resolve "(.+?)"/.exec(text);
  if (!missing) return text;
  const name = missing[1];
  const isNode = name.startsWith("node:") || builtinModules.includes(name);
  if (isNode) return `"${name}" is a module of Node.js, which a sandbox has not; use what browsers have, or leave it out`;
  if (name.startsWith(".")) return `there is no file "${name}"`;
  return `the package "${name}" is not there: add it to package.json, and run npm install`;
}

const { metafile, outputFiles } = await bundled();
// What is built is kept by the content of the folder, and of the packages in it: those that were installed for it are
// known by their versions.
const inputs = Object.keys(metafile.inputs).map((input) => resolve(job.folder, input));
const packages = inputs.filter((path) => path.startsWith(`${job.modules}/`)).map((path) => relative(job.origin, path));
writeFileSync(job.inputs, JSON.stringify(packages));
const map = new SourceMap(JSON.parse(outputFiles.find((file) => file.path.endsWith(".map")).text));
const source = outputFiles.find((file) => file.path.endsWith(".js")).text;

/** Places of the bundle, as places of the app's own files. */
function placed(text) {
  return text.replace(PLACE, (whole, line, column) => {
    const entry = map.findEntry(Number(line) - 1, Number(column) - 1);
    if (!entry.originalSource) return whole;
    const file = new URL(entry.originalSource, pathToFileURL(`${job.work}/`));
    return `${relative(job.folder, file.pathname)}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  });
}

try {
  writeFileSync(job.output, await make(source, job));
} catch (error) {
  const shown = told(placed(String(error.message ?? error)).split("\n"));
  const places = shown.slice(1, 12).map((line) => `\n${line}`);
  fail(places.length > 0 ? `the module failed while it was evaluated\n${shown[0]}${places.join("")}` : shown[0]);
}
