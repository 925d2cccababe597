/**
 * Standard input, output and error of the program. Writing is synchronous, so nothing is lost when
 * the program ends; a reader that has gone away ends it quietly. Nothing here knows what is written.
 */
import { writeSync } from "node:fs";
import { isatty } from "node:tty";
import { exitCodes } from "../errors/exit-codes.ts";
import { messageOf } from "../errors/errors.ts";

/** The status a shell shows for a program that a closed pipe has ended. */
const brokenPipeStatus = 141;

export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  readonly outIsTerminal: boolean;
  readonly errIsTerminal: boolean;
  readonly inIsTerminal: boolean;
  /** Everything that is left of standard input. */
  readAll(): Promise<Buffer>;
  /** One line of standard input, without the newline; what follows it stays unread. */
  readLine(): Promise<string>;
  /** Prints the prompt and reads a line without showing what is typed. */
  readSecret(prompt: string): Promise<string>;
  /** From now on SIGINT is the way to end the command: status 0. */
  endOnInterrupt(): void;
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}

const pauseCell = new Int32Array(new SharedArrayBuffer(4));

/** Ends the program because what it has to say cannot be written, as to a full disk. */
function endUnwritable(fd: number, error: unknown): never {
  const reason = messageOf(error);
  if (fd !== 2) writeFully(2, `cannot write the output: ${reason}\n`);
  process.exit(exitCodes.badArguments);
}

function writeFully(fd: number, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if (isErrno(error, "EPIPE")) process.exit(brokenPipeStatus);
      // The other end was made non-blocking by someone who shares it; wait until it drains.
      if (!isErrno(error, "EAGAIN")) endUnwritable(fd, error);
      Atomics.wait(pauseCell, 0, 0, 1);
    }
  }
}

/** The real standard streams. Standard input is opened only when something is read from it. */
export class ProcessTerminal implements Terminal {
  #unread: Buffer | undefined;

  out(text: string): void {
    writeFully(1, text);
  }
  err(text: string): void {
    writeFully(2, text);
  }
  get outIsTerminal(): boolean {
    return isatty(1);
  }
  get errIsTerminal(): boolean {
    return isatty(2);
  }
  get inIsTerminal(): boolean {
    return isatty(0);
  }

  async readAll(): Promise<Buffer> {
    const chunks: Buffer[] = this.#unread === undefined ? [] : [this.#unread];
    this.#unread = undefined;
    if ("ref" in process.stdin) process.stdin.ref();
    for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array));
    return Buffer.concat(chunks);
  }

  async readLine(): Promise<string> {
    let collected = this.#unread ?? Buffer.alloc(0);
    let end = collected.indexOf(10);
    while (end < 0) {
      const chunk = await nextChunk();
      if (chunk === undefined) break;
      collected = Buffer.concat([collected, chunk]);
      end = collected.indexOf(10);
    }
    this.#unread = end < 0 ? undefined : collected.subarray(end + 1);
    return (end < 0 ? collected : collected.subarray(0, end)).toString("utf8");
  }

  endOnInterrupt(): void {
    // Output is written synchronously, so ending at once loses none.
    process.on("SIGINT", () => {
      process.exit(exitCodes.success);
    });
  }

  async readSecret(prompt: string): Promise<string> {
    if (!this.inIsTerminal) {
      this.out(prompt);
      const line = await this.readLine();
      this.out("\n");
      return line.trim();
    }
    const { readHidden } = await import("./hidden-input.ts");
    return readHidden(prompt, (text) => {
      this.out(text);
    });
  }
}

/** The next piece of standard input, undefined at its end; the stream stays usable afterwards. */
function nextChunk(): Promise<Buffer | undefined> {
  const { stdin } = process;
  return new Promise((resolve, reject) => {
    const done = (chunk: Buffer | undefined): void => {
      stdin.pause();
      // A pipe that stays open must not keep the program from ending.
      if ("unref" in stdin) stdin.unref();
      stdin.off("data", done);
      stdin.off("end", ended);
      stdin.off("error", reject);
      resolve(chunk);
    };
    const ended = (): void => {
      done(undefined);
    };
    if (stdin.readableEnded) {
      resolve(undefined);
      return;
    }
    stdin.on("data", done);
    stdin.on("end", ended);
    stdin.on("error", reject);
    if ("ref" in stdin) stdin.ref();
    stdin.resume();
  });
}
