/**
 * What Prometheus reads. Counters of S3 requests are fed by the front end through `observe`; what nodes and pairs do
 * is asked when the page is asked for, at most once in STATUS_AGE_MS. docs/operations.md lists the names.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Clock } from '../base/clock.ts';
import type { RequestRecord } from '../base/request-record.ts';
import type { StatusReport } from './api.ts';
import type { ConsumerReport } from './changes-api.ts';
import { createLifecycleGauges, type LifecycleFigures } from './lifecycle-metrics.ts';
import { createNotificationGauges, type NotificationFigures } from './notification-metrics.ts';
import { createReplicationGauges, type ReplicationFigures } from './replication-metrics.ts';

export interface Metrics {
  observe(record: RequestRecord): void;
  /** S3 requests answered since the process started. */
  requests(): number;
  /** A search has ended. */
  searched(kind: 'blob' | 'bucket', outcome: 'found' | 'nowhere' | 'unknown'): void;
  /** From now on pages show nodes and pairs as well. */
  follow(
    status: () => Promise<StatusReport>,
    clock: Clock,
    more?: {
      readonly replication?: () => ReplicationFigures | null;
      readonly lifecycle?: () => LifecycleFigures | null;
      readonly consumers?: () => Promise<readonly ConsumerReport[]>;
      readonly notifications?: () => Promise<NotificationFigures>;
    },
  ): void;
  page(): Promise<{ readonly type: string; readonly text: string }>;
}

const STATUS_AGE_MS = 1_000;
const CONDITIONS = ['serving', 'suspect', 'failed-over', 'resyncing'] as const;
const SECONDS_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  let answered = 0;
  const requests = new Counter({
    name: 'antipode_s3_requests_total',
    help: 'S3 requests by operation and HTTP status (0: cut before or inside the answer)',
    labelNames: ['operation', 'status'],
    registers,
  });
  const seconds = new Histogram({
    name: 'antipode_s3_request_seconds',
    help: 'Time from the request line to the end of the answer',
    labelNames: ['operation'],
    buckets: SECONDS_BUCKETS,
    registers,
  });
  const bytes = new Counter({
    name: 'antipode_s3_bytes_total',
    help: 'Body bytes taken from (in) and sent to (out) S3 clients',
    labelNames: ['direction'],
    registers,
  });
  const searches = new Counter({
    name: 'antipode_searches_total',
    help: 'Searches for blobs and buckets that were not where the map says, by outcome',
    labelNames: ['kind', 'outcome'],
    registers,
  });
  const members = createMemberGauges(registers);
  const replicas = createReplicationGauges(registers);
  const rules = createLifecycleGauges(registers);
  const feed = createFeedGauges(registers);
  const notified = createNotificationGauges(registers);
  let refresh: (() => Promise<void>) | null = null;

  return {
    observe(record) {
      answered++;
      requests.inc({ operation: record.operation, status: record.status });
      seconds.observe({ operation: record.operation }, record.durationMs / 1000);
      bytes.inc({ direction: 'in' }, record.bytesIn);
      bytes.inc({ direction: 'out' }, record.bytesOut);
    },
    requests: () => answered,
    searched: (kind, outcome) => searches.inc({ kind, outcome }),
    follow(
      status,
      clock,
      { replication = () => null, lifecycle = () => null, consumers = async () => [], notifications } = {},
    ) {
      let askedAt = Number.NEGATIVE_INFINITY;
      let answer: Promise<void> = Promise.resolve();
      refresh = () => {
        if (clock.monotonic() - askedAt >= STATUS_AGE_MS) {
          askedAt = clock.monotonic();
          const shown = status().then((report) => {
            members(report);
            replicas(report, replication());
            rules(lifecycle());
          });
          // A directory that is away leaves the last figures; its own gauges say that it is.
          const read = consumers().then(feed, () => {});
          const queues = notifications?.().then(notified, () => {});
          answer = Promise.all([shown, read, queues]).then(() => {});
        }
        return answer;
      };
    },
    async page() {
      await refresh?.();
      return { type: registry.contentType, text: await registry.metrics() };
    },
  };
}

