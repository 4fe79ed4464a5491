// Reads the text of JavaScript tests before the candidate's program is asked for anything, as python/reading.py does for Python:
// which names are the candidate's, and whether the tests can do without live objects of it. In the thread of src/transpile.ts.
//
// Expressions have kinds: "name" what is the candidate's by its name, "result" what calling it gives, "part" a property of a result.
// undefined: the tests' own. A variable has one kind wherever it stands.
import ts from "typescript";

const plainKinds = [Array, String, Number, BigInt, Boolean, Map, Set, Promise, Object, Function, Symbol];
const plainMethods = new Set(plainKinds.flatMap((kind) => Object.getOwnPropertyNames(kind.prototype)));
/** Whose calls may stand alone and still change nothing: what they give is for their callbacks. */
const observing = new Set(["then", "catch", "finally", "forEach"]);
/** Of Node, by their own names. */
const nodeModules = "buffer crypto events fs os path querystring stream url util".split(" ");
/** Who runs tests: ours (tests.js), where the text gives them functions to run. */
const runners = new Set(
  "describe context suite it test specify before after beforeAll afterAll beforeEach afterEach".split(" "),
);
const judges = /^(assert.*|expect.*|should.*|chai|sinon|jest|vi)$/i;
// Node's, on both routes, whether the route has them or not.
const globals = new Set(
  [
    ...Object.getOwnPropertyNames(globalThis),
    ..."require module exports __filename __dirname global console process Buffer URL URLSearchParams TextEncoder TextDecoder".split(
      " ",
    ),
    ..."undefined arguments assert setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate".split(
      " ",
    ),
  ].filter((name) => name !== "self"),
);

/**
 * @typedef {object} Reading
 * @property {string[]} names of the candidate's, with paths such as `Solution.solve` where the tests spell them
 * @property {string[]} runners such as `it`
 * @property {string[]} modules that the tests use without requiring them
 * @property {boolean} callsResults the text calls what the candidate returned
 * @property {string[]} properties that the text spells
 * @property {string} [objects] why the tests cannot do without its objects
 * @property {string} [broken] what they rely on that is nobody's
 */

/** @param {string} code @param {string | undefined} entry @returns {Reading} */
export function readTests(code, entry) {
  const file = ts.createSourceFile("tests.js", code, ts.ScriptTarget.ES2022, true);
  /** @type {ts.Node[]} */
  const nodes = [];
  /** @param {ts.Node} node */
  const visit = (node) => {
    nodes.push(node);
    ts.forEachChild(node, visit);
  };
  visit(file);
  const bound = new Set(nodes.flatMap(declares));
  /** @type {Map<string, ts.Identifier[]>} */
  const used = new Map();
  for (const node of nodes) if (isUse(node)) used.set(node.text, [...(used.get(node.text) ?? []), node]);

  const head = entry?.split(".")[0];
  const modules = [];
  const running = [];
  const names = head === undefined ? [] : [head];
  for (const [name, uses] of used) {
    if (bound.has(name) || name === head || globals.has(name)) continue;
    if (judges.test(name))
      return {
        names: [],
        modules: [],
        runners: [],
        callsResults: false,
        properties: [],
        broken: `they use ${name}, which they do not define`,
      };
    const asModule = uses.every(({ parent }) => ts.isPropertyAccessExpression(parent));
    if (asModule && nodeModules.includes(name)) modules.push(name);
    else if (runners.has(name) && uses.some(givesFunction)) running.push(name);
    else names.push(name);
  }

  const kinds = followKinds(nodes, new Set(names));
  const paths = nodes.flatMap((node) =>
    ts.isPropertyAccessExpression(node) &&
    ts.isIdentifier(node.expression) &&
    names.includes(node.expression.text)
      ? [`${node.expression.text}.${node.name.text}`]
      : [],
  );
  const reasons = nodes.flatMap((node) => {
    const reason = needsObjects(node, kinds);
    const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
    return reason === undefined ? [] : [`line ${line + 1} of the tests ${reason}`];
  });
  return {
    names: [...names, ...new Set(paths)],
    modules,
    runners: running,
    callsResults: nodes.some((node) => ts.isCallExpression(node) && kinds(node.expression) === "result"),
    properties: nodes.flatMap((node) => (ts.isPropertyAccessExpression(node) ? [node.name.text] : [])),
    ...(reasons[0] === undefined ? {} : { objects: reasons[0] }),
  };
}

/** Is called, or a property of it is, with a function. @param {ts.Identifier} node */
function givesFunction({ parent }) {
  const call = ts.isPropertyAccessExpression(parent) ? parent.parent : parent;
  return ts.isCallExpression(call) && call.arguments.some((given) => ts.isFunctionLike(given));
}

/** @param {ts.Node} node @returns {string[]} */
function declares(node) {
  const declares =
    ts.isVariableDeclaration(node) ||
    ts.isParameter(node) ||
    ts.isBindingElement(node) ||
    ts.isFunctionLike(node) ||
    ts.isClassLike(node);
  return declares && node.name && ts.isIdentifier(node.name) && !ts.isMethodDeclaration(node)
    ? [node.name.text]
    : [];
}

/** An identifier that stands for a value. @param {ts.Node} node @returns {node is ts.Identifier} */
function isUse(node) {
  if (!ts.isIdentifier(node)) return false;
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isPropertyAssignment(parent) || ts.isBindingElement(parent)) return parent.initializer === node;
  if (ts.isVariableDeclaration(parent) || ts.isParameter(parent)) return parent.initializer === node;
  if (ts.isLabeledStatement(parent) || ts.isBreakOrContinueStatement(parent)) return false;
  return !(
    (ts.isFunctionLike(parent) || ts.isClassElement(parent) || ts.isClassLike(parent)) &&
    parent.name === node
  );
}

