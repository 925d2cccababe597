/**
 * /health as etcd 2.3.8 has it, and /livez and /readyz for orchestrators. How health is judged
 * is the server's affair.
 */
import { Router, type Request, type Response } from "express";
import { byMethod } from "../http/method-router.ts";
import { answer, answerText } from "../http/answer.ts";
import { toByteString } from "@etcd2/store";
import { targetOf } from "../http/front-door.ts";
import type { EtcdServer, HealthCheck } from "../ports/ports.ts";

const TEXT = ["Content-Type", "text/plain; charset=utf-8"];

/**
 * A member without room for writes serves reads, and must be reached by the deletes that make room:
 * this check is shown by the probes and never fails them.
 */
const SPACE = "space";

/** What etcd 3.x calls that alarm in `exclude`. */
const SPACE_ALARM = "NOSPACE";

/** The routes /health, /livez and /readyz. */
export function createHealthRouter(server: EtcdServer): Router {
  const router = Router({ strict: true, caseSensitive: true });
  router.all(
    "/health",
    byMethod("GET", {
      GET: async (req, res) => {
        const query = queryOf(req);
        const { checks } = await server.health(isLocal(query));
        const counted = query.getAll("exclude").includes(SPACE_ALARM)
          ? without(checks, SPACE)
          : checks;
        if (counted.every(({ reason }) => reason === ""))
          answer(res, 200, [...TEXT], '{"health": "true"}');
        else answerText(res, 503, `{"health": "false"${reasonMember(counted)}}\n`);
      },
    }),
  );
  // A process that answers is alive; whether it can serve is the question of /readyz.
  router.all(
    "/livez",
    probe("livez", () => Promise.resolve([{ name: "process", reason: "" }])),
  );
  router.all(
    "/readyz",
    probe("readyz", async (query) => (await server.health(isLocal(query))).checks),
  );
  return router;
}

function queryOf(req: Request): URLSearchParams {
  return new URLSearchParams(targetOf(req).query);
}

/** `serializable=true`, of etcd 3.x: only this member is asked about, not its cluster. */
function isLocal(query: URLSearchParams): boolean {
  return query.get("serializable") === "true";
}

function without(checks: readonly HealthCheck[], name: string): readonly HealthCheck[] {
  return checks.filter((check) => check.name !== name);
}

/**
 * etcd 2.3.8 has no alarms; what it does say of a lack of leader or quorum stays as it is.
 */
function reasonMember(checks: readonly HealthCheck[]): string {
  const space = checks.find(({ name }) => name === SPACE)?.reason ?? "";
  return space === "" ? "" : `, "reason": ${toByteString(JSON.stringify(space))}`;
}

/** The verdict over all checks but those left out by `exclude`; each of them with `verbose`. */
function probe(
  name: string,
  judge: (query: URLSearchParams) => Promise<readonly HealthCheck[]>,
): ReturnType<typeof byMethod> {
  async function answerProbe(req: Request, res: Response): Promise<void> {
    const query = queryOf(req);
    const excluded = new Set([SPACE, ...query.getAll("exclude")]);
    const lines: string[] = [];
    let healthy = true;
    for (const { name: check, reason } of await judge(query)) {
      const isExcluded = excluded.has(check);
      const verdict = isExcluded ? "excluded" : "failed";
      lines.push(
        reason === "" ? `[+]${check} ok` : `[-]${check} ${verdict}: ${toByteString(reason)}`,
      );
      healthy &&= reason === "" || isExcluded;
    }
    lines.push(healthy ? "ok" : `${name} check failed`);
    const shown = query.has("verbose") || !healthy ? lines : lines.slice(-1);
    answer(res, healthy ? 200 : 503, [...TEXT], `${shown.join("\n")}\n`);
  }
  return byMethod("GET,HEAD", { GET: answerProbe, HEAD: answerProbe });
}
