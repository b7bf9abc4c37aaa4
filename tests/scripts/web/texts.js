// Texts, URLs, headers, digests.

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export async function texts(same) {
  for (const text of ["", "abc", "Løv", "日本", "😀x", "a\ud800b", "\udc00", "\ud83d", "x€".repeat(10000)]) {
    same(`the text ${text.slice(0, 9)}`, decoder.decode(encoder.encode(text)), text.replace(/[\ud800-\udfff]/gu, "\ufffd"));
  }
  same("bytes", [...encoder.encode("é€😀")], [0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80]);
  const broken = [0xff, 65, 0xe2, 0x82, 66, 0xc0, 0x80, 0xed, 0xa0, 0x80, 0xf4, 0x90, 0x80, 0x80, 0xe2, 0x82];
  same("no UTF-8", decoder.decode(new Uint8Array(broken)), `\ufffdA\ufffdB${"\ufffd".repeat(10)}`);
  await same.throws("fatal", () => new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([0xe2, 0x82])));
  const streamed = new TextDecoder();
  let text = "";
  for (const byte of encoder.encode("\ufeffé€😀x")) text += streamed.decode(new Uint8Array([byte]), { stream: true });
  same("byte by byte", text + streamed.decode(), "é€😀x");
  same("encodeInto", encoder.encodeInto("a€b", new Uint8Array(4)), { read: 2, written: 4 });

  const url = new URL("/a b?x=1&y=ü#z", "https://Bücher.example:443/p/");
  same("a URL", url.href, "https://xn--bcher-kva.example/a%20b?x=1&y=%C3%BC#z");
  url.searchParams.append("q", "a&b");
  same("its query", url.search, "?x=1&y=%C3%BC&q=a%26b");
  await same.throws("no URL", () => new URL("nowhere"));

  const headers = new Headers([["A", "1"], ["a", " 2 "], ["b", "3"]]);
  same("headers", [...headers], [["a", "1, 2"], ["b", "3"]]);
  headers.append("set-cookie", "x=1");
  headers.append("Set-Cookie", "y=2");
  same("cookies", headers.getSetCookie(), ["x=1", "y=2"]);
  await same.throws("a name", () => headers.set("a b", "x"));
  await same.throws("a value", () => headers.set("a", "x\r\ny"));

  const digest = async (name) => [...new Uint8Array(await crypto.subtle.digest(name, encoder.encode("abc")))].slice(0, 2);
  same("SHA-1", await digest("SHA-1"), [0xa9, 0x99]);
  same("SHA-256", await digest({ name: "SHA-256" }), [0xba, 0x78]);
  same("SHA-512", await digest("SHA-512"), [0xdd, 0xaf]);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode("key"), algorithm, false, ["sign", "verify"]);
  const signature = await crypto.subtle.sign("HMAC", key, encoder.encode("abc"));
  same("signed", [...new Uint8Array(signature)].slice(0, 2), [0x9c, 0x19]);
  same("verified", await crypto.subtle.verify("HMAC", key, signature, encoder.encode("abc")), true);
  same("not verified", await crypto.subtle.verify("HMAC", key, signature, encoder.encode("abd")), false);
  same("base64", atob(btoa("hi")), "hi");
  same("a clone", structuredClone({ a: [new Map([[1, 2]])] }).a[0].get(1), 2);
}
