/** What this gateway's lifecycle job has done, for Prometheus. */
import { Gauge, type Registry } from 'prom-client';

/** Since the gateway's process started. */
export interface LifecycleFigures {
  readonly passes: number;
  readonly scanned: number;
  readonly expired: number;
  readonly removed: number;
  readonly transitioned: number;
  readonly aborted: number;
  readonly kept: number;
  readonly failures: number;
}

const COUNTERS = {
  passes: 'Passes through buckets that this gateway brought to their end',
  scanned: 'Versions and open uploads that rules were held against',
  expired: 'Objects that expired',
  removed: 'Noncurrent versions and delete markers removed for good',
  transitioned: 'Versions moved to another storage class',
  aborted: 'Uploads aborted',
  kept: 'Versions that were due and stayed, as they are locked',
  failures: 'Runs of the lifecycle job that broke off',
} as const satisfies Record<keyof LifecycleFigures, string>;

/** Returns how to bring them up to date. */
export function createLifecycleGauges(registers: Registry[]): (figures: LifecycleFigures | null) => void {
  const gauges = Object.entries(COUNTERS).map(([key, help]) => ({
    key: key as keyof LifecycleFigures,
    gauge: new Gauge({ name: `antipode_lifecycle_${key}_total`, help, registers }),
  }));
  return (figures) => {
    if (figures) for (const { gauge, key } of gauges) gauge.set(figures[key]);
  };
}
