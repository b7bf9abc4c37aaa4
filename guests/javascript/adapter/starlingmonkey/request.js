// Request: that of the server is read as far as it is asked for.

import { Body, MAKE, replace } from "./body.js";
import { ADDRESS, METHOD, headers } from "../message.js";

const Native = globalThis.Request;
const fetching = globalThis.fetch;
/** Says that a request is the server's. */
const SERVED = Symbol("served");

class Request extends Body {
  constructor(input, init) {
    // Of the server's are there its parts, and the object of its headers, once it is made.
    if (input === SERVED) super(init);
    else super({ held: null, used: false, parts: null, headers: null, real: made(input, init) });
  }

  get method() {
    const { parts, real } = Body.state(this);
    return parts === null ? real.method : parts[METHOD];
  }

  get url() {
    const { parts, real } = Body.state(this);
    return parts === null ? real.url : parts[ADDRESS];
  }

  get headers() {
    const state = Body.state(this);
    return state.parts === null ? state.real.headers : (state.headers ??= new Headers(headers(state.parts)));
  }

  [MAKE]({ held }) {
    const { url, method, headers } = this;
    return new Native(url, { method, headers, body: held ?? undefined });
  }
}

function made(input, init) {
  return new Native(input instanceof Request ? Body.its(input) : input, init);
}

/** The server's request of its parts and a body. */
export function served(parts, body) {
  const isBodiless = body === null || parts[METHOD] === "GET" || parts[METHOD] === "HEAD";
  return new Request(SERVED, { held: isBodiless ? null : body, used: false, parts, headers: null, real: null });
}

replace("Request", Request);

globalThis.fetch = function fetch(input, init) {
  return fetching(input instanceof Request ? Body.its(input) : input, init);
};
