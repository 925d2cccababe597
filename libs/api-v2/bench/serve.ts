/**
 * Serves the gateway over the fake server of the tests, for checks and profiles of the gateway
 * alone: node --conditions=etcd2-source bench/serve.ts [port] [history size]
 */
import { startFakeServer } from "../test/fake-server.ts";

const [port = "22379", historyMax = "1000"] = process.argv.slice(2);
const { baseUrl } = await startFakeServer({
  port: Number(port),
  historyMax: Number(historyMax),
  pprof: true,
});
console.log(`serving ${baseUrl}`);
