// TextEncoder and TextDecoder, of UTF-8 alone.

/** Code units that are made text at once: each is an argument. */
const CHUNK = 4096;
const LABELS = ["utf-8", "utf8", "unicode-1-1-utf-8", "x-unicode20utf8"];

globalThis.TextEncoder = class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  encode(text = "") {
    text = String(text);
    // What is ASCII has as many bytes as it has characters.
    let bytes = new Uint8Array(text.length);
    let length = 0;
    for (let at = 0; at < text.length; at++) {
      let code = text.charCodeAt(at);
      if (code < 0x80) {
        bytes[length++] = code;
        continue;
      }
      if (bytes.length < length + 3 * (text.length - at)) {
        const larger = new Uint8Array(length + 3 * (text.length - at));
        larger.set(bytes.subarray(0, length));
        bytes = larger;
      }
      if ((code & 0xf800) === 0xd800) {
        code = text.codePointAt(at);
        if (code > 0xffff) at++;
        // Half of a pair alone.
        else code = 0xfffd;
      }
      if (code < 0x800) bytes[length++] = 0xc0 | (code >> 6);
      else {
        if (code < 0x10000) bytes[length++] = 0xe0 | (code >> 12);
        else {
          bytes[length++] = 0xf0 | (code >> 18);
          bytes[length++] = 0x80 | ((code >> 12) & 63);
        }
        bytes[length++] = 0x80 | ((code >> 6) & 63);
      }
      bytes[length++] = 0x80 | (code & 63);
    }
    return length === bytes.length ? bytes : bytes.slice(0, length);
  }

  encodeInto(text, into) {
    let read = 0;
    let written = 0;
    for (const character of String(text)) {
      const bytes = this.encode(character);
      if (written + bytes.length > into.length) break;
      into.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
};

globalThis.TextDecoder = class TextDecoder {
  #left = new Uint8Array(0);
  #begun = false;

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!LABELS.includes(String(label).trim().toLowerCase())) {
      throw new RangeError(`the encoding "${label}" is not in this engine, which has utf-8 alone`);
    }
    Object.assign(this, { encoding: "utf-8", fatal: Boolean(fatal), ignoreBOM: Boolean(ignoreBOM) });
  }

  decode(input = new Uint8Array(0), { stream = false } = {}) {
    let bytes = ArrayBuffer.isView(input)
      ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input);
    if (this.#left.length > 0) {
      const both = new Uint8Array(this.#left.length + bytes.length);
      both.set(this.#left);
      both.set(bytes, this.#left.length);
      bytes = both;
    }
    this.#left = new Uint8Array(0);
    const [text, used] = decoded(bytes, this.fatal, stream);
    this.#left = bytes.slice(used);
    const isFirst = !this.#begun && text.length > 0;
    this.#begun = stream && (this.#begun || text.length > 0);
    return isFirst && !this.ignoreBOM && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  }
};

/** The text of bytes, and how many of them it is of: a stream may end within a character. */
function decoded(bytes, fatal, stream) {
  let text = "";
  let units = [];
  let at = 0;
  while (at < bytes.length) {
    const first = bytes[at];
    if (first < 0x80) {
      units.push(first);
      at++;
    } else {
      const [code, length] = character(bytes, at);
      if (code < 0 && stream && at + length === bytes.length && length < expected(first)) break;
      if (code < 0 && fatal) throw new TypeError("the bytes are no UTF-8");
      if (code > 0xffff) units.push(0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
      else units.push(code < 0 ? 0xfffd : code);
      at += length;
    }
    if (units.length >= CHUNK) {
      text += String.fromCharCode.apply(null, units);
      units = [];
    }
  }
  return [text + String.fromCharCode.apply(null, units), at];
}

/** How long a character is that begins so. */
function expected(first) {
  if (first < 0xc2 || first > 0xf4) return 1;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/** The character at a place and its length, or -1 and the length of what is none. */
function character(bytes, at) {
  const first = bytes[at];
  const length = expected(first);
  if (length === 1) return [-1, 1];
  // Neither longer than need be, nor half of a pair, nor beyond the last one.
  let lowest = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  let highest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  let code = first & (0xff >> (length + 1));
  for (let part = 1; part < length; part++) {
    const next = bytes[at + part];
    if (!(next >= lowest && next <= highest)) return [-1, part];
    code = (code << 6) | (next & 63);
    [lowest, highest] = [0x80, 0xbf];
  }
  return [code, length];
}
