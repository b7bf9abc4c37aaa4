// A guest book of one visitor, in Hono: what was written is in a cookie.

import { Hono } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { html } from "hono/html";

const app = new Hono();

function entries(context) {
  try {
    return JSON.parse(getCookie(context, "entries") ?? "[]");
  } catch {
    return [];
  }
}

app.get("/", (context) =>
  context.html(
    html`<!doctype html><meta charset="utf-8"><title>Guest book</title>
      <ul>${entries(context).map((entry) => html`<li>${entry}</li>`)}</ul>
      <form method="post"><input name="entry"><button>Write</button></form>`,
  ),
);

app.post("/", async (context) => {
  const { entry } = await context.req.parseBody();
  const all = [...entries(context), String(entry).slice(0, 80)].slice(-10);
  setCookie(context, "entries", JSON.stringify(all), { httpOnly: true, sameSite: "Lax" });
  return context.redirect("/", 303);
});

export default app;