/** @typedef {"name" | "result" | "part" | undefined} Kind */

/** @param {readonly ts.Node[]} nodes @param {ReadonlySet<string>} names @returns {(node: ts.Node) => Kind} */
function followKinds(nodes, names) {
  /** @type {Map<string, Kind>} */
  const known = new Map();
  /** @type {Map<string, ts.SignatureDeclaration>} */
  const functions = new Map();
  for (const node of nodes) {
    if (ts.isFunctionDeclaration(node) && node.name) functions.set(node.name.text, node);
    if (
      ts.isVariableDeclaration(node) &&
      ts.isIdentifier(node.name) &&
      node.initializer &&
      ts.isFunctionLike(node.initializer)
    )
      functions.set(node.name.text, node.initializer);
  }
  let changed = false;
  /** @param {string} name @param {Kind} kind */
  const learn = (name, kind) => {
    if (kind === undefined || known.get(name) === kind || known.get(name) === "part") return;
    known.set(name, known.has(name) && kind === "name" ? "result" : kind);
    changed = true;
  };
  /** @param {ts.Node} target @param {Kind} kind */
  const bind = (target, kind) => {
    if (kind === undefined) return;
    if (ts.isIdentifier(target)) learn(target.text, kind);
    else if (ts.isObjectBindingPattern(target))
      for (const { name } of target.elements) bind(name, kind === "name" ? kind : "part");
    else if (ts.isArrayBindingPattern(target))
      for (const element of target.elements) if (ts.isBindingElement(element)) bind(element.name, "result");
  };
  /** @param {ts.Node} node @returns {Kind} */
  const kindOf = (node) => {
    if (ts.isIdentifier(node)) return names.has(node.text) ? "name" : known.get(node.text);
    if (ts.isPropertyAccessExpression(node)) {
      const base = kindOf(node.expression);
      return base === undefined || base === "name" ? base : "part";
    }
    if (ts.isElementAccessExpression(node)) return kindOf(node.expression) && "result";
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
      if (kindOf(node.expression)) return "result";
      const own = ts.isIdentifier(node.expression) && functions.has(node.expression.text);
      return own && node.arguments?.some(kindOf) ? "result" : undefined;
    }
    if (ts.isBinaryExpression(node)) {
      const passes = ["||", "&&", "??", ",", "="].includes(node.operatorToken.getText());
      return passes ? (kindOf(node.right) ?? kindOf(node.left)) : undefined;
    }
    if (ts.isConditionalExpression(node)) return kindOf(node.whenTrue) ?? kindOf(node.whenFalse);
    if (ts.isArrayLiteralExpression(node)) return node.elements.some(kindOf) ? "result" : undefined;
    if (ts.isObjectLiteralExpression(node))
      return node.properties.some(
        (property) => ts.isPropertyAssignment(property) && kindOf(property.initializer),
      )
        ? "result"
        : undefined;
    if (ts.isArrowFunction(node)) return kindOf(node.body) && "name";
    if (ts.isParenthesizedExpression(node) || ts.isAwaitExpression(node) || ts.isSpreadElement(node))
      return kindOf(node.expression);
    return undefined;
  };
  for (let round = 0; round < 10; round++) {
    changed = false;
    for (const node of nodes) {
      if (ts.isVariableDeclaration(node) && node.initializer) bind(node.name, kindOf(node.initializer));
      else if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.EqualsToken)
        bind(node.left, kindOf(node.right));
      else if (
        ts.isForOfStatement(node) &&
        ts.isVariableDeclarationList(node.initializer) &&
        kindOf(node.expression)
      )
        for (const { name } of node.initializer.declarations) bind(name, "result");
      else if (ts.isCallExpression(node) && ts.isIdentifier(node.expression))
        functions.get(node.expression.text)?.parameters.forEach(({ name }, i) => {
          const given = node.arguments[i];
          if (given) bind(name, kindOf(given));
        });
    }
    if (!changed) break;
  }
  return kindOf;
}

/** @param {ts.Node} node @param {(node: ts.Node) => Kind} kindOf @returns {string | undefined} */
function needsObjects(node, kindOf) {
  if (ts.isNewExpression(node) && kindOf(node.expression))
    return "makes objects of a class of the candidate's";
  if (ts.isHeritageClause(node) && node.types.some(({ expression }) => kindOf(expression)))
    return "extends a class of the candidate's";
  if (
    ts.isBinaryExpression(node) &&
    node.operatorToken.kind === ts.SyntaxKind.InstanceOfKeyword &&
    kindOf(node.right)
  )
    return "asks for instances of a class of the candidate's";
  if (!ts.isCallExpression(node)) return undefined;
  const kind = kindOf(node.expression);
  if (kind === undefined || kind === "name") return undefined;
  if (node.arguments.some((given) => ts.isFunctionLike(given)) && kind === "result")
    return "gives a function to what the candidate returned";
  if (kind !== "part") return undefined;
  const name = ts.isPropertyAccessExpression(node.expression) ? node.expression.name.text : undefined;
  const alone = ts.isExpressionStatement(node.parent) && name !== undefined && !observing.has(name);
  return name === undefined || !plainMethods.has(name) || (alone && node.arguments.length > 0)
    ? `calls a method (${name ?? node.expression.getText()}) of what the candidate returned`
    : undefined;
}
