// What requests and responses have in common: a body, which is read once.

import { bytesOf } from "./blob.js";
import { read } from "../form.js";
import { written } from "./form.js";

export class Body {
  /** Bytes, a stream, or null for no body. */
  #content = null;
  #stream = null;
  #used = false;

  /** Sets it; the type that it has by itself. */
  static set(of, body) {
    if (body === null || body === undefined) return null;
    if (body instanceof ReadableStream) {
      if (body.locked) throw new TypeError("the stream is read by another already");
      of.#stream = body;
      return null;
    }
    if (body instanceof FormData) {
      const [bytes, type] = written(body);
      of.#content = bytes;
      return type;
    }
    const isBytes = body instanceof ArrayBuffer || ArrayBuffer.isView(body);
    // What the app changes afterwards is not sent, and what it reads is its own.
    of.#content = isBytes || body instanceof Blob ? bytesOf(body).slice() : bytesOf(body);
    if (isBytes) return null;
    if (body instanceof Blob) return body.type || null;
    if (body instanceof URLSearchParams) return "application/x-www-form-urlencoded;charset=UTF-8";
    return "text/plain;charset=UTF-8";
  }

  /** Gives another the same body, which both may read. */
  static copy(from, to) {
    if (from.bodyUsed) throw new TypeError("the body is read already");
    to.#content = from.#content?.slice() ?? null;
    if (from.#stream) [from.#stream, to.#stream] = from.#stream.tee();
  }

  static isIn(of) {
    return Boolean(of.#content || of.#stream);
  }

  /** Gives another the body, which this one has no longer. */
  static move(from, to) {
    if (from.bodyUsed) throw new TypeError("the body is read already");
    [to.#content, to.#stream] = [from.#content, from.#stream];
    if (to.#content || to.#stream) from.#used = true;
  }

  get body() {
    if (!this.#stream && this.#content) {
      const bytes = this.#content;
      this.#stream = new ReadableStream({
        start(controller) {
          if (bytes.length > 0) controller.enqueue(bytes);
          controller.close();
        },
      });
      this.#content = null;
    }
    return this.#stream;
  }

  get bodyUsed() {
    return this.#used || Boolean(this.#stream?._disturbed);
  }

  async bytes() {
    if (this.bodyUsed) throw new TypeError("the body is read already");
    this.#used = Boolean(this.#content || this.#stream);
    if (!this.#stream) return this.#content ?? new Uint8Array(0);
    const chunks = [];
    const reader = this.#stream.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (!(part.value instanceof Uint8Array)) throw new TypeError("a stream of a body has chunks of Uint8Array");
      chunks.push(part.value);
    }
    return chunks.length === 1 ? chunks[0] : bytesOf(new Blob(chunks));
  }

  async arrayBuffer() {
    const bytes = await this.bytes();
    const isWhole = bytes.byteLength === bytes.buffer.byteLength;
    return isWhole ? bytes.buffer : bytes.slice().buffer;
  }

  async text() {
    return new TextDecoder().decode(await this.bytes());
  }

  async json() {
    return JSON.parse(await this.text());
  }

  async blob() {
    return new Blob([await this.bytes()], { type: this.headers.get("content-type") ?? "" });
  }

  async formData() {
    return read(await this.bytes(), this.headers.get("content-type") ?? "");
  }
}
