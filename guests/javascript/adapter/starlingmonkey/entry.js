// What the component exports for StarlingMonkey. What an app answers at once is no promise here either: the engine notes
// where each was made.

import { getEnvironment } from "wasi:cli/environment@0.2.12";
import { answer, copied, enter, text } from "./memory.js";
import { Body } from "./body.js";
import { served } from "./request.js";
import { head } from "./response.js";
// After these: the app, and what it may not do at its top level, sees what they put in place.
import { Context, bodyOf, call as answering, check, failure, granted, lift, pairsOf, takesRequest } from "../app.js";
import { begin, environment, header, partsOf, requestId } from "../message.js";

const DONE = Promise.resolve();

export const app = { call };

/** Answers the request whose text and body are at two addresses, into what is at a third, before what it returns is kept. */
function call(at, length, bodyAt, bodyLength, into, memory, realloc) {
  enter(memory, realloc);
  lift();
  const request = partsOf(text(at, length));
  const body = bodyLength === 0 ? null : copied(bodyAt, bodyLength);
  try {
    const later = takesRequest ? fetched(request, body, into) : called(request, body ?? new Uint8Array(0), into);
    return later === null ? DONE : later.catch((error) => failed(request, into, error));
  } catch (error) {
    failed(request, into, error);
    return DONE;
  }
}

function failed(request, into, error) {
  const head = begin(500, false) + header("content-type", "text/plain; charset=utf-8");
  answer(into, head, failure(requestId(request), error));
}

/** Null once it is answered, or a promise of that. */
function called(request, body, into) {
  const result = answering(environment(request, body));
  return isPromise(result) ? Promise.resolve(result).then((result) => write(into, result)) : write(into, result);
}

function write(into, result) {
  check(Array.isArray(result), "application(env) returns [status, headers, body]", result);
  const status = result[0];
  check(Number.isInteger(status), "a status is a whole number", status);
  const { content, isFile } = bodyOf(result[2]);
  const pairs = pairsOf(result[1]);
  let head = begin(status, isFile);
  for (let at = 0; at < pairs.length; at++) head += header(pairs[at][0], pairs[at][1]);
  answer(into, head, content);
  return null;
}

function fetched(request, body, into) {
  const context = new Context();
  const response = answering(served(request, body), granted(getEnvironment), context);
  const end = (response) => ended(into, response, context);
  return isPromise(response) ? Promise.resolve(response).then(end) : end(response);
}

function ended(into, response, context) {
  check(response instanceof Response, "fetch(request) returns a Response", response);
  const body = Body.whole(response);
  if (body === undefined || Context.waits(context)) return waited(into, response, body, context);
  return sent(into, response, body);
}

function sent(into, response, body) {
  answer(into, head(response), body ?? "");
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
