// Promises, timers, events.

export async function promises(same) {
  async function* numbers() {
    yield 1;
    await null;
    yield 2;
  }
  const seen = [];
  for await (const number of numbers()) seen.push(number);
  same("an asynchronous generator", seen, [1, 2]);
  same("all", await Promise.all([1, Promise.resolve(2), new Promise((done) => setTimeout(done, 1, 3))]), [1, 2, 3]);
  const states = await Promise.allSettled([Promise.reject(1), 2]);
  same("all settled", states.map(({ status }) => status), ["rejected", "fulfilled"]);
  same("a thenable", await { then: (done) => done(5) }, 5);
  same("later", await import("./later.js").then((later) => later.value()), "later");
  const order = await new Promise((done) => {
    const calls = [];
    setTimeout(() => {
      throw new Error("a timer's own");
    }, 0);
    setTimeout(() => calls.push("second"), 5);
    setTimeout(() => done(calls), 9);
    setTimeout(() => calls.push("first"), 0);
    queueMicrotask(() => calls.push("job"));
    Promise.resolve().then(() => calls.push("promise"));
    calls.push("now");
  });
  same("the order", order, ["now", "job", "promise", "first", "second"]);
  let turns = 0;
  await new Promise((done) => {
    const interval = setInterval(() => {
      turns += 1;
      if (turns < 3) return;
      clearInterval(interval);
      done();
    }, 1);
  });
  same("an interval", turns, 3);

  const controller = new AbortController();
  let aborts = 0;
  controller.signal.addEventListener("abort", () => (aborts += 1));
  controller.abort();
  controller.abort();
  same("aborted", [aborts, controller.signal.aborted, controller.signal.reason.name], [1, true, "AbortError"]);
}
