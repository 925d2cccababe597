// Typed lint, the purity of the cores, and the import direction between packages. The boundaries
// are read from each package.json, so the import rule, the task graph and the compiler graph
// cannot drift apart.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

const root = import.meta.dirname;
// A project may depend on earlier layers only.
const layers = [
  "layer:test-support",
  "layer:checker",
  "layer:net-url",
  "layer:observability",
  "layer:completion",
  "layer:client",
  "layer:proto",
  "layer:raft",
  "layer:store",
  "layer:member-dir",
  "layer:api",
  "layer:app",
];
const projects = [
  "proto",
  "tools",
  ...["libs", "apps"].flatMap((d) => readdirSync(join(root, d)).map((n) => `${d}/${n}`)),
]
  .filter((dir) => existsSync(join(root, dir, "package.json")))
  .map((dir) => ({ dir, ...JSON.parse(readFileSync(join(root, dir, "package.json"), "utf8")) }));
const layerOf = new Map(projects.map((p) => [p.name, layers.indexOf(p.nx.tags[0])]));

const testOnly = ["@etcd2/test-support", "@etcd2/checker"];
const boundaries = projects.map(({ name, dir, dependencies = {}, devDependencies = {} }) => {
  if (testOnly.some((name) => name in dependencies))
    throw new Error(`${name}: tests alone may use it`);
  const declared = Object.keys({ ...dependencies, ...devDependencies }).filter((d) =>
    layerOf.has(d),
  );
  const wrong = declared.find((d) => layerOf.get(d) >= layerOf.get(name));
  if (wrong) throw new Error(`${name} must not depend on ${wrong}: wrong layer direction`);
  const allowed = declared.map((d) => d.slice("@etcd2/".length)).join("|");
  const others = declared.length ? `^@etcd2/(?!(?:${allowed})(?:/|$))` : "^@etcd2/";
  return {
    files: [`${dir}/**/*.ts`],
    rules: {
      "no-restricted-imports": [
        "error",
        {
          patterns: [
            { regex: others, message: `declare it in ${dir}/package.json first` },
            {
              // Also a neighbour in the same folder, such as ../../store/src/index.ts.
              regex: "^(?:\\.\\./)+(?:(?:proto|libs|apps)/|[^./][^/]*/(?:src|gen|dist|test)/)",
              message: "import another project by its package name",
            },
          ],
        },
      ],
    },
  };
});

const pureCore = {
  files: ["libs/raft/src/core/**/*.ts", "libs/store/src/tree/**/*.ts"],
  rules: {
    "no-restricted-globals": [
      "error",
      ...["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "process"],
      ...["performance", "console", "Date", "fetch", "crypto"],
    ],
    "no-restricted-properties": [
      "error",
      { object: "Math", property: "random", message: "take randomness from the injected Random" },
    ],
    "no-restricted-syntax": [
      "error",
      {
        selector: "ImportDeclaration[source.value=/^node:/]",
        message: "the core does no I/O",
      },
      { selector: "AwaitExpression, :function[async=true]", message: "the core is synchronous" },
    ],
  },
};

// The same client runs in pages: Node comes in through its transport alone.
const browserSafe = {
  files: ["libs/client/src/**/*.ts"],
  ignores: ["libs/client/src/node/**"],
  rules: {
    "no-restricted-globals": ["error", "Buffer", "process", "setImmediate", "require"],
    "no-restricted-syntax": [
      "error",
      {
        selector: "ImportDeclaration[source.value=/^node:/]",
        message: "the core of the client runs in browsers too",
      },
    ],
  },
};

export default defineConfig(
  { ignores: ["**/dist/**", "**/gen/**", "**/bundle/**", "**/*.mjs", "**/*.js"] },
  {
    files: ["**/*.ts", "**/*.tsx"],
    extends: [tseslint.configs.strictTypeChecked],
    linterOptions: { reportUnusedDisableDirectives: "error" },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: root } },
    rules: {
      "max-lines": ["error", { max: 600, skipBlankLines: true, skipComments: true }],
      "max-lines-per-function": ["error", { max: 70, skipBlankLines: true, skipComments: true }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/explicit-module-boundary-types": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
  {
    // Most lines of a component are markup.
    files: ["**/*.tsx"],
    rules: {
      "max-lines-per-function": ["error", { max: 140, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    files: ["**/test/**/*.ts"],
    rules: {
      "max-lines-per-function": "off",
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            { from: "package", name: ["test", "describe", "it"], package: "node:test" },
          ],
        },
      ],
    },
  },
  ...boundaries,
  pureCore,
  browserSafe,
);
