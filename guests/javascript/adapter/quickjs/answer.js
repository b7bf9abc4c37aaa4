// What the app answers: a text and a body.

import environmentOf from "wasi:cli/environment@0.2.12";
import { Context, bodyOf, call, check, failure, granted, lift, pairsOf, takesRequest } from "../app.js";
import { ADDRESS, METHOD, begin, environment, header, headers, requestId } from "../message.js";

const encoder = new TextEncoder();

export async function answer(request, body) {
  lift();
  try {
    return await (takesRequest ? fetched(request, body) : called(request, body));
  } catch (error) {
    return failed(request, error);
  }
}

export function failed(request, error) {
  const head = begin(500, false) + header("content-type", "text/plain; charset=utf-8");
  return [head, encoder.encode(failure(requestId(request), error))];
}

async function called(request, given) {
  const result = await call(environment(request, given));
  check(Array.isArray(result), "application(env) returns [status, headers, body]", result);
  const [status, headers, body] = result;
  check(Number.isInteger(status), "a status is a whole number", status);
  const { content, isFile } = bodyOf(body);
  const bytes = typeof content === "string" ? encoder.encode(content) : content;
  return [headed(begin(status, isFile), pairsOf(headers)), bytes];
}

async function fetched(parts, given) {
  const method = parts[METHOD];
  const isBodiless = method === "GET" || method === "HEAD" || given.length === 0;
  const init = { method, headers: headers(parts), body: isBodiless ? undefined : given };
  const request = new Request(parts[ADDRESS], init);
  const context = new Context();
  const response = await call(request, granted(environmentOf.getEnvironment), context);
  check(response instanceof Response, "fetch(request) returns a Response", response);
  const body = new Uint8Array(await response.arrayBuffer());
  await Context.end(context);
  return [headed(begin(response.status, false), response.headers), body];
}

function headed(begun, headers) {
  let head = begun;
  for (const [name, value] of headers) head += header(name, value);
  return head;
}
