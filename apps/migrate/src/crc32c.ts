/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as etcd's write-ahead log and snapshots
 * use it. Eight tables let the loop take eight bytes a step.
 */

const POLYNOMIAL = 0x82f63b78;

const table = buildTables();

/** Table k (256 entries each, one after the other) advances a byte over k following zero bytes. */
function buildTables(): Uint32Array {
  const tables = new Uint32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let k = 1; k < 8; k++) {
    for (let byte = 0; byte < 256; byte++) {
      const before = tables[(k - 1) * 256 + byte] ?? 0;
      tables[k * 256 + byte] = (before >>> 8) ^ (tables[before & 255] ?? 0);
    }
  }
  return tables;
}

/** The checksum of everything summed up in `crc` so far followed by `data`; start with 0. */
export function crc32c(data: Uint8Array, crc = 0): number {
  const t = table;
  const end = data.length;
  let sum = ~crc;
  let i = 0;
  // Indexing stays inside both arrays, so the casts only tell the compiler what the bounds say.
  for (const last = end - 8; i <= last; i += 8) {
    const low =
      sum ^
      ((data[i] as number) |
        ((data[i + 1] as number) << 8) |
        ((data[i + 2] as number) << 16) |
        ((data[i + 3] as number) << 24));
    sum =
      (t[1792 + (low & 255)] as number) ^
      (t[1536 + ((low >>> 8) & 255)] as number) ^
      (t[1280 + ((low >>> 16) & 255)] as number) ^
      (t[1024 + (low >>> 24)] as number) ^
      (t[768 + (data[i + 4] as number)] as number) ^
      (t[512 + (data[i + 5] as number)] as number) ^
      (t[256 + (data[i + 6] as number)] as number) ^
      (t[data[i + 7] as number] as number);
  }
  for (; i < end; i++) sum = (sum >>> 8) ^ (t[(sum ^ (data[i] as number)) & 255] as number);
  return ~sum >>> 0;
}
