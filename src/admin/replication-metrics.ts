/** Gauges of members that return and of scrubs, from the status report; counters of what this gateway's jobs did. */
import { Gauge, type Registry } from 'prom-client';
import type { MemberReport, StatusReport } from './api.ts';

/** Since the gateway's process started. */
export interface ReplicationFigures {
  readonly repaired: number;
  readonly postponed: number;
  readonly repairedBytes: number;
  readonly resyncsServed: number;
  readonly resyncsFailed: number;
}

const MEMBER_GAUGES: readonly {
  readonly name: string;
  readonly help: string;
  readonly of: (member: MemberReport) => number | null | undefined;
}[] = [
  {
    name: 'antipode_resync_to_pull_blobs',
    help: 'Blobs that a returning member has to pull, those pulled included',
    of: (m) => m.resync?.toPull,
  },
  {
    name: 'antipode_resync_pulled_blobs',
    help: 'Blobs that a returning member has pulled',
    of: (m) => m.resync?.pulledBlobs,
  },
  {
    name: 'antipode_resync_pulled_bytes',
    help: 'Bytes that a returning member has pulled',
    of: (m) => m.resync?.pulledBytes,
  },
  {
    name: 'antipode_resync_lag',
    help: 'Repairs that wait for a returning member',
    of: (m) => m.resync?.lag,
  },
  {
    name: 'antipode_scrub_bytes',
    help: 'Bytes that a node has verified in the round of its scrub under way',
    of: (m) => m.scrub?.bytes,
  },
  {
    name: 'antipode_scrub_damaged',
    help: 'Replicas that a node found damaged and that are not queued for repair yet',
    of: (m) => m.damaged,
  },
  {
    name: 'antipode_scrub_last_round_ended_seconds',
    help: 'When the last whole round of a node ended, seconds since the epoch',
    of: (m) => (m.scrub?.lastRoundEndedAt ? Date.parse(m.scrub.lastRoundEndedAt) / 1000 : undefined),
  },
];

const COUNTERS = {
  repaired: ['antipode_repairs_done_total', 'Replicas that this gateway had brought home'],
  postponed: ['antipode_repairs_postponed_total', 'Tries to bring a replica home that failed'],
  repairedBytes: ['antipode_repairs_bytes_total', 'Bytes of replicas brought home'],
  resyncsServed: ['antipode_resync_served_total', 'Members that this gateway has brought back'],
  resyncsFailed: ['antipode_resync_failed_total', 'Runs of a resync that broke off'],
} as const satisfies Record<keyof ReplicationFigures, readonly [string, string]>;

/** Returns how to bring the gauges up to date. A member without a figure has none: an old one would mislead. */
export function createReplicationGauges(
  registers: Registry[],
): (report: StatusReport, figures: ReplicationFigures | null) => void {
  const members = MEMBER_GAUGES.map(({ name, help, of }) => ({
    gauge: new Gauge({ name, help, labelNames: ['member'], registers }),
    of,
  }));
  const counters = Object.entries(COUNTERS).map(([key, [name, help]]) => ({
    key: key as keyof ReplicationFigures,
    gauge: new Gauge({ name, help, registers }),
  }));
  return (report, figures) => {
    for (const { gauge, of } of members) {
      for (const m of report.members) {
        const value = of(m);
        if (typeof value === 'number') gauge.set({ member: m.id }, value);
        else gauge.remove({ member: m.id });
      }
    }
    if (figures) for (const { gauge, key } of counters) gauge.set(figures[key]);
  };
}
