// The app: what of it answers, and what is said where it does not.

import { lift } from "./guard.js";
import * as app from "myweb:app";

/** Calls that the log shows of a failure, the innermost first. */
const FRAMES = 12;

let variables = null;

/** The variables that the app was granted, as they are when the first request comes. */
export function granted(environment) {
  return (variables ??= Object.fromEntries(environment()));
}

/** The app's function, and whether it takes a `Request`, as those of Workers do. */
export const { call, takesRequest } = choose();

function choose() {
  if (typeof app.application === "function") return { call: app.application, takesRequest: false };
  const fetching = app.default;
  if (typeof fetching?.fetch === "function") {
    return { call: (request, env, context) => fetching.fetch(request, env, context), takesRequest: true };
  }
  if (typeof fetching === "function") return { call: fetching, takesRequest: true };
  const names = Object.keys(app).join(", ") || "nothing";
  throw new Error(
    `the module exports ${names}; a handler exports a function \`application(env)\`, or a default with \`fetch(request)\``,
  );
}

/** The page where there is no answer: the cause is the log's alone. */
export function failure(requestId, error) {
  const frames = (error?.stack ?? "").trim().split("\n").slice(0, FRAMES);
  console.error([String(error), ...frames].join("\n"));
  return `internal error, reference ${requestId}\n`;
}

/** Names and values of headers, in each form in which an app may give them. */
export function pairsOf(headers = {}) {
  if (Array.isArray(headers)) return headers;
  check(typeof headers === "object" && headers !== null, "headers are an object, pairs, or Headers", headers);
  if (headers instanceof Headers) return [...headers];
  // One with several values is as many headers.
  return Object.entries(headers).flatMap(([name, value]) =>
    Array.isArray(value) ? value.map((one) => [name, one]) : [[name, value]],
  );
}

/** A body as text or bytes, or the name of a file: one of those granted, which the server sends. */
export function bodyOf(body = "") {
  if (typeof body === "string" || body instanceof Uint8Array) return { content: body, isFile: false };
  if (typeof body?.file === "string") return { content: body.file, isFile: true };
  const isBuffer = body instanceof ArrayBuffer;
  check(isBuffer || ArrayBuffer.isView(body), "a body is a string, bytes, or { file }", body);
  const content = isBuffer ? new Uint8Array(body) : new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  return { content, isFile: false };
}

/** What is no answer is an error, which says what the app gave. */
export function check(is, what, value) {
  if (!is) throw new TypeError(`${what}, not ${kind(value)}`);
}

function kind(value) {
  if (typeof value === "number") return String(value);
  return value === null ? "null" : typeof value === "object" ? (value.constructor?.name ?? "an object") : typeof value;
}

/** What a request may promise besides its answer: the server sends what is whole, and waits for all of it. */
export class Context {
  #left;

  get waitUntil() {
    return (promise) => void (this.#left ??= []).push(promise);
  }

  passThroughOnException() {}

  /** Whether anything is left to wait for. */
  static waits(context) {
    return context.#left !== undefined;
  }

  static async end(context) {
    for (const result of await Promise.allSettled(context.#left ?? [])) {
      if (result.status === "rejected") console.error(`waitUntil: ${result.reason}`);
    }
  }
}

export { lift };
