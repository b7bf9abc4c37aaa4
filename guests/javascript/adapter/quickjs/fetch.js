// `fetch`, which is not there: the tool that makes the component links no requests of HTTP.

globalThis.fetch = async function fetch() {
  throw new Error("there is no fetch in QuickJS; build the app with --engine starlingmonkey");
};
