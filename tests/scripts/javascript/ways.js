// Waits, and answers then.
export async function later() {
  const started = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 10));
  return [200, {}, performance.now() - started >= 9 ? "waited" : "did not wait"];
}
