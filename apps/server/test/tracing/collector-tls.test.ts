/** Traces on their way to a collector that wants TLS, from real server processes. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ServerCredentials } from "@grpc/grpc-js";
import { until } from "@etcd2/test-support";
import { ask, program, ServerProcess } from "../single-member/server-process.ts";
import { Collector } from "./collector.ts";

const testCa = new URL("../../../../tools/test-ca.ts", import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), "etcd2-tracing-tls-"));
const file = (name: string): string => join(root, name);

function traced(address: string): readonly string[] {
  return [
    "--enable-distributed-tracing",
    ...["--distributed-tracing-address", address],
    ...["--distributed-tracing-sampling-rate", "1000000"],
  ];
}

describe("a collector that wants TLS", () => {
  let collector: Collector;

  before(async () => {
    execFileSync(process.execPath, [testCa, root, "server", "client-anna"]);
    collector = await Collector.start(
      ServerCredentials.createSsl(
        readFileSync(file("ca.pem")),
        [
          {
            private_key: readFileSync(file("server-key.pem")),
            cert_chain: readFileSync(file("server.pem")),
          },
        ],
        true,
      ),
    );
  });
  after(() => {
    collector.stop();
    rmSync(root, { recursive: true });
  });

  it("gets spans of a member that has the files of OpenTelemetry's variables", async () => {
    const server = await ServerProcess.start(traced(`https://${collector.address}`), {
      OTEL_EXPORTER_OTLP_CERTIFICATE: file("ca.pem"),
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: file("client-anna.pem"),
      OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: file("client-anna-key.pem"),
    });
    try {
      assert.match(server.log, /spans go to 127\.0\.0\.1:\d+ by TLS;/);
      await ask("PUT", `${server.clientUrl}/v2/keys/a`, "value=x");
      await until("five spans", () => collector.spans.length >= 5);
    } finally {
      await server.dispose();
    }
  });

  it("gets none of a member that does not know its authority, which serves and says why", async () => {
    const known = collector.spans.length;
    const server = await ServerProcess.start(traced(`https://${collector.address}`));
    try {
      await until("a complaint", async () => {
        assert.ok((await ask("PUT", `${server.clientUrl}/v2/keys/a`, "value=x")).status < 300);
        return /cannot send traces to 127\.0\.0\.1:\d+: .*certificate/.test(server.log);
      });
      assert.equal(collector.spans.length, known);
    } finally {
      await server.dispose();
    }
  });

  it("is not dialled with files that cannot be used: one line, status 1, no data directory", () => {
    writeFileSync(file("no.pem"), "nothing");
    const cases: readonly (readonly [Record<string, string>, RegExp])[] = [
      [
        { OTEL_EXPORTER_OTLP_CERTIFICATE: file("missing.pem") },
        /cannot read CA file .*missing\.pem: no such file or directory/,
      ],
      [
        { OTEL_EXPORTER_OTLP_CERTIFICATE: file("no.pem") },
        /CA file .*no\.pem holds no PEM certificate/,
      ],
      [
        { OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: file("client-anna.pem") },
        /OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY must both be set/,
      ],
    ];
    for (const [variables, expected] of cases) {
      const flags = ["--data-dir", file("data"), ...traced("https://localhost:4317")];
      const urls = ["--listen-client-urls", "http://127.0.0.1:0", "--advertise-client-urls"];
      const { status, stderr } = spawnSync(
        program,
        [...flags, ...urls, "http://127.0.0.1:1", "--listen-peer-urls", "http://127.0.0.1:0"],
        { env: { ...process.env, ...variables }, encoding: "utf8", timeout: 20_000 },
      );
      assert.equal(status, 1);
      assert.match(stderr, expected);
      assert.ok(!existsSync(file("data")), "nothing was begun");
    }
  });
});
