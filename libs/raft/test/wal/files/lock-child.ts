/**
 * A process that opens the log named on its command line, says so, and holds it until its standard
 * input ends. With "--create" it creates it.
 */
import { Wal } from "../../../src/wal/wal.ts";
import { METADATA } from "../metadata.ts";

const [directory = "", mode] = process.argv.slice(2);
try {
  const wal =
    mode === "--create"
      ? await Wal.create(directory, { metadata: METADATA })
      : (await Wal.open(directory)).wal;
  console.log(`open ${process.pid}`);
  process.stdin.resume();
  process.stdin.on("end", () => {
    void wal.close().then(() => process.exit(0));
  });
} catch (error) {
  console.log(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
