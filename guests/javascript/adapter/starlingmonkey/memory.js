// The memory of this instance, in which the contract lays out a request and an answer. What the tool would generate in
// place of this reads all of it, makes a view of the memory for each number, and encodes a character at a time: that
// took half of a request.

const utf8 = new TextDecoder();
const encoder = new TextEncoder();
/** A longer text is not copied once more to be written with the headers. */
const SHORT = 16 << 10;

let memory;
let realloc;
let buffer;
let words;
let bytes;

/** How many requests there were: what is in memory of one is given back before the next. */
export let turn = 0;

/** Begins a request. The memory and its allocator are the tool's. */
export function enter(its, allocate) {
  turn++;
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
  bytes = new Uint8Array(now);
}

export function number(at) {
  return words[at >> 2] & 0xffff;
}

/** The text whose place is written at an address. */
export function text(at) {
  const word = at >> 2;
  const length = words[word + 1];
  return length === 0 ? "" : utf8.decode(new Uint8Array(buffer, words[word], length));
}

const GET = 0x544547;
const HTTP = 0x70747468;

/** A method, or a scheme: those that nearly all requests have, by their bytes. */
export function usual(at) {
  const length = words[(at >> 2) + 1];
  const first = words[words[at >> 2] >> 2];
  if (length === 3 && (first & 0xffffff) === GET) return "GET";
  return length === 4 && first === HTTP ? "http" : text(at);
}

/** Bytes, copied: after the answer they are given back. */
export function copied(at) {
  const word = at >> 2;
  return bytes.slice(words[word], words[word] + words[word + 1]);
}

export function isEmpty(at) {
  return words[(at >> 2) + 1] === 0;
}

/** A list of pairs of a text and what `second` reads. */
export function pairs(at, second) {
  const all = [];
  const length = words[(at >> 2) + 1];
  for (let pair = words[at >> 2], end = pair + 16 * length; pair < end; pair += 16) all.push([text(pair), second(pair + 8)]);
  return all;
}

/** Bytes as text: each is a character, as in HTTP. */
export function latin1(at) {
  const all = text(at);
  const [start, length] = [words[at >> 2], words[(at >> 2) + 1]];
  if (all.length === length && !all.includes("\ufffd")) return all;
  let plain = "";
  for (let next = start; next < start + length; next++) plain += String.fromCharCode(bytes[next]);
  return plain;
}

/** Writes an answer. `parts` are the names of headers, each with its value after it; a body that is text or bytes. */
export function answer(into, status, parts, body, isFile) {
  const count = parts.length;
  const isShort = typeof body === "string" && body.length <= SHORT;
  if (isShort) parts.push(body);
  const table = joined(parts) ?? each(parts);
  const word = into >> 2;
  words[word] = status & 0xffff;
  words[word + 1] = table;
  words[word + 2] = count / 2;
  words[word + 3] = isFile ? 1 : 0;
  if (!isShort) return put(body, word + 4, encoded);
  const last = (table >> 2) + 2 * count;
  words[word + 4] = words[last];
  words[word + 5] = words[last + 1];
}

/** Writes parts of ASCII at once, after a table of their places. */
function joined(parts) {
  let all = "";
  for (let at = 0; at < parts.length; at++) {
    if (typeof parts[at] !== "string") return null;
    all += parts[at];
  }
  const size = 8 * parts.length;
  const table = realloc(0, 0, 4, size + all.length + 1);
  look();
  const { read, written } = encoder.encodeInto(all, new Uint8Array(buffer, table + size, all.length));
  // Else some took more than a byte.
  if (read !== written || read !== all.length) return null;
  for (let at = 0, word = table >> 2, next = table + size; at < parts.length; at++, word += 2) {
    words[word] = next;
    next += words[word + 1] = parts[at].length;
  }
  return table;
}

function each(parts) {
  const table = realloc(0, 0, 4, 8 * parts.length + 1);
  look();
  parts.forEach((part, at) => put(part, (table >> 2) + 2 * at, at % 2 === 1 ? octets : encoded));
  return table;
}

function put(value, word, toBytes) {
  const all = typeof value === "string" ? toBytes(value) : value;
  const place = realloc(0, 0, 1, all.length + 1);
  look();
  bytes.set(all, place);
  words[word] = place;
  words[word + 1] = all.length;
}

function encoded(value) {
  return encoder.encode(value);
}

/** A header's value: characters are bytes, if they can be. */
function octets(value) {
  const all = new Uint8Array(value.length);
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code > 255) return encoder.encode(value);
    all[at] = code;
  }
  return all;
}
