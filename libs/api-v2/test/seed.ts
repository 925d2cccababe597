/** The seed of random tests: printed, and taken from SEED to repeat a run. */
export const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
console.log(`SEED=${String(seed)}`);
