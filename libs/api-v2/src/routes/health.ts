/**
 * /health as the original has it, and /livez and /readyz for orchestrators. How health is judged
 * is the server's affair.
 */
import { Router, type Request, type Response } from "express";
import { byMethod } from "../allow.ts";
import { answer, answerText } from "../answer.ts";
import { toByteString } from "../byte-string.ts";
import { targetOf } from "../front-door.ts";
import type { EtcdServer, HealthReport } from "../ports.ts";

const TEXT = ["Content-Type", "text/plain; charset=utf-8"];

/** The routes /health, /livez and /readyz. */
export function createHealthRouter(server: EtcdServer): Router {
  const router = Router({ strict: true, caseSensitive: true });
  router.all(
    "/health",
    byMethod("GET", {
      GET: async (_req, res) => {
        const { healthy } = await server.health();
        if (healthy) answer(res, 200, [...TEXT], '{"health": "true"}');
        else answerText(res, 503, '{"health": "false"}\n');
      },
    }),
  );
  // A process that answers is alive; whether it can serve is the question of /readyz.
  router.all(
    "/livez",
    probe("livez", () => Promise.resolve({ healthy: true, reason: "" })),
  );
  router.all(
    "/readyz",
    probe("readyz", () => server.health()),
  );
  return router;
}

function probe(name: string, judge: () => Promise<HealthReport>): ReturnType<typeof byMethod> {
  async function answerProbe(req: Request, res: Response): Promise<void> {
    const { healthy, reason } = await judge();
    const verbose = new URLSearchParams(targetOf(req).query).has("verbose");
    const line = healthy ? `[+]${name} ok` : `[-]${name} failed: ${toByteString(reason)}`;
    const verdict = healthy ? "ok\n" : `${name} check failed\n`;
    answer(
      res,
      healthy ? 200 : 503,
      [...TEXT],
      verbose || !healthy ? `${line}\n${verdict}` : verdict,
    );
  }
  return byMethod("GET,HEAD", { GET: answerProbe, HEAD: answerProbe });
}
