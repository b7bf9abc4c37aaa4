// While a component is built, nothing of the outside is there: what asks for it at the top level of a module is told so,
// with its place. Afterwards all is as it was.

const replaced = [];

function refuse(object, name, what) {
  const original = object?.[name];
  if (typeof original !== "function") return;
  replaced.push([object, name, original, Object.hasOwn(object, name)]);
  object[name] = function () {
    throw new Error(
      `${what} cannot be called at the top level of a module, which runs while the component is built; ` +
        "call it within the handler",
    );
  };
}

refuse(Math, "random", "Math.random()");
refuse(crypto, "getRandomValues", "crypto.getRandomValues()");
refuse(crypto, "randomUUID", "crypto.randomUUID()");
refuse(performance, "now", "performance.now()");
refuse(globalThis, "setTimeout", "setTimeout()");
refuse(globalThis, "setInterval", "setInterval()");
refuse(globalThis, "fetch", "fetch()");

/** From the first request on, all may be called. */
export function lift() {
  if (replaced.length === 0) return;
  for (const [object, name, original, own] of replaced.splice(0)) {
    if (own) object[name] = original;
    else delete object[name];
  }
}
