/**
 * /debug/pprof, with --enable-pprof only: profiles of this process in the formats of its runtime
 * (.cpuprofile and .heapsnapshot, which browsers' developer tools open).
 */
import { Session } from "node:inspector/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { getHeapSnapshot } from "node:v8";
import { Router, type Request, type RequestHandler, type Response } from "express";
import { byMethod } from "../http/method-router.ts";
import { answer, answerText, answerJson } from "../http/answer.ts";
import { targetOf } from "../http/front-door.ts";
import { PROFILE_SECONDS_MAX } from "../ports/limits.ts";
import { toByteString } from "@etcd2/store";

const PREFIX = "/debug/pprof";
const PROFILE_SECONDS_DEFAULT = 30;
const TEXT = ["Content-Type", "text/plain; charset=utf-8"];

/** Routes at and below /debug/pprof. */
export function createPprofRouter(): Router {
  const router = Router({ strict: true, caseSensitive: true });
  router.all(
    [PREFIX, `${PREFIX}/`],
    get((_req, res) => {
      const names = ["cmdline", "heap", "profile?seconds=30"];
      answer(res, 200, [...TEXT], names.map((name) => `${PREFIX}/${name}\n`).join(""));
    }),
  );
  router.all(
    `${PREFIX}/cmdline`,
    get((_req, res) => {
      answer(res, 200, [...TEXT], toByteString(process.argv.join("\0")));
    }),
  );
  router.all(
    `${PREFIX}/heap`,
    get((_req, res) => {
      res.writeHead(200, ["Content-Type", "application/octet-stream"]);
      getHeapSnapshot().pipe(res);
    }),
  );
  router.all(`${PREFIX}/profile`, get(answerProfile));
  return router;
}

function get(handler: (req: Request, res: Response) => void | Promise<void>): RequestHandler {
  return byMethod("GET,HEAD", { GET: handler, HEAD: handler });
}

let isProfiling = false;

async function answerProfile(req: Request, res: Response): Promise<void> {
  const given = new URLSearchParams(targetOf(req).query).get("seconds");
  const seconds = given === null ? PROFILE_SECONDS_DEFAULT : Number(given);
  if (!(seconds > 0 && seconds <= PROFILE_SECONDS_MAX)) {
    answerText(res, 400, `seconds must be between 0 and ${PROFILE_SECONDS_MAX}\n`);
    return;
  }
  if (isProfiling) {
    answerText(res, 503, "a profile is being taken already\n");
    return;
  }
  isProfiling = true;
  const session = new Session();
  try {
    session.connect();
    await session.post("Profiler.enable");
    await session.post("Profiler.start");
    await sleep(seconds * 1000);
    const { profile } = await session.post("Profiler.stop");
    answerJson(res, 200, toByteString(JSON.stringify(profile)));
  } finally {
    session.disconnect();
    isProfiling = false;
  }
}
