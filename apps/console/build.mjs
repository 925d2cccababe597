// Builds the page: one script and one style with hashed names, and bundle/files.json, which holds
// each file with gzip and with brotli for the server to carry. Refuses to outgrow its limit.
import { build, transform } from "esbuild";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";

const FIRST_LOAD_BYTES_MAX = 60_000;
const here = import.meta.dirname;
const { outputFiles, metafile } = await build({
  absWorkingDir: here,
  entryPoints: { console: "src/main.tsx" },
  outdir: "assets",
  // Charts and YAML come when they are asked for.
  splitting: true,
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  metafile: true,
  bundle: true,
  write: false,
  minify: true,
  format: "esm",
  target: "es2023",
  conditions: ["etcd2-source"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  logLevel: "warning",
});

const types = { js: "text/javascript", css: "text/css", svg: "image/svg+xml", html: "text/html" };
const files = {};
let firstLoad = 0;
function add(path, ending, bytes, isFirst = true) {
  const br = brotliCompressSync(bytes);
  if (isFirst) firstLoad += br.length;
  files[path] = {
    type: `${types[ending]}; charset=utf-8`,
    gzip: gzipSync(bytes, { level: 9 }).toString("base64"),
    br: br.toString("base64"),
  };
}
function addHashed(name, ending, bytes) {
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  const path = `/assets/${name}-${hash}.${ending}`;
  add(path, ending, bytes);
  return path;
}
/** The output that holds the entry, and all that it imports at once. */
const outputs = Object.entries(metafile.outputs);
const [entry] = outputs.find(([, { entryPoint }]) => entryPoint === "src/main.tsx");
const first = new Set([entry]);
for (const output of first) {
  for (const { kind, path } of metafile.outputs[output].imports) {
    if (kind === "import-statement") first.add(path);
  }
}
for (const [output] of outputs) {
  const { contents } = outputFiles.find(({ path }) => path.endsWith(`/${output}`));
  add(`/${output}`, "js", contents, first.has(output));
}
const script = `/${entry}`;
const charts = createRequire(import.meta.url).resolve("uplot/dist/uPlot.min.css");
const styles = [charts, join(here, "src/console.css")].map((file) => readFileSync(file, "utf8"));
const { code } = await transform(styles.join("\n"), { loader: "css", minify: true });
const style = addHashed("console", "css", Buffer.from(code));
const icon = addHashed("icon", "svg", readFileSync(join(here, "src/icon.svg")));
const page = readFileSync(join(here, "src/index.html"), "utf8")
  .replace("SCRIPT", script)
  .replace("STYLE", style)
  .replace("ICON", icon);
add("/", "html", Buffer.from(page));
if (firstLoad > FIRST_LOAD_BYTES_MAX) {
  throw new Error(`the first load is ${firstLoad} bytes, more than ${FIRST_LOAD_BYTES_MAX}`);
}
rmSync(join(here, "bundle"), { recursive: true, force: true });
mkdirSync(join(here, "bundle"));
writeFileSync(join(here, "bundle/files.json"), JSON.stringify(files));
console.log(`the console's first load is ${firstLoad} bytes`);
