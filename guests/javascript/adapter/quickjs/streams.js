// Streams of the web, and the clone of a value.

import structuredClone from "core-js-pure/actual/structured-clone";
import * as streams from "web-streams-polyfill";

globalThis.structuredClone = structuredClone;
for (const [name, made] of Object.entries(streams)) globalThis[name] ??= made;
