// The thread of src/transpile.ts.
import { parentPort } from "node:worker_threads";
import ts from "typescript";
import { readTests } from "./reading.mjs";

parentPort?.on("message", ({ source, language, read, entryPoint }) => {
  try {
    parentPort?.postMessage(
      read === undefined ? transpile(source, language) : { reading: readTests(read, entryPoint) },
    );
  } catch (error) {
    parentPort?.postMessage({ error: String(error).slice(0, 1000) });
  }
});

/** @param {string} source @param {string} language */
function transpile(source, language) {
  const fileName = language === "typescript" ? "main.ts" : "main.js";
  const { outputText: code, diagnostics = [] } = ts.transpileModule(source, {
    fileName,
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.CommonJS,
      allowJs: true,
      experimentalDecorators: language === "typescript" && hasOlderDecorators(fileName, source),
      // In a strict script functions are no globals, where those who call them look.
      alwaysStrict: false,
      ignoreDeprecations: "6.0",
    },
  });
  const [first] = diagnostics.filter(({ category }) => category === ts.DiagnosticCategory.Error);
  if (first === undefined) return { code };
  const line = first.file
    ? `line ${first.file.getLineAndCharacterOfPosition(first.start ?? 0).line + 1}: `
    : "";
  return { error: line + ts.flattenDiagnosticMessageText(first.messageText, " ").slice(0, 1000) };
}

/**
 * Decorators of before 2023 get a class, a key and a descriptor, those of the standard a value and a context. Both look alike where
 * they are used; a program says by the second parameter of its functions, or by decorating parameters, which ones it means.
 * @param {string} fileName @param {string} source
 */
function hasOlderDecorators(fileName, source) {
  if (!source.includes("@")) return false;
  /** @type {{ name: string, called: boolean }[]} */
  const used = [];
  /** @type {Map<string, ts.Node>} */
  const functions = new Map();
  let ofParameters = false;
  /** @param {ts.Node} node */
  const visit = (node) => {
    if (ts.isDecorator(node)) {
      const called = ts.isCallExpression(node.expression);
      used.push({ name: (called ? node.expression.expression : node.expression).getText(), called });
      if (ts.isParameter(node.parent)) ofParameters = true;
    } else if (ts.isFunctionDeclaration(node) && node.name) functions.set(node.name.text, node);
    else if (ts.isVariableDeclaration(node) && node.initializer)
      functions.set(node.name.getText(), node.initializer);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(fileName, source, ts.ScriptTarget.ES2022, true));
  const takesKey = ({ name, called }) => {
    const given = functions.get(name);
    const decorator = given && called ? ts.forEachChild(given, firstFunction) : given;
    if (decorator === undefined || !ts.isFunctionLike(decorator)) return false;
    const [, second] = decorator.parameters;
    return second && !ts.isObjectBindingPattern(second.name) && !/context|ctx/i.test(second.getText());
  };
  return ofParameters || used.some(takesKey);
}

/** @param {ts.Node} node @returns {ts.Node | undefined} */
function firstFunction(node) {
  return ts.isFunctionLike(node) && "body" in node ? node : ts.forEachChild(node, firstFunction);
}
