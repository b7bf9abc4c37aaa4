// Event, EventTarget, AbortController and AbortSignal.

globalThis.Event = class Event {
  constructor(type, { cancelable = false } = {}) {
    Object.assign(this, { type: String(type), cancelable, defaultPrevented: false, target: null });
  }

  preventDefault() {
    this.defaultPrevented = this.cancelable;
  }
};

globalThis.EventTarget = class EventTarget {
  #listeners = new Map();

  addEventListener(type, listener, options) {
    const of = this.#listeners.get(type) ?? new Map();
    this.#listeners.set(type, of);
    if (listener && !of.has(listener)) of.set(listener, Boolean(options?.once));
  }

  removeEventListener(type, listener) {
    this.#listeners.get(type)?.delete(listener);
  }

  dispatchEvent(event) {
    event.target = this;
    this[`on${event.type}`]?.(event);
    for (const [listener, once] of [...(this.#listeners.get(event.type) ?? [])]) {
      if (once) this.removeEventListener(event.type, listener);
      if (typeof listener === "function") listener.call(this, event);
      else listener.handleEvent(event);
    }
    return !event.defaultPrevented;
  }
};

/** Makes a signal aborted; what no one outside may do. */
let abort;

globalThis.AbortSignal = class AbortSignal extends EventTarget {
  #aborted = false;
  #reason;

  static {
    abort = (signal, reason) => {
      if (signal.#aborted) return;
      signal.#aborted = true;
      signal.#reason = reason === undefined ? new DOMException("the operation was aborted", "AbortError") : reason;
      signal.dispatchEvent(new Event("abort"));
    };
  }

  static abort(reason) {
    const signal = new AbortSignal();
    abort(signal, reason);
    return signal;
  }

  static timeout(milliseconds) {
    const signal = new AbortSignal();
    setTimeout(() => abort(signal, new DOMException("the time is over", "TimeoutError")), milliseconds);
    return signal;
  }

  static any(signals) {
    const signal = new AbortSignal();
    for (const one of signals) {
      if (one.aborted) abort(signal, one.reason);
      else one.addEventListener("abort", () => abort(signal, one.reason), { once: true });
    }
    return signal;
  }

  get aborted() {
    return this.#aborted;
  }

  get reason() {
    return this.#reason;
  }

  throwIfAborted() {
    if (this.#aborted) throw this.#reason;
  }
};

globalThis.AbortController = class AbortController {
  signal = new AbortSignal();

  abort(reason) {
    abort(this.signal, reason);
  }
};
