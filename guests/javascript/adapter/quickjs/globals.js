// What browsers have and this engine has not, in the order in which one needs the other.

import "./promise.js";
import "./text.js";
import "./console.js";
import "./random.js";
import "./events.js";
import "./url.js";
import "./streams.js";
import "./blob.js";
import "./subtle.js";
import "./form.js";
import "./headers.js";
import "./request.js";
import "./response.js";
import "./fetch.js";

globalThis.self = globalThis;
globalThis.navigator = { userAgent: "myweb" };
