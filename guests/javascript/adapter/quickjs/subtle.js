// `crypto.subtle`, of digests and of HMAC, with which cookies and tokens are signed.

import { hmac } from "@noble/hashes/hmac.js";
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { bytesOf } from "./blob.js";

const HASHES = { "SHA-1": sha1, "SHA-256": sha256, "SHA-384": sha384, "SHA-512": sha512 };

/** The secrets of keys. */
const secrets = new WeakMap();

globalThis.CryptoKey = class CryptoKey {
  constructor(algorithm, extractable, usages) {
    Object.assign(this, { type: "secret", algorithm, extractable, usages });
    Object.freeze(this);
  }
};

function named(algorithm) {
  return String(algorithm?.name ?? algorithm).toUpperCase();
}

function lacking(what) {
  return new DOMException(`${what} is not in QuickJS; build the app with --engine starlingmonkey`, "NotSupportedError");
}

function hashOf(algorithm) {
  const hash = HASHES[named(algorithm)];
  if (!hash) throw lacking(`the hash ${named(algorithm)}`);
  return hash;
}

function secretOf(key, usage) {
  if (!secrets.has(key)) throw new TypeError("the key is no CryptoKey");
  if (!key.usages.includes(usage)) throw new DOMException(`the key is not for "${usage}"`, "InvalidAccessError");
  return secrets.get(key);
}

function keyOf(secret, hash, extractable, usages) {
  const key = new CryptoKey(
    { name: "HMAC", hash: { name: named(hash) }, length: secret.length * 8 },
    Boolean(extractable),
    [...usages],
  );
  secrets.set(key, secret);
  return key;
}

function signed(key, usage, data) {
  const secret = secretOf(key, usage);
  return hmac(hashOf(key.algorithm.hash), secret, bytesOf(data));
}

crypto.subtle = {
  async digest(algorithm, data) {
    return hashOf(algorithm)(bytesOf(data)).buffer;
  },

  async importKey(format, secret, algorithm, extractable, usages) {
    if (format !== "raw" || named(algorithm) !== "HMAC") throw lacking(`a key of ${named(algorithm)} as "${format}"`);
    hashOf(algorithm.hash);
    return keyOf(bytesOf(secret).slice(), algorithm.hash, extractable, usages);
  },

  async generateKey(algorithm, extractable, usages) {
    if (named(algorithm) !== "HMAC") throw lacking(`a key of ${named(algorithm)}`);
    const length = algorithm.length ? Math.ceil(algorithm.length / 8) : hashOf(algorithm.hash).blockLen;
    return keyOf(crypto.getRandomValues(new Uint8Array(length)), algorithm.hash, extractable, usages);
  },

  async exportKey(format, key) {
    if (format !== "raw") throw lacking(`a key as "${format}"`);
    if (!key.extractable) throw new DOMException("the key cannot be exported", "InvalidAccessError");
    return secrets.get(key).slice().buffer;
  },

  async sign(algorithm, key, data) {
    return signed(key, "sign", data).buffer;
  },

  async verify(algorithm, key, signature, data) {
    const [expected, given] = [signed(key, "verify", data), bytesOf(signature)];
    // SECURITY: as long whatever differs, so that nobody finds the right one byte by byte.
    let differs = expected.length ^ given.length;
    for (let at = 0; at < expected.length; at++) differs |= expected[at] ^ given[at];
    return differs === 0;
  },
};

for (const name of ["encrypt", "decrypt", "deriveBits", "deriveKey", "wrapKey", "unwrapKey"]) {
  crypto.subtle[name] = async () => {
    throw lacking(`crypto.subtle.${name}`);
  };
}
