/** /v2/stats: what the server counts, as the original shows it. Counts nothing itself. */
import { Router } from "express";
import { byMethod } from "../allow.ts";
import { answerJson } from "../answer.ts";
import { toByteString } from "../byte-string.ts";
import type { EtcdServer } from "../ports.ts";

/** Routes below /v2/stats. */
export function createStatsRouter(server: EtcdServer): Router {
  const router = Router({ strict: true, caseSensitive: true });
  router.all(
    "/self",
    byMethod("GET", {
      GET: (_req, res) => {
        answerJson(res, 200, toByteString(JSON.stringify(server.selfStats())));
      },
    }),
  );
  router.all(
    "/store",
    byMethod("GET", {
      GET: (_req, res) => {
        answerJson(res, 200, storeStats(server));
      },
    }),
  );
  router.all(
    "/leader",
    byMethod("GET", {
      GET: (_req, res) => {
        const stats = server.leaderStats();
        if (stats === undefined) answerJson(res, 403, '{"message":"not current leader"}');
        else answerJson(res, 200, toByteString(JSON.stringify(stats)));
      },
    }),
  );
  return router;
}

const STORE_COUNTERS = [
  "getsSuccess",
  "getsFail",
  "setsSuccess",
  "setsFail",
  "deleteSuccess",
  "deleteFail",
  "updateSuccess",
  "updateFail",
  "createSuccess",
  "createFail",
  "compareAndSwapSuccess",
  "compareAndSwapFail",
  "compareAndDeleteSuccess",
  "compareAndDeleteFail",
  "expireCount",
] as const;

/** Counters in the original's order, then the live watchers. */
function storeStats({ reader, hub }: EtcdServer): string {
  const { stats } = reader;
  const counters = STORE_COUNTERS.map((name) => `"${name}":${stats[name]}`);
  return `{${counters.join(",")},"watchers":${hub.watchers}}`;
}
