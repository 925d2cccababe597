/**
 * The gateway put together: the front door, which serves the keys itself, and behind it an Express
 * application whose routers serve one area each. Holds no logic of its own.
 */
import type { RequestListener } from "node:http";
import express, { type Request, type Response } from "express";
import { answerMessage, answerNotFound } from "./http/answer.ts";
import { Access } from "./auth/access.ts";
import { AuthAdmin } from "./auth/auth-admin.ts";
import { AuthStore } from "./auth/auth-store.ts";
import { createGuard } from "./auth/guard.ts";
import { PasswordChecks } from "./auth/password-checks.ts";
import { receiveBody } from "./http/body-limit.ts";
import { answerUnexpected, createErrorHandler } from "./http/error-handler.ts";
import { createFrontDoor, targetOf } from "./http/front-door.ts";
import { useGatewayMessages } from "./http/http-messages.ts";
import { toByteString } from "@etcd2/store";
import type { EtcdServer, GatewayOptions, KeysServer } from "./ports/ports.ts";
import { createAdminRouter } from "./routes/admin.ts";
import { createAuthRouter } from "./routes/auth.ts";
import { createConsoleRouter } from "./routes/console.ts";
import { createDebugRouter } from "./routes/debug.ts";
import { createHealthRouter } from "./routes/health.ts";
import { KeysHandler } from "./keys/keys-handler.ts";
import { createMachinesRouter } from "./routes/machines.ts";
import { createMembersRouter } from "./routes/members.ts";
import { createPprofRouter } from "./routes/pprof.ts";
import { createStatsRouter } from "./routes/stats.ts";
import { createVersionRouter } from "./routes/version.ts";
import { WatchBudget } from "./keys/watch-budget.ts";

function createWatchBudget({ meter }: KeysServer, options: GatewayOptions): WatchBudget {
  return new WatchBudget(meter, {
    watchesMax: options.watchesMax ?? 0,
    bytesMax: options.watchBytesMax,
    stallMs: options.watchStallMs,
    gauge: options.watchGauge,
  });
}

/**
 * Makes the request handler of a thread that serves the keys alone.
 * @param forward serves all other requests, each as it came.
 */
export function createKeysApp(
  server: KeysServer,
  options: GatewayOptions,
  forward: RequestListener,
): RequestListener {
  const access = new Access(new AuthStore(server), new PasswordChecks(server.passwords));
  const keys = new KeysHandler(server, access, createWatchBudget(server, options));
  const door = createFrontDoor(options, keys);
  return (req, res) => {
    const { url } = req;
    const goOn = (): void => {
      // Whoever serves it lets it in itself.
      if (url !== undefined) req.url = url;
      for (const name of res.getHeaderNames()) res.removeHeader(name);
      forward(req, res);
    };
    try {
      door(req as Request, res as Response, goOn);
    } catch (error) {
      answerUnexpected(server, req, res, error);
    }
  };
}

/** Makes the request handler of the client port. */
export function createApp(server: EtcdServer, options: GatewayOptions): RequestListener {
  const app = express();
  useGatewayMessages(app);
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", false);
  app.enable("strict routing");
  app.enable("case sensitive routing");
  const store = new AuthStore(server);
  const access = new Access(store, new PasswordChecks(server.passwords));
  const admin = new AuthAdmin(store, server.passwords);
  const budget = createWatchBudget(server, options);
  const isAdmin = access.isAdmin.bind(access);
  app.use(receiveBody);
  const { unavailable } = options;
  if (unavailable !== undefined) {
    app.use((req, res, next) => {
      const reason = unavailable(req.method, targetOf(req).path);
      if (reason === undefined) next();
      else answerMessage(res, 501, toByteString(reason));
    });
  }
  app.use(
    createGuard(access, {
      all: options.allNeedAuth === true,
      metrics: options.metricsNeedAuth === true,
    }),
  );
  app.use(createMembersRouter(server, isAdmin));
  app.use(createAdminRouter(server, isAdmin, options.stateHashes));
  app.use(createAuthRouter({ server, store, admin, isAdmin }));
  app.use(createMachinesRouter(server));
  app.use("/v2/stats", createStatsRouter(server));
  app.use(createVersionRouter(server));
  app.use(createHealthRouter(server));
  app.use(createDebugRouter(server));
  if (options.consoleData !== undefined) {
    const needsRoot = options.metricsNeedAuth === true || options.allNeedAuth === true;
    const mayAsk = needsRoot ? isAdmin : (): boolean => true;
    const data = options.consoleData;
    app.use(createConsoleRouter({ server, access, data, mayAsk }));
  }
  if (options.pprof) app.use(createPprofRouter());
  app.use((_req, res) => {
    answerNotFound(res);
  });
  app.use(createErrorHandler(server));
  const door = createFrontDoor(options, new KeysHandler(server, access, budget));
  return (req, res) => {
    const goOn = (): void => {
      app(req, res);
    };
    try {
      door(req as Request, res as Response, goOn);
    } catch (error) {
      answerUnexpected(server, req, res, error);
    }
  };
}
