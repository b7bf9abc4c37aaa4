// The same app in node's own server.

import { createServer } from "node:http";
import { answer } from "./app.js";

createServer((request, response) => {
  const [kind, body] = answer(request.url);
  response.writeHead(200, { "content-type": kind });
  response.end(body);
}).listen(Number(process.argv[2]), "127.0.0.1");
