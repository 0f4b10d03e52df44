/** From what the client processes measured to rows, a table and JSON. */
import type { PhaseName } from './options.ts';
import type { PhaseResult } from './phase.ts';

export interface Row {
  readonly operation: PhaseName;
  readonly sizeBytes: number;
  readonly concurrency: number;
  readonly requests: number;
  readonly seconds: number;
  readonly opsPerSecond: number;
  /** 10^6 bytes of object content a second. */
  readonly megabytesPerSecond: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly maxMs: number | null;
  readonly errors: Readonly<Record<string, number>>;
}

export function rowOf(
  what: { operation: PhaseName; sizeBytes: number; concurrency: number },
  results: readonly PhaseResult[],
): Row {
  const latencies = Float64Array.from(results.flatMap((r) => r.latencies)).sort();
  const seconds = Math.max(...results.map((r) => r.elapsedMs)) / 1000;
  const bytes = results.reduce((sum, r) => sum + r.bytes, 0);
  const errors: Record<string, number> = {};
  for (const result of results) {
    for (const [kind, times] of Object.entries(result.errors)) errors[kind] = (errors[kind] ?? 0) + times;
  }
  const at = (quantile: number) => latencies[Math.max(0, Math.ceil(latencies.length * quantile) - 1)] ?? null;
  return {
    ...what,
    requests: latencies.length,
    seconds,
    opsPerSecond: latencies.length / seconds,
    megabytesPerSecond: bytes / 1e6 / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    errors,
  };
}

const HEAD = [
  'operation',
  'size',
  'at once',
  'requests',
  'ops/s',
  'MB/s',
  'p50 ms',
  'p99 ms',
  'max ms',
  'errors',
];
const WIDTHS = [9, 9, 7, 9, 9, 9, 9, 9, 9, 6];

export const tableHead = () => line(HEAD);

export function tableLine(row: Row): string {
  const ms = (value: number | null) => (value === null ? '-' : value.toFixed(value < 10 ? 2 : 1));
  const failed = Object.entries(row.errors);
  const errors = failed.length === 0 ? '0' : failed.map(([kind, times]) => `${times}× ${kind}`).join(', ');
  return line([
    row.operation,
    sizeText(row.sizeBytes),
    String(row.concurrency),
    String(row.requests),
    row.opsPerSecond.toFixed(row.opsPerSecond < 100 ? 1 : 0),
    row.megabytesPerSecond.toFixed(1),
    ms(row.p50Ms),
    ms(row.p99Ms),
    ms(row.maxMs),
    errors,
  ]);
}

const line = (cells: readonly string[]) =>
  cells.map((cell, i) => (i === 0 ? cell.padEnd(WIDTHS[i]!) : cell.padStart(WIDTHS[i]!))).join('  ');

function sizeText(bytes: number): string {
  for (const [unit, factor] of [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const) {
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor} ${unit}`;
  }
  return `${bytes} B`;
}
