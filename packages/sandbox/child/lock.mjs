// First import of every WebAssembly child: takes away what a program that reached this realm's objects could use, before
// anything else is loaded. Node's permission flags and namespaces stand behind this; see docs/sandbox.md.

import { constants } from "node:fs";

// Pyodide asks for process.binding("constants") under Node, which the permission model refuses by throwing.
Object.defineProperty(process, "binding", {
  value: () => ({ fs: { ...constants } }),
  configurable: false,
  writable: false,
});

for (const name of [
  "fetch",
  "WebSocket",
  "EventSource",
  "XMLHttpRequest",
  "Request",
  "Response",
  "navigator",
  "BroadcastChannel",
]) {
  Reflect.deleteProperty(globalThis, name);
}

// A finalizer that runs after the heap was put back would free what is not its own.
globalThis.FinalizationRegistry = /** @type {FinalizationRegistryConstructor} */ (
  /** @type {unknown} */ (
    class {
      register() {}
      unregister() {}
    }
  )
);

/** No WebAssembly memory of this process grows beyond this. @param {number} megabytes */
export function capMemory(megabytes) {
  const Memory = WebAssembly.Memory;
  WebAssembly.Memory = /** @type {typeof WebAssembly.Memory} */ (
    /** @type {unknown} */ (
      class extends Memory {
        /** @param {WebAssembly.MemoryDescriptor} descriptor */
        constructor(descriptor) {
          super({ ...descriptor, maximum: Math.min(descriptor.maximum ?? 65536, megabytes * 16) });
        }
      }
    )
  );
}
