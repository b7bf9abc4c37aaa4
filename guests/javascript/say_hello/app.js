// Greets whoever is named in `?name=`.

export function application(env) {
  const name = new URLSearchParams(env.queryString).get("name") ?? "world";
  return [200, { "content-type": "text/plain; charset=utf-8" }, `Hello, ${name}!\n`];
}
