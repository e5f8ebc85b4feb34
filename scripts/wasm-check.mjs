// wasm-check.mjs MODULE LIMIT PATH...: the module is small enough, imports only what Envoy offers, and contains none of the paths.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const [file, limit, ...paths] = process.argv.slice(2);
const bytes = readFileSync(file);
const problems = [];

if (bytes.length > Number(limit)) problems.push(`${bytes.length} bytes, and ${limit} are allowed`);

const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes));
for (const { module, name } of imports) {
  const offered = module === "wasi_snapshot_preview1" || (module === "env" && name.startsWith("proxy_"));
  if (!offered) problems.push(`it imports ${module}.${name}, which Envoy does not offer`);
}

for (const path of new Set(paths)) {
  if (bytes.includes(path + "/")) problems.push(`it contains the path ${path}`);
}

const sha256 = createHash("sha256").update(bytes).digest("hex");
console.log(`${file}: ${bytes.length} bytes of ${limit}, ${imports.length} imports\nsha256 ${sha256}`);
for (const problem of problems) console.error(`error: ${file}: ${problem}`);
process.exitCode = problems.length ? 1 : 0;
