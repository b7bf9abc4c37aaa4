// Requests, responses, forms, blobs, streams.

const encoder = new TextEncoder();

export async function bodies(same) {
  const request = new Request("http://a/", { method: "post", body: new URLSearchParams({ a: "1 2" }) });
  same("a method", request.method, "POST");
  same("its type", request.headers.get("content-type"), "application/x-www-form-urlencoded;charset=UTF-8");
  same("a clone's text", await request.clone().text(), "a=1+2");
  same("unread", request.bodyUsed, false);
  same("a form", [...(await request.formData())], [["a", "1 2"]]);
  same("read", request.bodyUsed, true);
  await same.throws("read twice", () => request.text());
  await same.throws("a body of GET", () => new Request("http://a/", { body: "x" }));

  const form = new FormData();
  form.append("text", "v");
  form.append("file", new Blob(["hi", new Uint8Array([33])], { type: "text/html" }), 'a "name".txt');
  form.set("text", "w");
  const back = await new Response(form).formData();
  same("a field", back.get("text"), "w");
  const file = back.get("file");
  same("a file", [file.name, file.type, file.size, await file.text()], ['a "name".txt', "text/html", 3, "hi!"]);

  same("JSON", await Response.json({ a: 1 }).json(), { a: 1 });
  same("its type", Response.json(1).headers.get("content-type"), "application/json");
  same("a type", new Response("").headers.get("content-type"), "text/plain;charset=UTF-8");
  await same.throws("a status", () => new Response("", { status: 700 }));
  await same.throws("a body of 204", () => new Response("x", { status: 204 }));
  same("no body", [new Response(null).body, await new Response(null).text()], [null, ""]);

  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  writer
    .write(encoder.encode("a"))
    .then(() => writer.write(encoder.encode("b")))
    .then(() => writer.close());
  same("a stream", await new Response(readable).text(), "ab");
  const first = new Response("twice");
  const second = first.clone();
  same("two of one", [await first.text(), await second.text()], ["twice", "twice"]);
  const secret = new Request("http://a/", { method: "POST", body: "secret" });
  const copy = secret.clone();
  await same.throws("a GET of what has a body", () => new Request(secret, { method: "GET" }));
  new Uint8Array(await secret.arrayBuffer()).fill(120);
  same("bytes of a clone", await copy.text(), "secret");
  const blob = new Blob(["abc"]);
  new Uint8Array(await new Response(blob).arrayBuffer()).fill(120);
  same("bytes of a blob", await blob.text(), "abc");
  same("a header of nothing", new Headers({ x: undefined }).get("x"), "undefined");
  await same.throws("half a header", () => new Headers([["a"]]));
  await same.throws("a header of no bytes", () => new Headers({ x: "✓" }));
  await same.throws("a redirect of 200", () => Response.redirect("http://a/", 200));
  same("a status", new Response("", { status: 200.9 }).status, 200);
  const parts = [];
  for await (const part of new Response("part").body) parts.push(new TextDecoder().decode(part));
  same("parts", parts, ["part"]);
  same("a slice", await new Blob(["abcdef"]).slice(1, 3).text(), "bc");
}
