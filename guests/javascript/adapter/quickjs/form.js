// FormData, and forms as they are sent.

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

/** A form of a body of this type. */
export function read(bytes, type) {
  const form = new FormData();
  if (/^application\/x-www-form-urlencoded\b/i.test(type)) {
    for (const [name, value] of new URLSearchParams(new TextDecoder().decode(bytes))) form.append(name, value);
    return form;
  }
  const edge = /^multipart\/form-data\b.*?;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(type);
  if (!edge) throw new TypeError(`a body of type "${type}" is no form`);
  parts(bytes, edge[1] ?? edge[2], form);
  return form;
}

function parts(bytes, edge, form) {
  const delimiter = bytesOf(`\r\n--${edge}`);
  const wrong = () => new TypeError("the body is no whole form: a part has no end");
  // The first delimiter may stand at the very beginning.
  const starts = find(bytes, delimiter.subarray(2), 0);
  if (starts < 0) throw wrong();
  let at = starts + delimiter.length - 2;
  while (bytes[at] !== 0x2d || bytes[at + 1] !== 0x2d) {
    const body = find(bytes, HEAD_ENDS, at);
    const end = body < 0 ? -1 : find(bytes, delimiter, body + HEAD_ENDS.length - 2);
    if (end < 0) throw wrong();
    part(new TextDecoder().decode(bytes.subarray(at, body)), bytes.subarray(body + HEAD_ENDS.length, end), form);
    at = end + delimiter.length;
  }
}

const HEAD_ENDS = bytesOf("\r\n\r\n");

function part(head, content, form) {
  const value = (name) => {
    const found = new RegExp(`^content-disposition:.*?;\\s*${name}="([^"]*)"`, "im").exec(head);
    return found?.[1].replace(/%0A/gi, "\n").replace(/%0D/gi, "\r").replace(/%22/g, '"');
  };
  const name = value("name");
  if (name === undefined) throw new TypeError("a part of the form has no name");
  const filename = value("filename");
  if (filename === undefined) return form.append(name, new TextDecoder().decode(content));
  const type = /^content-type:\s*(.*?)\s*$/im.exec(head)?.[1] ?? "text/plain";
  form.append(name, new File([content], filename, { type }));
}

/** Where bytes are found, or -1. */
function find(bytes, sought, from) {
  for (let at = bytes.indexOf(sought[0], from); at >= 0; at = bytes.indexOf(sought[0], at + 1)) {
    let same = 1;
    while (same < sought.length && bytes[at + same] === sought[same]) same++;
    if (same === sought.length) return at;
  }
  return -1;
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
