/** /v2/stats: what the server counts, as etcd 2.3.8 shows it. Counts nothing itself. */
import { Router } from "express";
import { STATS_FIELDS, type ByteString } from "@etcd2/store";
import { byMethod } from "../http/method-router.ts";
import { answerJson, answerMessage } from "../http/answer.ts";
import { jsonValue } from "../json/json-text.ts";
import type { EtcdServer, SelfStats } from "../ports/ports.ts";

/** Routes below /v2/stats. */
export function createStatsRouter(server: EtcdServer): Router {
  const router = Router({ strict: true, caseSensitive: true });
  router.all(
    "/self",
    byMethod("GET", {
      GET: (_req, res) => {
        answerJson(res, 200, selfStats(server.selfStats()));
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
        if (stats === undefined) answerMessage(res, 403, "not current leader");
        else answerJson(res, 200, jsonValue(stats));
      },
    }),
  );
  return router;
}

/** Counters in etcd 2.3.8's order, then the live watchers. */
function storeStats({ reader, hub }: EtcdServer): string {
  const { stats } = reader;
  const counters = STATS_FIELDS.map((name) => `"${name}":${stats[name]}`);
  return `{${counters.join(",")},"watchers":${hub.watchers}}`;
}

/** Fields in etcd 2.3.8's order; rates are left out when there are none. */
function selfStats(stats: SelfStats): ByteString {
  const { leader, uptime, startTime } = stats.leaderInfo;
  return jsonValue({
    name: stats.name,
    id: stats.id,
    state: stats.state,
    startTime: stats.startTime,
    leaderInfo: { leader, uptime, startTime },
    recvAppendRequestCnt: stats.recvAppendRequestCnt,
    recvPkgRate: shownRate(stats.recvPkgRate),
    recvBandwidthRate: shownRate(stats.recvBandwidthRate),
    sendAppendRequestCnt: stats.sendAppendRequestCnt,
    sendPkgRate: shownRate(stats.sendPkgRate),
    sendBandwidthRate: shownRate(stats.sendBandwidthRate),
  });
}

/** etcd 2.3.8 breaks down over infinite rates; ours are not shown. */
function shownRate(rate: number | undefined): number | undefined {
  return rate !== undefined && rate !== 0 && Number.isFinite(rate) ? rate : undefined;
}
