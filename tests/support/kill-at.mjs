// Loaded into a process before its own modules (node --import): counts the calls by which it changes files, and ends it with SIGKILL at one of
// them. So a kill falls on every kind of moment however busy the machine is: before a change, in the middle of it, and while the
// process computes what it will write next.
//
// POSTTRAIN_TEST_KILL is {"where", "at", "how", "after", "note"}: while a checkpoint is written ("saving") or "elsewhere"; the number of the call there, from
// 0; "before" it, "half" way through what it writes, or "later", so many milliseconds after it has begun; and a file to which it writes where it
// ended, or the numbers of calls of a process that came to its own end.
import { appendFileSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { devNull } from "node:os";
import { isMainThread } from "node:worker_threads";

const { POSTTRAIN_TEST_KILL: asked } = process.env;
// What the process starts is not meant.
delete process.env.POSTTRAIN_TEST_KILL;
delete process.env.NODE_OPTIONS;

if (asked !== undefined && isMainThread) watchFiles(JSON.parse(asked));

/** @param {{where: string, at: number, how: "before" | "half" | "later", after: number, note: string}} kill */
function watchFiles({ where, at, how, after, note }) {
  const calls = { saving: 0, elsewhere: 0 };
  let last = "";
  /** @type {WeakMap<object, string>} */
  const paths = new WeakMap();
  const die = () => process.kill(process.pid, "SIGKILL");
  const say = (/** @type {object} */ line) => appendFileSync(note, `${JSON.stringify(line)}\n`);
  process.on("exit", () => say({ calls }));

  /**
   * @param {any} object
   * @param {string} name
   * @param {(...args: any[]) => boolean} changes
   */
  const watch = (object, name, changes = () => true) => {
    const original = object[name];
    object[name] = async function (/** @type {any[]} */ ...args) {
      if (!changes(...args)) return original.apply(this, args);
      const call = `${name} ${paths.get(this) ?? paths.get(args[0]) ?? args[0]}`;
      const place = call.includes("checkpoint-") ? "saving" : "elsewhere";
      const again = call === last; // the hundred tensors of a model are one
      last = call;
      if (again || calls[place]++ !== at || place !== where) return original.apply(this, args);
      say({ killed: `${how} ${call}` });
      if (how === "before") die();
      if (how === "later") {
        setTimeout(die, after);
        return original.apply(this, args);
      }
      const half = original.apply(this, firstHalf(name, args));
      // Of a deletion nobody knows where it has come to.
      if (name === "rm") setImmediate(die);
      else half.finally(die);
      return new Promise(() => undefined);
    };
  };

  for (const name of ["mkdir", "rename", "rm", "truncate", "writeFile"]) watch(promises, name);
  watch(promises, "open", (_, flags) => typeof flags === "string" && /^[wa]/.test(flags));
  const { open } = promises;
  promises.open = async (...args) => {
    const handle = await open(...args);
    paths.set(handle, String(args[0]));
    return handle;
  };
  syncBuiltinESMExports();
  // The class of file handles has no other way to it.
  void open(devNull).then(async (handle) => {
    for (const name of ["appendFile", "truncate", "write"]) watch(Object.getPrototypeOf(handle), name);
    await handle.close();
  });
}

/**
 * @param {string} name
 * @param {readonly any[]} args
 */
function firstHalf(name, args) {
  return args.map((arg) => {
    if (typeof arg === "string" && /^(appendFile|writeFile)$/.test(name)) return arg.slice(0, arg.length / 2);
    if (arg instanceof Uint8Array) return arg.subarray(0, Math.floor(arg.length / 2));
    return typeof arg === "number" && name === "write" ? Math.floor(arg / 2) : arg;
  });
}
