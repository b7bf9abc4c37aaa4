// What every server of JavaScript is measured with, in the shape of Workers.

const ITEMS = Array.from({ length: 160 }, (_, id) => ({ id, name: `item ${id}`, price: id * 1.25 }));
const ESCAPED = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
const escape = (text) => text.replace(/[&<>]/g, (character) => ESCAPED[character]);

function page(title, items) {
  const rows = items.map((item) => `<li>${item.id}: ${escape(item.name.toUpperCase())}</li>`);
  return `<!doctype html><title>${escape(title)}</title><ul>${rows.join("")}</ul>`;
}

/** The same linear congruence as in Python, by halves, since numbers have 53 bits here. */
function cpu(rounds) {
  let value = 1;
  for (let round = 0; round < rounds; round++) value = (Math.imul(value, 1103515245) + 12345) & 0x7fffffff;
  return value;
}

export function answer(path) {
  if (path === "/json") return ["application/json", JSON.stringify(ITEMS)];
  if (path === "/page") return ["text/html; charset=utf-8", page("Items", ITEMS.slice(0, 40))];
  if (path === "/cpu") return ["text/plain", String(cpu(100000))];
  return ["text/plain; charset=utf-8", "Hello, world!\n"];
}

export default {
  fetch(request) {
    const [kind, body] = answer(new URL(request.url).pathname);
    return new Response(body, { headers: { "content-type": kind } });
  },
};
