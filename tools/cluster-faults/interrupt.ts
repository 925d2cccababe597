/**
 * What a hunt leaves behind when it is told to end: nothing. Owns the signals of the process and the
 * steps that undo what was made; they run once, last first, also when one of them fails.
 */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

const steps = new Set<() => void>();
let isListening = false;

function undoAll(): void {
  for (const step of [...steps].reverse()) {
    try {
      step();
    } catch (error) {
      console.error(String(error));
    }
  }
  steps.clear();
}

/** Runs `step` if a signal ends the process. @returns A function that forgets the step. */
export function onInterrupt(step: () => void): () => void {
  if (!isListening) {
    isListening = true;
    for (const [signal, number] of Object.entries(SIGNALS)) {
      process.once(signal, () => {
        undoAll();
        console.error(`ended by ${signal}: no verdict`);
        process.exit(128 + number);
      });
    }
  }
  steps.add(step);
  return () => {
    steps.delete(step);
  };
}
