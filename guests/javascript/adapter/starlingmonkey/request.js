// Request: that of the server is read from memory as far as it is asked for.

import { Body, MAKE, replace } from "./body.js";
import { copied, isEmpty, latin1, number, pairs, text, turn, usual } from "./memory.js";

const Native = globalThis.Request;
const fetching = globalThis.fetch;
/** Says that a request is the server's. */
const SERVED = Symbol("served");

/** Paths and queries that stay as they are: nothing to decode, no segments of dots. */
const PLAIN = /^(?:\/[\w\-~!$&()*+,;=:@]*)+(?:\?[\w\-.~!$&()*+,;=:@/%?]*)?$/;
/** The latest origin that stays as it is. */
let latest;

/** The request that is at an address. */
export let served;

class Request extends Body {
  /** The server's: what is read of it, and where the rest is in memory. Else null. */
  #told = null;

  constructor(input, init) {
    if (input === SERVED) {
      super(init.body);
      this.#told = init;
    } else {
      super(null);
      Body.become(this, new Native(input instanceof Request ? Body.its(input) : input, init));
    }
  }

  static {
    served = (at) => new Request(SERVED, told(at));
  }

  get method() {
    return this.#told ? this.#told.method : Body.real(this).method;
  }

  get url() {
    const told = this.#told;
    return told ? (told.url ??= whole(told.origin, told.uri)) : Body.real(this).url;
  }

  get headers() {
    const told = this.#told;
    if (told === null) return Body.real(this).headers;
    if (told.headers === null) {
      if (told.turn !== turn) throw new TypeError("the headers of a request can be read until it is answered");
      told.headers = new Headers(pairs(told.at + 92, latin1));
    }
    return told.headers;
  }

  [MAKE](body) {
    const { url, method, headers } = this;
    return new Native(url, { method, headers, body: body ?? undefined });
  }
}

/** A URL as a parser would write it anew. */
function whole(origin, uri) {
  if (origin !== latest && new URL(origin).origin === origin) latest = origin;
  return origin === latest && PLAIN.test(uri) ? origin + uri : new URL(origin + uri).href;
}

function told(at) {
  const method = usual(at);
  const scheme = usual(at + 8);
  const host = text(at + 16);
  const port = number(at + 24);
  const authority = port === (scheme === "https" ? 443 : 80) ? host : `${host}:${port}`;
  const origin = `${scheme}://${host ? authority : "localhost"}`;
  const isBodiless = method === "GET" || method === "HEAD" || isEmpty(at + 100);
  const body = isBodiless ? null : copied(at + 100);
  return { method, origin, uri: text(at + 52), at, turn, url: null, headers: null, body };
}

replace("Request", Request);

globalThis.fetch = function fetch(input, init) {
  return fetching(input instanceof Request ? Body.its(input) : input, init);
};
