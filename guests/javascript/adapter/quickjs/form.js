// FormData, and forms as they are sent; `../form.js` reads them.

import { bytesOf } from "./blob.js";

globalThis.FormData = class FormData {
  #entries = [];

  append(name, value, filename) {
    this.#entries.push([String(name), entry(value, filename)]);
  }

  set(name, value, filename) {
    const at = this.#entries.findIndex(([there]) => there === String(name));
    if (at < 0) return this.append(name, value, filename);
    this.#entries = this.#entries.filter(([there], place) => there !== String(name) || place === at);
    this.#entries[at][1] = entry(value, filename);
  }

  delete(name) {
    this.#entries = this.#entries.filter(([there]) => there !== String(name));
  }

  get(name) {
    return this.getAll(name)[0] ?? null;
  }

  getAll(name) {
    return this.#entries.filter(([there]) => there === String(name)).map(([, value]) => value);
  }

  has(name) {
    return this.#entries.some(([there]) => there === String(name));
  }

  forEach(call, self) {
    for (const [name, value] of this) call.call(self, value, name, this);
  }

  *entries() {
    yield* this.#entries.map(([name, value]) => [name, value]);
  }

  *keys() {
    for (const [name] of this.#entries) yield name;
  }

  *values() {
    for (const [, value] of this.#entries) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }
};

function entry(value, filename) {
  if (!(value instanceof Blob)) return String(value);
  if (value instanceof File && filename === undefined) return value;
  return new File([value], filename ?? "blob", { type: value.type });
}

/** A form as it is sent: its bytes, and their type. */
export function written(form) {
  const edge = `form-${crypto.randomUUID()}`;
  const escaped = (name) => name.replace(/\n/g, "%0A").replace(/\r/g, "%0D").replace(/"/g, "%22");
  const all = [];
  for (const [name, value] of form) {
    const isFile = value instanceof File;
    all.push(`--${edge}\r\ncontent-disposition: form-data; name="${escaped(name)}"`);
    if (isFile) all.push(`; filename="${escaped(value.name)}"\r\ncontent-type: ${value.type || "application/octet-stream"}`);
    all.push("\r\n\r\n", value, "\r\n");
  }
  all.push(`--${edge}--\r\n`);
  return [bytesOf(new Blob(all)), `multipart/form-data; boundary=${edge}`];
}
