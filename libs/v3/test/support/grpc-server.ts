/** A scripted gRPC server over node:http2: each test says what becomes of a call. */
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";

export interface ScriptedCall {
  readonly path: string;
  readonly authority: string;
  readonly token: string | undefined;
  readonly stream: ServerHttp2Stream;
  /** Answers with one message and status 0. */
  answer(message: Uint8Array): void;
  /** Answers with a status and no message. */
  refuse(status: number, message: string): void;
}

export class GrpcServer {
  readonly endpoint: string;
  readonly calls: ScriptedCall[] = [];
  readonly #server: Http2Server;

  private constructor(server: Http2Server) {
    this.#server = server;
    const { port } = server.address() as AddressInfo;
    this.endpoint = `http://127.0.0.1:${port}`;
  }

  static async start(onCall: (call: ScriptedCall) => void): Promise<GrpcServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const started = new GrpcServer(server);
    server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on("error", () => undefined);
      const token = headers["token"];
      const call: ScriptedCall = {
        path: headers[":path"] ?? "",
        authority: headers[":authority"] ?? "",
        token: typeof token === "string" ? token : undefined,
        stream,
        answer: (message) => {
          stream.respond({ "content-type": "application/grpc" }, { waitForTrailers: true });
          stream.on("wantTrailers", () => {
            stream.sendTrailers({ "grpc-status": "0" });
          });
          const prefix = Buffer.alloc(5);
          prefix.writeUInt32BE(message.length, 1);
          stream.end(Buffer.concat([prefix, message]));
        },
        refuse: (status, message) => {
          stream.respond(
            {
              "content-type": "application/grpc",
              "grpc-status": String(status),
              "grpc-message": encodeURIComponent(message),
            },
            { endStream: true },
          );
        },
      };
      started.calls.push(call);
      onCall(call);
    });
    return started;
  }

  async close(): Promise<void> {
    for (const { stream } of this.calls) stream.session?.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
