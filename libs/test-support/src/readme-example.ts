/** Runs the example of a package's README as it stands there. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface ExampleOutcome {
  /** What the example's comment behind `console.log(...);` says that it prints; "" without one. */
  readonly promised: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

/**
 * Takes the first example in TypeScript of `folder`/README.md.
 * @param folder The folder of the package, from which the example finds packages.
 */
export function runReadmeExample(folder: string): ExampleOutcome {
  const readme = readFileSync(join(folder, "README.md"), "utf8");
  const input = /```ts\n(.*?)```/s.exec(readme)?.[1] ?? "";
  const promised = /console\.log\(.*\); \/\/ (.*)/.exec(input)?.[1] ?? "";
  // A program on standard input finds packages from the working directory.
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--conditions=etcd2-source", "--input-type=module-typescript", "-"],
    {
      cwd: folder,
      input,
      encoding: "utf8",
      timeout: 60_000,
      // Whoever runs the tests may ask for colours.
      env: { ...process.env, FORCE_COLOR: "0", NODE_DISABLE_COLORS: "1" },
    },
  );
  return { promised, stdout, stderr, status };
}
