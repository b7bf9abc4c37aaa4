// Blob and File: bytes with a type, and a name.

globalThis.Blob = class Blob {
  #bytes;

  constructor(parts = [], { type = "" } = {}) {
    const all = [...parts].map(bytesOf);
    this.#bytes = new Uint8Array(all.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of all) {
      this.#bytes.set(part, at);
      at += part.length;
    }
    this.type = String(type).toLowerCase();
  }

  /** The bytes that a part of a blob is of. */
  static of(part) {
    return part.#bytes;
  }

  get size() {
    return this.#bytes.length;
  }

  slice(start, end, type = "") {
    return new Blob([this.#bytes.slice(start, end)], { type });
  }

  async arrayBuffer() {
    return this.#bytes.slice().buffer;
  }

  async bytes() {
    return this.#bytes.slice();
  }

  async text() {
    return new TextDecoder().decode(this.#bytes);
  }

  stream() {
    return new Response(this).body;
  }
};

const contents = Blob.of;
delete Blob.of;

/** The bytes of what a body or a part of a blob may be. */
export function bytesOf(value) {
  if (value instanceof Blob) return contents(value);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return new TextEncoder().encode(String(value));
}

globalThis.File = class File extends Blob {
  constructor(parts, name, options = {}) {
    super(parts, options);
    this.name = String(name);
    this.lastModified = options.lastModified ?? Date.now();
  }
};
