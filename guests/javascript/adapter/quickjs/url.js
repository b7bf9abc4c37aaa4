// URL and URLSearchParams.

import URL from "core-js-pure/actual/url";
import URLSearchParams from "core-js-pure/actual/url-search-params";

Object.assign(globalThis, { URL, URLSearchParams });
