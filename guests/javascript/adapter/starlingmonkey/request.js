// Request: that of the server is read as far as it is asked for.

import { Body, MAKE, replace } from "./body.js";
import { ADDRESS, METHOD, headers } from "../message.js";

const Native = globalThis.Request;
const fetching = globalThis.fetch;
/** Says that a request is the server's. */
const SERVED = Symbol("served");
/** Fields: the parts of the server's request, null for one of the app; and the object of their headers, once it is made. */
const PARTS = Symbol("parts");
const HEADERS = Symbol("headers");

class Request extends Body {
  constructor(input, init, body) {
    if (input === SERVED) super(body, null);
    else super(null, new Native(input instanceof Request ? Body.its(input) : input, init));
    this[PARTS] = input === SERVED ? init : null;
    this[HEADERS] = null;
  }

  get method() {
    const parts = this[PARTS];
    return parts === null ? Body.real(this).method : parts[METHOD];
  }

  get url() {
    const parts = this[PARTS];
    return parts === null ? Body.real(this).url : parts[ADDRESS];
  }

  get headers() {
    const parts = this[PARTS];
    return parts === null ? Body.real(this).headers : (this[HEADERS] ??= new Headers(headers(parts)));
  }

  [MAKE](body) {
    const { url, method, headers } = this;
    return new Native(url, { method, headers, body: body ?? undefined });
  }
}

/** The server's request of its parts and a body. */
export function served(parts, body) {
  const isBodiless = body === null || parts[METHOD] === "GET" || parts[METHOD] === "HEAD";
  return new Request(SERVED, parts, isBodiless ? null : body);
}

replace("Request", Request);

globalThis.fetch = function fetch(input, init) {
  return fetching(input instanceof Request ? Body.its(input) : input, init);
};
