// A Hono app as its documentation would have it.

import { Hono } from "hono";
import { getSignedCookie, setSignedCookie } from "hono/cookie";
import { cors } from "hono/cors";
import { HTTPException } from "hono/http-exception";
import { stream } from "hono/streaming";

const app = new Hono();

app.use("/cors/*", cors({ origin: "https://a.example" }));
app.get("/", (context) => context.text("home"));
app.get("/item/:number", (context) => context.json({ number: Number(context.req.param("number")) }));
app.get("/cors/it", (context) => context.text("shared"));
app.post("/json", async (context) => context.json(await context.req.json()));
app.post("/form", async (context) => context.json(await context.req.parseBody()));
app.post("/upload", async (context) => {
  const { file } = await context.req.parseBody();
  return context.json({ name: file.name, size: (await file.arrayBuffer()).byteLength });
});
app.get("/count", async (context) => {
  const count = Number((await getSignedCookie(context, "key", "count")) || 0) + 1;
  await setSignedCookie(context, "count", String(count), "key");
  return context.text(String(count));
});
app.get("/stream", (context) =>
  stream(context, async (out) => {
    for (let part = 0; part < 3; part++) {
      await out.write(`${part}\n`);
      await out.sleep(1);
    }
  }),
);
app.get("/go", (context) => context.redirect("/item/3"));
app.get("/teapot", () => {
  throw new HTTPException(418, { message: "short and stout" });
});
app.get("/broken", () => undefined.nothing);
app.get("/later", (context) => {
  context.executionCtx.waitUntil(Promise.resolve().then(() => console.log("afterwards")));
  return context.text("now");
});
app.notFound((context) => context.text(`no ${context.req.path} here`, 404));

export default app;
