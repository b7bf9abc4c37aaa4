// Shows the server's time.

export function application(env) {
  return [200, { "content-type": "text/plain; charset=utf-8" }, `${new Date().toUTCString()}\n`];
}
