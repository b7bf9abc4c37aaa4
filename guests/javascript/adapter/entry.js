// What the component exports: `application` of the world, over a module that exports `application(env)`, or a default
// with `fetch(request, env, context)`.

import { lift } from "./guard.js";
import * as app from "myweb:app";

const encoder = new TextEncoder();
/** Calls that the log shows of a failure, the innermost first. */
const FRAMES = 12;

const answer = choose();

function choose() {
  if (typeof app.application === "function") return callApplication;
  const fetching = app.default;
  if (typeof fetching?.fetch === "function") return callFetch;
  if (typeof fetching === "function") return callFetch;
  const names = Object.keys(app).join(", ") || "nothing";
  throw new Error(
    `the module exports ${names}; a handler exports a function \`application(env)\`, or a default with \`fetch(request)\``,
  );
}

export async function application(env) {
  lift();
  try {
    return await answer(env);
  } catch (error) {
    return failed(env, error);
  }
}

/** The answer where there is none: the cause is the log's alone. */
export function failed(env, error) {
  const frames = (error?.stack ?? "").trim().split("\n").slice(0, FRAMES);
  console.error([error, ...frames].join("\n"));
  const text = encoder.encode(`internal error, reference ${env.requestId}\n`);
  return [500, [["content-type", encoder.encode("text/plain; charset=utf-8")]], { tag: "bytes", val: text }];
}

async function callApplication(env) {
  const headers = env.headers.map(([name, value]) => [name, latin1(value)]);
  const result = await app.application({ ...env, headers });
  if (!Array.isArray(result)) {
    throw new TypeError(`application(env) returns [status, headers, body], not ${kind(result)}`);
  }
  const [status, given = {}, body = ""] = result;
  const pairs = Array.isArray(given) ? given : given instanceof Headers ? [...given] : Object.entries(given);
  return [number(status), pairs.map(([name, value]) => [String(name), bytes(value)]), bodyOf(body)];
}

async function callFetch(env) {
  const usual = env.scheme === "https" ? 443 : 80;
  const authority = env.port === usual ? env.host : `${env.host}:${env.port}`;
  const headers = new Headers();
  for (const [name, value] of env.headers) headers.append(name, latin1(value));
  const bodiless = env.method === "GET" || env.method === "HEAD";
  const request = new Request(`${env.scheme}://${authority || "localhost"}${env.uri}`, {
    method: env.method,
    headers,
    body: bodiless || env.body.length === 0 ? undefined : env.body,
  });
  const left = [];
  const context = { waitUntil: (promise) => left.push(promise), passThroughOnException() {} };
  const fetching = app.default;
  const call = typeof fetching === "function" ? fetching : fetching.fetch.bind(fetching);
  const response = await call(request, {}, context);
  if (!(response instanceof Response)) {
    throw new TypeError(`fetch(request) returns a Response, not ${kind(response)}`);
  }
  const body = new Uint8Array(await response.arrayBuffer());
  const pairs = [];
  for (const [name, value] of response.headers) {
    if (name !== "set-cookie") pairs.push([name, bytes(value)]);
  }
  for (const cookie of response.headers.getSetCookie?.() ?? []) pairs.push(["set-cookie", bytes(cookie)]);
  // The server sends what is whole: it waits for what the app does besides.
  for (const result of await Promise.allSettled(left)) {
    if (result.status === "rejected") console.error(`waitUntil: ${result.reason}`);
  }
  return [response.status, pairs, { tag: "bytes", val: body }];
}

function number(status) {
  if (!Number.isInteger(status)) throw new TypeError(`a status is a number, not ${kind(status)}`);
  return status;
}

function bodyOf(body) {
  if (typeof body === "string") return { tag: "bytes", val: encoder.encode(body) };
  if (body instanceof ArrayBuffer) return { tag: "bytes", val: new Uint8Array(body) };
  if (ArrayBuffer.isView(body)) {
    return { tag: "bytes", val: new Uint8Array(body.buffer, body.byteOffset, body.byteLength) };
  }
  // A file of the granted ones, which the server sends.
  if (typeof body?.file === "string") return { tag: "file", val: body.file };
  throw new TypeError(`a body is a string, bytes, or { file }, not ${kind(body)}`);
}

/** Bytes of a header's value: characters are bytes, as in HTTP. */
function bytes(value) {
  if (value instanceof Uint8Array) return value;
  const text = String(value);
  const all = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 255) return encoder.encode(text);
    all[at] = code;
  }
  return all;
}

function latin1(value) {
  let text = "";
  for (const byte of value) text += String.fromCharCode(byte);
  return text;
}

function kind(value) {
  return value === null ? "null" : typeof value === "object" ? (value.constructor?.name ?? "an object") : typeof value;
}
