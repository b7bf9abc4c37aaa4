// Headers: names in lower case, in order.

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

globalThis.Headers = class Headers {
  /** Values by name. */
  #all = new Map();

  constructor(from) {
    if (from === undefined || from === null) return;
    const pairs = typeof from[Symbol.iterator] === "function" ? from : Object.entries(from);
    for (const pair of pairs) {
      const both = [...pair];
      if (both.length !== 2) throw new TypeError("a header is a pair of a name and a value");
      this.append(...both);
    }
  }

  append(name, value) {
    const [key, text] = [named(name), valued(value)];
    const there = this.#all.get(key);
    if (there) there.push(text);
    else this.#all.set(key, [text]);
  }

  set(name, value) {
    this.#all.set(named(name), [valued(value)]);
  }

  delete(name) {
    this.#all.delete(named(name));
  }

  get(name) {
    return this.#all.get(named(name))?.join(", ") ?? null;
  }

  has(name) {
    return this.#all.has(named(name));
  }

  getSetCookie() {
    return [...(this.#all.get("set-cookie") ?? [])];
  }

  forEach(call, self) {
    for (const [name, value] of this) call.call(self, value, name, this);
  }

  *entries() {
    for (const name of [...this.#all.keys()].sort()) {
      const values = this.#all.get(name) ?? [];
      // Cookies cannot be joined.
      if (name === "set-cookie") for (const value of values) yield [name, value];
      else yield [name, values.join(", ")];
    }
  }

  *keys() {
    for (const [name] of this) yield name;
  }

  *values() {
    for (const [, value] of this) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }
};

function named(name) {
  const text = String(name);
  if (!NAME.test(text)) throw new TypeError(`${JSON.stringify(text)} is no name of a header`);
  return text.toLowerCase();
}

function valued(value) {
  const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  // Characters stand for bytes.
  if (/[\0\n\r]|[^\0-\xff]/.test(text)) throw new TypeError(`${JSON.stringify(text)} is no value of a header`);
  return text;
}