/** Consumers of the change feed. */
function createFeedGauges(registers: Registry[]): (consumers: readonly ConsumerReport[]) => void {
  const labelNames = ['consumer', 'directory'];
  const unread = new Gauge({
    name: 'antipode_feed_unread_changes',
    help: 'Changes that a consumer of the feed has before it, counted up to 10,000',
    labelNames,
    registers,
  });
  const lag = new Gauge({
    name: 'antipode_feed_lag_seconds',
    help: 'How old the oldest change is that a consumer of the feed has not read',
    labelNames,
    registers,
  });
  return (consumers) => {
    // A consumer that was dropped must not stay.
    for (const gauge of [unread, lag]) gauge.reset();
    for (const { name, directory, unread: count, lagSeconds } of consumers) {
      unread.set({ consumer: name, directory }, count);
      lag.set({ consumer: name, directory }, lagSeconds);
    }
  };
}

/** Returns how to bring the gauges up to date. */
function createMemberGauges(registers: Registry[]): (report: StatusReport) => void {
  const labelNames = ['member'];
  const nodeRequests = new Gauge({
    name: 'antipode_node_requests',
    help: 'Data requests that a storage node has had since its process started',
    labelNames,
    registers,
  });
  const nodeControlRequests = new Gauge({
    name: 'antipode_node_control_requests',
    help: 'Control requests that a storage node has had since its process started',
    labelNames,
    registers,
  });
  const nodeBytes = new Gauge({
    name: 'antipode_node_stored_bytes',
    help: 'Bytes of blobs on a storage node',
    labelNames,
    registers,
  });
  const nodeFree = new Gauge({
    name: 'antipode_node_free_bytes',
    help: 'Bytes that a storage node has room for',
    labelNames,
    registers,
  });
  const serving = new Gauge({
    name: 'antipode_member_serving',
    help: '1 while the member serves',
    labelNames: ['member', 'kind'],
    registers,
  });
  const refused = new Gauge({
    name: 'antipode_node_refused_requests',
    help: 'Data requests that a storage node has refused (fenced, or an older epoch) since its process started',
    labelNames,
    registers,
  });
  const condition = new Gauge({
    name: 'antipode_member_condition',
    help: '1 for the condition that the member is in',
    labelNames: ['member', 'kind', 'condition'],
    registers,
  });
  const repairs = new Gauge({
    name: 'antipode_repairs_queued',
    help: 'Replicas that are not where the map says and wait to be brought there',
    registers,
  });
  const epoch = new Gauge({
    name: 'antipode_cluster_epoch',
    help: 'Raised by every change of a condition',
    registers,
  });
  const degraded = new Gauge({
    name: 'antipode_pairs_degraded',
    help: 'Pairs of twins of which not both serve',
    registers,
  });
  const redundant = new Gauge({
    name: 'antipode_pair_redundant',
    help: '1 while both twins of the pair serve',
    labelNames: ['pair', 'kind'],
    registers,
  });
  return (report) => {
    for (const { id, kind, state } of report.pairs)
      redundant.set({ pair: id, kind }, state === 'redundant' ? 1 : 0);
    for (const m of report.members) {
      serving.set({ member: m.id, kind: m.kind }, m.condition === 'serving' ? 1 : 0);
      for (const name of CONDITIONS)
        condition.set({ member: m.id, kind: m.kind, condition: name }, m.condition === name ? 1 : 0);
      if (m.kind !== 'node') continue;
      const member = m.id;
      // A node that does not answer has no figures: an old one would look like a quiet node.
      for (const [gauge, value] of [
        [nodeRequests, m.requests],
        [nodeControlRequests, m.controlRequests],
        [nodeBytes, m.storedBytes],
        [nodeFree, m.freeBytes],
        [refused, m.refusedRequests],
      ] as const) {
        if (typeof value === 'number') gauge.set({ member }, value);
        else gauge.remove({ member });
      }
    }
    epoch.set(report.epoch);
    // What the catalog did not say keeps its last value.
    if (report.repairs.queued !== null) repairs.set(report.repairs.queued);
    degraded.set(report.pairs.filter((pair) => pair.state !== 'redundant').length);
  };
}
