// What the app answers, as the contract has it.

import { Context, bodyOf, call, check, failure, lift, pairsOf, takesRequest } from "../app.js";

const encoder = new TextEncoder();

export async function answer(env) {
  lift();
  try {
    return await (takesRequest ? fetched(env) : called(env));
  } catch (error) {
    return failed(env, error);
  }
}

export function failed(env, error) {
  const text = encoder.encode(failure(env.requestId, error));
  return [500, [["content-type", encoder.encode("text/plain; charset=utf-8")]], { tag: "bytes", val: text }];
}

async function called(env) {
  const headers = env.headers.map(([name, value]) => [name, latin1(value)]);
  const result = await call({ ...env, headers });
  check(Array.isArray(result), "application(env) returns [status, headers, body]", result);
  const [status, given, body] = result;
  check(Number.isInteger(status), "a status is a number", status);
  const { content, isFile } = bodyOf(body);
  const sent = isFile ? { tag: "file", val: content } : { tag: "bytes", val: encoded(content) };
  return [status, pairsOf(given).map(([name, value]) => [String(name), bytes(value)]), sent];
}

async function fetched(env) {
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
  const context = new Context();
  const response = await call(request, {}, context);
  check(response instanceof Response, "fetch(request) returns a Response", response);
  const body = new Uint8Array(await response.arrayBuffer());
  const pairs = [];
  for (const [name, value] of response.headers) pairs.push([name, bytes(value)]);
  await Context.end(context);
  return [response.status, pairs, { tag: "bytes", val: body }];
}

function encoded(content) {
  return typeof content === "string" ? encoder.encode(content) : content;
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
