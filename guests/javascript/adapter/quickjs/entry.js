// What the component exports for QuickJS: the same as for the other engine, called to its end.

import "./globals.js";
import { answer, failed } from "./answer.js";
import { partsOf } from "../message.js";
import { settle } from "./promise.js";
import { forget } from "./random.js";

// The app and all packages are evaluated, some of which took random numbers.
forget();

export const app = {
  call(text, body) {
    const request = partsOf(text);
    try {
      return settle(answer(request, body));
    } catch (error) {
      return failed(request, error);
    }
  },
};
