// The memory of this instance, in which the contract has a request and an answer. What the tool would generate in place
// of this makes a view of the memory for each number, and encodes a text a character at a time.

const utf8 = new TextDecoder();
const encoder = new TextEncoder();
/** A longer body is not copied once more to be written with its head. */
const SHORT = 16 << 10;

let memory;
let realloc;
let buffer;
let words;

/** Begins a request. The memory and its allocator are the tool's. */
export function enter(its, allocate) {
  memory = its;
  realloc = allocate;
  look();
}

/** Once the memory has grown, its buffer is another. */
function look() {
  const now = memory.buffer;
  if (now === buffer) return;
  buffer = now;
  words = new Uint32Array(now);
}

export function text(at, length) {
  return utf8.decode(new Uint8Array(buffer, at, length));
}

/** Bytes, copied: after the answer they are given back. */
export function copied(at, length) {
  return new Uint8Array(buffer, at, length).slice();
}

/** Writes an answer: its text, and a body that is text or bytes. */
export function answer(into, head, body) {
  const word = into >> 2;
  if (typeof body === "string" && body.length <= SHORT && together(word, head, body)) return;
  put(word, encoder.encode(head));
  put(word + 2, typeof body === "string" ? encoder.encode(body) : body);
}

/** Writes both at once, unless a character takes more than a byte. */
function together(word, head, body) {
  const all = head + body;
  const { length } = all;
  const place = realloc(0, 0, 1, length);
  look();
  const { read, written } = encoder.encodeInto(all, new Uint8Array(buffer, place, length));
  if (read !== length || written !== length) return false;
  words[word] = place;
  words[word + 1] = head.length;
  words[word + 2] = place + head.length;
  words[word + 3] = body.length;
  return true;
}

function put(word, bytes) {
  const { length } = bytes;
  // Nothing at all would be no place.
  const place = realloc(0, 0, 1, length + 1);
  look();
  new Uint8Array(buffer, place, length).set(bytes);
  words[word] = place;
  words[word + 1] = length;
}
