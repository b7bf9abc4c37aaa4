// Request.

import { Body } from "./body.js";

/** Methods that are written in capitals however they are given. */
const USUAL = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];

const OCTET = "(?:[1-9]?\\d|1\\d\\d|2[0-4]\\d|25[0-5])";
const LABEL = "(?!xn--)[a-z][a-z0-9-]*";
const HOST = `(?:${LABEL}(?:\\.${LABEL})*|${OCTET}(?:\\.${OCTET}){3})`;
const PORT = "(?::(?!80/|443/)[1-9]\\d{0,3})?";
const SEGMENT = "/(?!\\.)[\\w\\-~!$&()*+,;=:@.]*";
const QUERY = "(?:\\?[\\w\\-~!$&()*+,;=:@/.%?]*)?";

/** URLs that are as they would be written anew: nothing to decode, no segments of dots, no usual port. */
const PLAIN = new RegExp(`^https?://${HOST}${PORT}(?:${SEGMENT})+${QUERY}$`);

/** A URL, whole; parsing it in JavaScript takes as long as all else of a request. */
function whole(url) {
  return PLAIN.test(url) ? url : new URL(url).href;
}

globalThis.Request = class Request extends Body {
  constructor(from, given) {
    super();
    const init = given ?? {};
    const other = from instanceof Request ? from : null;
    const method = String(init.method ?? other?.method ?? "GET");
    this.method = USUAL.includes(method.toUpperCase()) ? method.toUpperCase() : method;
    this.url = other ? other.url : whole(String(from));
    this.headers = new Headers(init.headers ?? other?.headers);
    this.signal = init.signal ?? other?.signal ?? new AbortController().signal;
    this.redirect = init.redirect ?? other?.redirect ?? "follow";
    const body = init.body ?? null;
    const hasBody = body !== null || (other !== null && Body.isIn(other));
    if (hasBody && (this.method === "GET" || this.method === "HEAD")) {
      throw new TypeError(`a request of ${this.method} has no body`);
    }
    if (body === null && other) return Body.move(other, this), this;
    const type = Body.set(this, body);
    if (type && !this.headers.has("content-type")) this.headers.set("content-type", type);
  }

  clone() {
    const { url, method, headers, signal, redirect } = this;
    const made = new Request(url, { method, headers, signal, redirect });
    Body.copy(this, made);
    return made;
  }
};
