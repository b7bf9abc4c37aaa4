// Request.

import { Body } from "./body.js";

/** Methods that are written in capitals however they are given. */
const USUAL = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];

globalThis.Request = class Request extends Body {
  constructor(from, init = {}) {
    super();
    const other = from instanceof Request ? from : null;
    const method = String(init.method ?? other?.method ?? "GET");
    this.method = USUAL.includes(method.toUpperCase()) ? method.toUpperCase() : method;
    this.url = other ? other.url : new URL(String(from)).href;
    this.headers = new Headers(init.headers ?? other?.headers);
    this.signal = init.signal ?? other?.signal ?? new AbortController().signal;
    this.redirect = init.redirect ?? other?.redirect ?? "follow";
    const body = init.body ?? null;
    if (body !== null && (this.method === "GET" || this.method === "HEAD")) {
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
