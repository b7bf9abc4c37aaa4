// Forms as they arrive. StarlingMonkey's own parser takes more than a second of CPU time for a file of 900 kB.

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
  const delimiter = new TextEncoder().encode(`\r\n--${edge}`);
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

const HEAD_ENDS = Uint8Array.of(13, 10, 13, 10);

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
