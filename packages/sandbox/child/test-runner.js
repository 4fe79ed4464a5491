// For the tests' side and for tests beside the candidate. Follows plain.js.

/** The words of node:test, Mocha and Jest for what is to run; all of it runs in order, after the text. */
function testRunner() {
  const queue = [];
  let scope = { beforeEach: [], afterEach: [], after: [], outer: undefined };
  const parts = (given) => given.find((part) => typeof part === "function");
  const context = Object.assign(
    (error) => {
      if (error) throw error;
    },
    { test: async (...given) => parts(given)(context) },
  );
  const it = (...given) => void queue.push({ scope, run: parts(given) });
  const describe = (...given) => {
    scope = { beforeEach: [], afterEach: [], after: [], outer: scope };
    parts(given)();
    queue.push(...scope.after.map((run) => ({ run })));
    scope = scope.outer;
  };
  for (const word of [it, describe]) Object.assign(word, { only: word, skip: () => {}, todo: () => {} });
  const before = (run) => void queue.push({ run });
  const after = (run) => void scope.after.push(run);
  const words = {
    ...{
      it,
      test: it,
      specify: it,
      describe,
      context: describe,
      suite: describe,
      before,
      after,
      beforeAll: before,
      afterAll: after,
    },
    beforeEach: (run) => void scope.beforeEach.push(run),
    afterEach: (run) => void scope.afterEach.push(run),
  };
  const hooks = (from, name) => (from === undefined ? [] : [...hooks(from.outer, name), ...from[name]]);
  const runAll = async () => {
    for (const { scope: own, run } of queue.splice(0)) {
      for (const hook of hooks(own, "beforeEach")) await hook();
      await run(context);
      for (const hook of hooks(own, "afterEach").reverse()) await hook();
    }
    for (const run of scope.after.splice(0)) await run();
  };
  return { words, runAll };
}

/** `require`, with this runner for node:test. */
function requiring(outer, { test, ...words }) {
  return (name) => (name === "node:test" ? Object.assign(test, words) : outer(name));
}
