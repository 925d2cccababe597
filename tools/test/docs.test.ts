/**
 * The pages and the comments speak of what is there: links lead somewhere, and the files and numbered
 * sections that they name exist.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..", "..");
const skipped = new Set(["node_modules", "dist", "bundle", "gen"]);

/** All files below a directory. */
function files(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name) || entry.name.startsWith(".")) return [];
    const path = join(directory, entry.name);
    return entry.isDirectory() ? files(path) : [path];
  });
}

const all = files(root);
const pages = all.filter((path) => path.endsWith(".md"));
const sources = all.filter((path) => /\.(?:ts|mjs|js)$/.test(path));

/** The id that a heading gets, as the common renderers make it. */
function anchorOf(heading: string): string {
  const plain = heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "");
  return plain.trim().replaceAll(" ", "-");
}

/** The pages of the release's archive lie beside the folders that the archive has. */
function placeOf(page: string): string {
  const folder = dirname(page);
  return folder === join(root, "tools", "release", "papers") ? root : folder;
}

test("every link between the pages leads somewhere", () => {
  assert.ok(pages.length > 10);
  for (const page of pages) {
    for (const [, target = ""] of readFileSync(page, "utf8").matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = "", anchor] = target.split("#");
      const path = file === "" ? page : join(placeOf(page), file);
      const shown = `${relative(root, page)}: ${target}`;
      assert.ok(existsSync(path), shown);
      if (anchor === undefined) continue;
      const headings = [...readFileSync(path, "utf8").matchAll(/^#+ (.+)$/gm)];
      assert.ok(headings.map(([, text = ""]) => anchorOf(text)).includes(anchor), shown);
    }
  }
});

test("every decision has a number of its own, in its name and in its heading", () => {
  const folder = join(root, "docs", "decisions");
  const names = readdirSync(folder).filter((name) => name.endsWith(".md"));
  const numbers = names.map((name) => Number(/^(\d{4})-[a-z0-9-]+\.md$/.exec(name)?.[1]));
  assert.equal(new Set(numbers).size, names.length, names.join(" "));
  for (const [at, name] of names.entries()) {
    const heading = /^# (\d+)\. /.exec(readFileSync(join(folder, name), "utf8"));
    assert.equal(Number(heading?.[1]), numbers[at], `the heading of ${name}`);
  }
});

/** Pages that a text names with their folder, in a link or set in code. */
function pagesNamed(text: string): string[] {
  return [...text.matchAll(/(?<![\w/.-])(docs\/[\w./-]*\w)/g)].map(([, path = ""]) => path);
}

test("every page that the changelog sends its readers to exists", () => {
  const named = pagesNamed(readFileSync(join(root, "CHANGELOG.md"), "utf8"));
  assert.ok(named.length >= 3, named.join(" "));
  assert.deepEqual(
    named.filter((path) => !existsSync(join(root, path))),
    [],
  );
  assert.deepEqual(pagesNamed("See docs/a.md. Or `docs/b/c.md`, and [d](docs/d/)."), [
    "docs/a.md",
    "docs/b/c.md",
    "docs/d",
  ]);
});

/** Comments of a source, each in one line, without the stars and slashes that begin its lines. */
function comments(source: string): string[] {
  const pattern = /\/\*[\s\S]*?\*\/|^[ \t]*\/\/.*(?:\n[ \t]*\/\/.*)*/gm;
  return [...source.matchAll(pattern)].map(([text]) =>
    text.replace(/^[ \t]*(?:\/\*+|\*\/|\*|\/\/)/gm, " ").replace(/\s+/g, " "),
  );
}

/** What a page sets in code, and its sentences, where sections are named. */
function passages(path: string): string[] {
  const text = readFileSync(path, "utf8");
  return path.endsWith(".md") ? [text.replace(/\s+/g, " ")] : comments(text);
}

/** Names of files: any in a comment, those set in code in a page. */
function fileNames(path: string, passage: string): string[] {
  const names = path.endsWith(".md")
    ? [...passage.matchAll(/`((?:[\w.@-]+\/)*[\w.-]+\.(?:md|ts))`/g)]
    : [
        ...passage.matchAll(
          /(?<![\w./:@*{}<-])((?:\.{0,2}\/)?(?:[\w.@-]+\/)*[\w.-]+\.(?:md|ts))(?![\w/*-])/g,
        ),
      ];
  return names.map(([, name = ""]) => name);
}

/** Pages of gRPC, which has no other names for them. */
const elsewhere = new Set(["PROTOCOL-HTTP2.md", "statuscodes.md"]);

function exists(name: string): boolean {
  if (elsewhere.has(name)) return true;
  const end = name.replace(/^(?:\.{0,2}\/)+/, "");
  return all.some((path) => path === join(root, end) || path.endsWith(`/${end}`));
}

test("every file that a comment or a page names exists", () => {
  const missing: string[] = [];
  let count = 0;
  for (const path of [...sources, ...pages]) {
    for (const passage of passages(path)) {
      for (const name of fileNames(path, passage)) {
        count += 1;
        if (!exists(name)) missing.push(`${relative(root, path)}: ${name}`);
      }
    }
  }
  assert.ok(count > 100, `${String(count)} names found`);
  assert.deepEqual(missing, []);
});

/** Numbers of the sections of a page: those that its headings begin with. */
function sectionsOf(page: string): ReadonlySet<string> {
  const headings = readFileSync(page, "utf8").matchAll(/^#+ (\d+(?:\.\d+)*)\.? /gm);
  return new Set([...headings].map(([, number = ""]) => number));
}

test("every section of a page that a comment or a page names exists", () => {
  const missing: string[] = [];
  let count = 0;
  // `http-api.md §1, §5.3 and §4`; papers have no file names, and are not looked into.
  const pattern = /([\w-]+\.md)`? ((?:(?:, | and | to |, and )?§[\d.]*\d)+)/g;
  for (const path of [...sources, ...pages]) {
    for (const passage of passages(path)) {
      for (const [, name = "", list = ""] of passage.matchAll(pattern)) {
        const page = pages.find((each) => each.endsWith(`/${name}`));
        const sections = page === undefined ? new Set<string>() : sectionsOf(page);
        for (const [, section = ""] of list.matchAll(/§([\d.]*\d)/g)) {
          count += 1;
          if (!sections.has(section)) missing.push(`${relative(root, path)}: ${name} §${section}`);
        }
      }
    }
  }
  assert.ok(count >= 10, `${String(count)} sections named`);
  assert.deepEqual(missing, []);
});

test("what is looked for in comments is found in them", () => {
  const source = [
    "/** As `index.ts` and src/main.ts say. */ const no = 'none.ts';",
    "  // See etcdctl.md §1,",
    "  // §2 and §4.",
    "const x = 1; // https://example.com/e.ts",
  ].join("\n");
  const found = comments(source);
  assert.deepEqual(
    found.flatMap((passage) => fileNames("x.ts", passage)),
    ["index.ts", "src/main.ts", "etcdctl.md"],
  );
  assert.match(found[1] ?? "", /etcdctl\.md §1, §2 and §4\./);
});
