// Requests and answers in the shape of Workers, as the server sees them and as the app does.

const encoder = new TextEncoder();
let before;

const ways = {
  "/": () => new Response("home"),
  "/text": () => new Response("schön ✓", { headers: { "X-Name": "tea", "content-type": "text/plain" } }),
  "/bytes": () => new Response(encoder.encode("bytes"), { status: 201, headers: [["x-twice", "1"], ["x-twice", "2"]] }),
  "/changed": () => {
    const bytes = encoder.encode("given");
    const headers = { "x-a": "given" };
    const response = new Response(bytes, { headers });
    bytes.fill(33);
    headers["x-a"] = "changed";
    response.headers.append("X-B", "added");
    return response;
  },
  "/cookies": () => {
    const headers = new Headers({ "x-a": "1" });
    headers.append("set-cookie", "a=1");
    headers.append("set-cookie", "b=2");
    return new Response(null, { status: 204, headers });
  },
  "/json": async (request) => Response.json({ got: await request.json() }, { status: 202 }),
  "/large": () => new Response("0123456789".repeat(10_000)),
  "/echo": async (request) => new Response(await request.arrayBuffer(), { headers: { "x-used": String(request.bodyUsed) } }),
  "/passed": (request) => new Response(request.body, { headers: request.headers }),
  "/stream": () => {
    const chunks = ["a", "b"];
    return new Response(
      new ReadableStream({
        pull(controller) {
          if (chunks.length > 0) controller.enqueue(encoder.encode(chunks.shift()));
          else controller.close();
        },
      }),
    );
  },
  "/used": async () => {
    const response = new Response("read");
    await response.text();
    return response;
  },
  "/rejects": () => Promise.reject(new Error("a secret cause")),
  "/text-only": () => "no response",
  "/left": (request, _, { waitUntil }) => {
    waitUntil(new Promise((resolve) => setTimeout(resolve, 5)).then(() => console.log("what was left is done")));
    return new Response("left");
  },
  "/before": (request) => {
    const last = before;
    before = request;
    if (!last) return new Response("first");
    const { pathname, search } = new URL(last.url);
    return new Response(`${last.method} ${pathname}${search}, ${last.headers.get("host") ? "kept" : "lost"}`);
  },
  "/status": () => {
    const streamed = new Response(new Response("a").body);
    return Object.defineProperty(streamed, "status", { value: "200\0x-injected\0yes" });
  },
  "/env": (_, env) => Response.json(env),
  "/checks": checks,
};

/** What is not as in browsers, a line each. */
async function checks(request) {
  const faults = [];
  const check = (name, is) => is || faults.push(name);
  const refuses = (name, call) => {
    try {
      call();
    } catch (error) {
      return check(`${name}: its kind`, error instanceof TypeError || error instanceof RangeError);
    }
    faults.push(name);
  };
  check("a request", request instanceof Request);
  check("its header", request.headers.get("x-one") === "1" && request.headers instanceof Headers);
  check("the same headers", request.headers === request.headers);
  check("its URL", request.url === new URL(request.url).href);
  const again = new Request(request, { headers: { "x-two": "2" } });
  check("a request of a request", again.url === request.url && again.headers.get("x-two") === "2");
  const made = new Request("http://a.example/x", { method: "POST", body: "sent" });
  check("a made one", made instanceof Request && made.method === "POST" && (await made.text()) === "sent");
  check("its body is used", made.bodyUsed);

  const response = new Response("text");
  check("a response", response instanceof Response && response.status === 200 && response.ok);
  check("its type", response.headers.get("content-type") === "text/plain;charset=UTF-8");
  check("it is unread", !response.bodyUsed);
  check("its text", (await response.text()) === "text" && response.bodyUsed);
  check("a second time", await response.text().then(() => false, (error) => error instanceof TypeError));
  check("what is left of it", response.type === "default" && response.url === "" && response.statusText === "");
  check("and still read", response.bodyUsed && (await response.blob().then(() => false, () => true)));
  check("no body", new Response().body === null && (await new Response(null).text()) === "");
  check("a stream of text", (await new Response(new Response("streamed").body).text()) === "streamed");
  check("a blob", (await (await new Response("blob").blob()).text()) === "blob");
  check("JSON", (await Response.json([1]).json())[0] === 1);
  check("its type", Response.json(1).headers.get("content-type") === "application/json");
  check("a status", new Response("", { status: 404 }).status === 404);
  check("its text", new Response("", { statusText: "Fine" }).statusText === "Fine");
  check("headers", new Response("", { headers: new Headers({ a: "b" }) }).headers.get("a") === "b");
  check("a number", new Response("", { headers: { a: 1 } }).headers.get("a") === "1");
  check("spaces", new Response("", { headers: { a: "  b " } }).headers.get("a") === "b");
  check("a frozen one", Object.freeze(new Response("", { headers: { a: "b" } })).headers.get("a") === "b");
  check("JSON with a response", Response.json(1, new Response("", { status: 404 })).status === 404);
  check("nothing else", new Response("x", null).status === 200 && Response.json(1, null).status === 200);
  check("bytes", (await new Response("ab").bytes()).join() === "97,98");
  check("a class of its own", new (class Own extends Response {})("own") instanceof Response);
  refuses("a status of 700", () => new Response("", { status: 700 }));
  refuses("a body of 204", () => new Response("x", { status: 204 }));
  refuses("no JSON", () => Response.json(undefined));
  refuses("a name", () => new Response("", { headers: { "a b": "c" } }));
  refuses("a value", () => new Response("", { headers: { a: "b\r\nc: d" } }));
  refuses("a body of GET", () => new Request("http://a.example/", { body: "x" }));
  return new Response(faults.join("\n"));
}

export default {
  fetch(request, env, context) {
    const way = ways[new URL(request.url).pathname];
    return way ? way(request, env, context) : new Response(request.url, { status: 404 });
  },
};
