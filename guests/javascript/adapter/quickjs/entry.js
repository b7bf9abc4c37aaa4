// What the component exports for QuickJS: the same as for the other engine, called to its end.

import "./globals.js";
import { application as answer } from "../entry.js";
import { settle } from "./promise.js";

export function application(env) {
  return settle(answer(env));
}
