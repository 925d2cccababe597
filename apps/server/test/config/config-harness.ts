/**
 * Configurations for tests: what a command line, variables and a file come to, without touching
 * the process or the disk.
 */
import assert from "node:assert/strict";

import type { ConfigOutcome } from "../../src/config/config.ts";
import type { ServerConfig } from "../../src/config/server-config.ts";
import { parseConfig } from "../../src/config/config.ts";

export type Env = Record<string, string>;

export function parse(
  args: string | readonly string[],
  env: Env = {},
  file?: string,
): Promise<ConfigOutcome> {
  const argv = typeof args === "string" ? args.split(" ").filter((arg) => arg !== "") : args;
  return parseConfig(argv, env, (path) => {
    if (file === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`);
    return file;
  });
}

export async function run(
  args: string | readonly string[],
  env: Env = {},
  file?: string,
): Promise<ServerConfig> {
  const outcome = await parse(args, env, file);
  return outcome.kind === "run" ? outcome.config : assert.fail(JSON.stringify(outcome));
}

export async function exit(
  args: string | readonly string[],
  env: Env = {},
  file?: string,
): Promise<ConfigOutcome & { kind: "exit" }> {
  const outcome = await parse(args, env, file);
  return outcome.kind === "exit" ? outcome : assert.fail("expected an exit");
}

export async function lines(
  args: string | readonly string[],
  env: Env = {},
  file?: string,
): Promise<readonly string[]> {
  const { notices } = await parse(args, env, file);
  return notices.map(({ level, pkg, message }) => `${level} ${pkg}: ${message}`);
}

/** The one error line of settings that contradict each other, with status 1 and nothing on the streams. */
export async function refusal(
  args: string | readonly string[],
  env: Env = {},
  file?: string,
): Promise<readonly string[]> {
  return complaint(await exit(args, env, file), 1);
}

/** The one error line of a bad variable or file, with status 2, as for a bad flag. */
export async function badSetting(
  args: string,
  env: Env,
  file?: string,
): Promise<readonly string[]> {
  return complaint(await exit(args, env, file), 2);
}

function complaint(outcome: Awaited<ReturnType<typeof exit>>, status: number): readonly string[] {
  assert.deepEqual([outcome.status, outcome.stdout, outcome.stderr], [status, "", ""]);
  return outcome.notices.filter(({ pkg }) => pkg === "etcdmain").map(({ message }) => message);
}
