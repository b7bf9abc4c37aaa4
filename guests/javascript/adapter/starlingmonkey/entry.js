// What the component exports for StarlingMonkey: it reads the request from memory as far as the app does, and writes
// the answer there. What an app answers at once is no promise here either: the engine notes where each was made.

import { answer, copied, enter, latin1, number, pairs, text, usual } from "./memory.js";
import { Body } from "./body.js";
import { served } from "./request.js";
import { parts } from "./response.js";
// After these: the app, and what it may not do at its top level, sees what they put in place.
import { Context, bodyOf, call, check, failure, lift, pairsOf, takesRequest } from "../app.js";

const DONE = Promise.resolve();

/** Answers the request at an address, into what is at another, before what it returns is kept. */
export function application(at, into, memory, realloc) {
  enter(memory, realloc);
  lift();
  try {
    const later = takesRequest ? fetched(at, into) : called(at, into);
    return later === null ? DONE : later.catch((error) => failed(at, into, error));
  } catch (error) {
    failed(at, into, error);
    return DONE;
  }
}

function failed(at, into, error) {
  answer(into, 500, ["content-type", "text/plain; charset=utf-8"], failure(text(at + 76), error), false);
}

/** Null once it is answered, or a promise of that. */
function called(at, into) {
  const result = call(environment(at));
  return isPromise(result) ? Promise.resolve(result).then((result) => write(into, result)) : write(into, result);
}

function write(into, result) {
  check(Array.isArray(result), "application(env) returns [status, headers, body]", result);
  const status = result[0];
  check(Number.isInteger(status), "a status is a number", status);
  const { content, isFile } = bodyOf(result[2]);
  const pairs = pairsOf(result[1]);
  const all = [];
  for (let at = 0; at < pairs.length; at++) {
    const value = pairs[at][1];
    all.push(String(pairs[at][0]), value instanceof Uint8Array ? value : String(value));
  }
  answer(into, status, all, content, isFile);
  return null;
}

/** The request of the contract, with names in camel case. */
function environment(at) {
  return {
    method: usual(at),
    scheme: usual(at + 8),
    host: text(at + 16),
    port: number(at + 24),
    scriptName: text(at + 28),
    pathInfo: text(at + 36),
    queryString: text(at + 44),
    uri: text(at + 52),
    protocol: text(at + 60),
    remoteAddr: text(at + 68),
    requestId: text(at + 76),
    params: pairs(at + 84, text),
    headers: pairs(at + 92, latin1),
    body: copied(at + 100),
  };
}

function fetched(at, into) {
  const context = new Context();
  const response = call(served(at), {}, context);
  const end = (response) => {
    check(response instanceof Response, "fetch(request) returns a Response", response);
    const body = Body.whole(response);
    if (body === undefined || Context.waits(context)) return waited(into, response, body, context);
    return sent(into, response, body);
  };
  return isPromise(response) ? Promise.resolve(response).then(end) : end(response);
}

function sent(into, response, body) {
  answer(into, response.status, parts(response), body ?? "", false);
  return null;
}

/** Of what is no stream, the body. The server sends what is whole: it waits for what the app does besides. */
async function waited(into, response, whole, context) {
  const body = whole === undefined ? new Uint8Array(await response.arrayBuffer()) : whole;
  await Context.end(context);
  return sent(into, response, body);
}

function isPromise(value) {
  return typeof value?.then === "function";
}
