// wasm-check.mjs MODULE LIMIT PATH...: the module is small enough, is a Proxy-Wasm filter, imports only what Envoy offers,
// and contains none of the paths.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const [file, limit, ...paths] = process.argv.slice(2);
const bytes = readFileSync(file);
const problems = [];

if (bytes.length > Number(limit)) problems.push(`${bytes.length} bytes, and ${limit} are allowed`);

const module = new WebAssembly.Module(bytes);
const imports = WebAssembly.Module.imports(module);
for (const { module: from, name } of imports) {
  const offered = from === "wasi_snapshot_preview1" || (from === "env" && name.startsWith("proxy_"));
  if (!offered) problems.push(`it imports ${from}.${name}, which Envoy does not offer`);
}

if (!WebAssembly.Module.exports(module).some(({ name }) => name.startsWith("proxy_abi_version_"))) {
  problems.push("it exports no Proxy-Wasm ABI version, so it is no filter");
}

for (const path of new Set(paths)) {
  if (bytes.includes(path + "/")) problems.push(`it contains the path ${path}`);
}

const sha256 = createHash("sha256").update(bytes).digest("hex");
console.log(`${file}: ${bytes.length} bytes of ${limit}, ${imports.length} imports\nsha256 ${sha256}`);
for (const problem of problems) console.error(`error: ${file}: ${problem}`);
process.exitCode = problems.length ? 1 : 0;
