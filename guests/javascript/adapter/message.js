// A request and an answer as they cross: texts, with a NUL between their parts, as `wit/javascript.wit` has it.

const END = "\0";
/** Where the parts of a request are. */
export const METHOD = 0;
export const ADDRESS = 1;
const REQUEST_ID = 11;
const COUNT = 12;
const PARAMS = 13;
/** Characters that stand for bytes. */
const OCTETS = /^[\x01-\xff]*$/;
const encoder = new TextEncoder();

/** The parts of a request's text. All at once: in StarlingMonkey, one that is cut out takes as long. */
export function partsOf(text) {
  return text.split(END);
}

export function requestId(parts) {
  return parts[REQUEST_ID];
}

/** Names and values of a request's headers. */
export function headers(parts) {
  return pairs(parts, headersAt(parts), parts.length);
}

/** The request of the contract, with names in camel case. */
export function environment(parts, body) {
  return {
    method: parts[METHOD],
    scheme: parts[2],
    host: parts[3],
    port: Number(parts[4]),
    scriptName: parts[5],
    pathInfo: parts[6],
    queryString: parts[7],
    uri: parts[8],
    protocol: parts[9],
    remoteAddr: parts[10],
    requestId: parts[REQUEST_ID],
    params: pairs(parts, PARAMS, headersAt(parts)),
    headers: headers(parts),
    body,
  };
}

function headersAt(parts) {
  return PARAMS + 2 * Number(parts[COUNT]);
}

function pairs(parts, from, to) {
  const all = [];
  for (let at = from; at < to; at += 2) all.push([parts[at], parts[at + 1]]);
  return all;
}

/** The status of an answer, to which its headers are added. SECURITY: a text could have headers in it. */
export function begin(status, isFile) {
  if (typeof status !== "number") throw new TypeError(`a status is a number, not ${JSON.stringify(String(status))}`);
  return isFile ? `${status} file` : String(status);
}

/** A header of an answer; its value is text or bytes. SECURITY: nothing in it has a NUL. */
export function header(name, value) {
  const text = String(name);
  const octets = octetsOf(value);
  if (!OCTETS.test(text)) throw new TypeError(`${JSON.stringify(text)} is no name of a header`);
  if (octets.includes(END)) throw new TypeError(`the value of the header ${JSON.stringify(text)} has a NUL`);
  return END + text + END + octets;
}

/** Text as it is, if its characters can be bytes; else those of its encoding. */
function octetsOf(value) {
  const isBytes = value instanceof Uint8Array;
  const text = isBytes ? "" : String(value);
  if (!isBytes && OCTETS.test(text)) return text;
  let octets = "";
  for (const byte of isBytes ? value : encoder.encode(text)) octets += String.fromCharCode(byte);
  return octets;
}
