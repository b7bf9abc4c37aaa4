// Response.

import { Body } from "./body.js";

/** Statuses that are sent without a body. */
const BODILESS = [204, 205, 304];
const REDIRECTS = [301, 302, 303, 307, 308];

globalThis.Response = class Response extends Body {
  type = "default";
  url = "";
  redirected = false;

  constructor(body = null, given) {
    super();
    const init = given ?? {};
    this.status = init.status === undefined ? 200 : Math.trunc(Number(init.status));
    if (!(this.status >= 200 && this.status <= 599)) throw new RangeError(`${init.status} is no status from 200 to 599`);
    this.statusText = String(init.statusText ?? "");
    this.headers = new Headers(init.headers);
    if (body !== null && body !== undefined && BODILESS.includes(this.status)) {
      throw new TypeError(`a response of status ${this.status} has no body`);
    }
    const type = Body.set(this, body);
    if (type && !this.headers.has("content-type")) this.headers.set("content-type", type);
  }

  static json(value, init) {
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError("there is no JSON of that");
    const { status, statusText, headers: given } = init ?? {};
    const headers = new Headers(given);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(text, { status, statusText, headers });
  }

  static redirect(url, status = 302) {
    if (!REDIRECTS.includes(status)) throw new RangeError(`${status} is no status of a redirect`);
    return new Response(null, { status, headers: { location: String(url) } });
  }

  static error() {
    const made = new Response();
    return Object.assign(made, { type: "error", status: 0 });
  }

  get ok() {
    return this.status >= 200 && this.status <= 299;
  }

  clone() {
    const { status, statusText, headers } = this;
    const made = new Response(null, { status, statusText, headers });
    Body.copy(this, made);
    return made;
  }
};
