// wasi-run.mjs MODULE ARGS...: runs a WASI program (a cargo test binary) in Node, and ends with its exit status.
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const [file, ...args] = process.argv.slice(2);
const { RUST_BACKTRACE = "0", RUST_TEST_NOCAPTURE = "0" } = process.env;
const env = { RUST_BACKTRACE, RUST_TEST_NOCAPTURE };
const wasi = new WASI({ version: "preview1", args: [file, ...args], env, returnOnExit: true });
const module = new WebAssembly.Module(readFileSync(file));
const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: wasi.wasiImport });
try {
  process.exitCode = wasi.start(instance);
} catch (trap) {
  // Rust has said already what panicked and where.
  console.error(`${file}: ${trap.message}`);
  process.exitCode = 101;
}
