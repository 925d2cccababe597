/**
 * The thread that computes bcrypt: one job after another, as messages. It is an entry point of
 * its own and knows nothing of queues, users or what a failure means.
 */
import { parentPort } from "node:worker_threads";

import { compareSync, hashSync } from "bcryptjs";
import { messageOf } from "../base/message-of.ts";

/** What the thread is asked. */
export type PasswordJob =
  | { readonly kind: "hash"; readonly password: Uint8Array; readonly cost: number }
  | { readonly kind: "verify"; readonly password: Uint8Array; readonly hash: string };

/** What it answers, in the order of the jobs. */
export type PasswordResult =
  | { readonly ok: true; readonly value: string | boolean }
  | { readonly ok: false; readonly error: string };

const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

function compute(job: PasswordJob): string | boolean {
  // A password comes out of a JSON document, where bytes that are no UTF-8 become U+FFFD.
  if (job.kind === "hash") return hashSync(lenient.decode(job.password), job.cost);
  // So a password that is no UTF-8 cannot be right; it takes the same time to say so.
  let text: string;
  let isText = true;
  try {
    text = strict.decode(job.password);
  } catch {
    text = lenient.decode(job.password);
    isText = false;
  }
  return compareSync(text, job.hash) && isText;
}

parentPort?.on("message", (job: PasswordJob) => {
  let result: PasswordResult;
  try {
    result = { ok: true, value: compute(job) };
  } catch (error) {
    result = { ok: false, error: messageOf(error) };
  }
  parentPort?.postMessage(result);
});

// What the first job needs is compiled before it comes.
compareSync("", hashSync("", 4));
