/** A terminal that keeps what is written and reads from a text. */
import type { Terminal } from "../../src/cli/terminal.ts";

export class MemoryTerminal implements Terminal {
  written = { out: "", err: "" };
  readonly outIsTerminal: boolean;
  readonly errIsTerminal = false;
  readonly inIsTerminal = false;
  #unread: string;

  constructor(input = "", options: { readonly isTerminal?: boolean } = {}) {
    this.#unread = input;
    this.outIsTerminal = options.isTerminal ?? false;
  }

  out(text: string): void {
    this.written.out += text;
  }
  err(text: string): void {
    this.written.err += text;
  }
  readAll(): Promise<Buffer> {
    const all = Buffer.from(this.#unread);
    this.#unread = "";
    return Promise.resolve(all);
  }
  readLine(): Promise<string> {
    const [line = "", ...rest] = this.#unread.split("\n");
    this.#unread = rest.join("\n");
    return Promise.resolve(line);
  }
  async readSecret(prompt: string): Promise<string> {
    this.out(prompt);
    const line = await this.readLine();
    this.out("\n");
    return line.trim();
  }
  endOnInterrupt(): void {
    // Nobody interrupts this terminal.
  }
}
