/**
 * Checksums of multipart objects from those of their parts, without reading a byte again.
 * FULL_OBJECT: crc(A‖B) = crc(A)·x^(8·|B|) + crc(B) in GF(2)[x] modulo the CRC's polynomial (init and xorout cancel).
 * COMPOSITE: the digest of the concatenated raw part digests, with `-N`.
 * Source: "Checking object integrity", S3 User Guide; M. Adler's crc32_combine for the idea.
 */
import { type ChecksumName, createHasher, DIGEST_BYTES } from './hasher.ts';

export type CrcName = Extract<ChecksumName, 'CRC32' | 'CRC32C' | 'CRC64NVME'>;

export interface PartChecksum {
  /** Base64, as the part's checksum header showed it. */
  readonly checksum: string;
  /** Bytes of the part. */
  readonly size: number;
}

/** A polynomial over GF(2), reflected: the highest bit of `high` (or of `low`, for 32 bits) is x^0. */
interface Polynomial {
  high: number;
  low: number;
}

interface Field {
  readonly bits: 32 | 64;
  readonly high: number;
  readonly low: number;
}

const FIELDS: Readonly<Record<CrcName, Field>> = {
  CRC32: { bits: 32, high: 0xedb88320, low: 0 },
  CRC32C: { bits: 32, high: 0x82f63b78, low: 0 },
  CRC64NVME: { bits: 64, high: 0x9a6c9329, low: 0xac4bc9b5 },
};

/** a·b modulo the field's polynomial. 32-bit fields live in `high` alone. */
function multiply(field: Field, a: Polynomial, b: Polynomial): Polynomial {
  let { high, low } = b;
  let outHigh = 0;
  let outLow = 0;
  for (let bit = 0; bit < field.bits; bit++) {
    const coefficient = bit < 32 ? (a.high >>> (31 - bit)) & 1 : (a.low >>> (63 - bit)) & 1;
    if (coefficient === 1) {
      outHigh ^= high;
      outLow ^= low;
    }
    const carry = field.bits === 64 ? low & 1 : high & 1;
    if (field.bits === 64) low = (low >>> 1) | ((high & 1) << 31);
    high >>>= 1;
    if (carry === 1) {
      high ^= field.high;
      low ^= field.low;
    }
  }
  return { high: outHigh >>> 0, low: outLow >>> 0 };
}

/** x^(8·bytes) modulo the polynomial, by squaring. */
function shiftBy(field: Field, bytes: number): Polynomial {
  let result: Polynomial = { high: 0x80000000, low: 0 };
  let square: Polynomial = { high: 0x00800000, low: 0 };
  for (let left = bytes; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = multiply(field, result, square);
    square = multiply(field, square, square);
  }
  return result;
}

function parse(name: CrcName, base64: string): Polynomial {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length !== DIGEST_BYTES[name]) throw new TypeError(`not a ${name} checksum`);
  return { high: bytes.readUInt32BE(0), low: bytes.length === 8 ? bytes.readUInt32BE(4) : 0 };
}

/**
 * The FULL_OBJECT checksum of the concatenated parts, base64.
 * @throws {TypeError} when a part's checksum has the wrong length.
 */
export function combineFullObject(name: CrcName, parts: Iterable<PartChecksum>): string {
  const field = FIELDS[name];
  let crc: Polynomial = { high: 0, low: 0 };
  // Parts are mostly of one size: remember its factor (10,000 parts: 10,000 instead of 400,000 multiplications).
  let factorSize = -1;
  let factor: Polynomial = { high: 0x80000000, low: 0 };
  for (const part of parts) {
    if (part.size !== factorSize) {
      factor = shiftBy(field, part.size);
      factorSize = part.size;
    }
    const shifted = multiply(field, crc, factor);
    const own = parse(name, part.checksum);
    crc = { high: (shifted.high ^ own.high) >>> 0, low: (shifted.low ^ own.low) >>> 0 };
  }
  const out = Buffer.alloc(DIGEST_BYTES[name]);
  out.writeUInt32BE(crc.high, 0);
  if (field.bits === 64) out.writeUInt32BE(crc.low, 4);
  return out.toString('base64');
}

/** The COMPOSITE checksum: base64 of the digest of all part digests, then `-` and the number of parts. */
export function compositeChecksum(name: ChecksumName, partChecksums: Iterable<string>): string {
  const hasher = createHasher(name);
  let count = 0;
  for (const checksum of partChecksums) {
    const bytes = Buffer.from(checksum, 'base64');
    if (bytes.length !== DIGEST_BYTES[name]) throw new TypeError(`not a ${name} checksum`);
    hasher.update(bytes);
    count++;
  }
  return `${hasher.digest().toString('base64')}-${count}`;
}
