import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StatusReport } from '../../../src/admin/api.ts';
import { createMetrics } from '../../../src/admin/metrics.ts';
import type { Clock } from '../../../src/base/clock.ts';

const node = { kind: 'node', center: 'a', address: '', twin: null, pid: 1 } as const;
const report = (change: Partial<StatusReport> = {}): StatusReport => ({
  epoch: 1,
  redundant: true,
  centers: [],
  members: [{ ...node, id: 'node-a11', condition: 'serving', requests: 12, controlRequests: 4 }],
  pairs: [{ id: 'node/11', kind: 'node', members: ['node-a11', 'node-b11'], state: 'redundant', epoch: 1 }],
  repairs: { queued: 0 },
  ...change,
});

/** A clock that stands still until it is told. */
function handClock() {
  let monotonic = 0;
  const clock: Clock = { now: () => 0, monotonic: () => monotonic, sleep: () => new Promise(() => {}) };
  return {
    clock,
    advance: (ms: number) => {
      monotonic += ms;
    },
  };
}

describe('metrics', () => {
  it('count requests, bytes and time by operation', async () => {
    const metrics = createMetrics();
    metrics.observe({ operation: 'PutObject', status: 200, durationMs: 30, bytesIn: 1000, bytesOut: 0 });
    metrics.observe({ operation: 'PutObject', status: 503, durationMs: 5, bytesIn: 10, bytesOut: 7 });
    const { text, type } = await metrics.page();
    assert.match(type, /^text\/plain/);
    assert.match(text, /antipode_s3_requests_total\{operation="PutObject",status="200"\} 1\n/);
    assert.match(text, /antipode_s3_requests_total\{operation="PutObject",status="503"\} 1\n/);
    assert.match(text, /antipode_s3_bytes_total\{direction="in"\} 1010\n/);
    assert.match(text, /antipode_s3_request_seconds_bucket\{le="0.05",operation="PutObject"\} 2\n/);
    assert.match(text, /process_cpu_seconds_total /);
    assert.equal(metrics.requests(), 2);
  });

  it('show nodes and degraded pairs, and forget the figures of a node that does not answer', async () => {
    const metrics = createMetrics();
    const { clock, advance } = handClock();
    let current = report();
    metrics.follow(async () => current, clock);
    const before = (await metrics.page()).text;
    assert.match(before, /antipode_node_requests\{member="node-a11"\} 12\n/);
    assert.match(before, /antipode_pairs_degraded 0\n/);
    assert.match(before, /antipode_repairs_queued 0\n/);
    assert.match(before, /antipode_cluster_epoch 1\n/);

    current = report({
      epoch: 4,
      repairs: { queued: 9 },
      members: [{ ...node, id: 'node-a11', condition: 'suspect', requests: null, controlRequests: null }],
      pairs: [
        { id: 'node/11', kind: 'node', members: ['node-a11', 'node-b11'], state: 'degraded', epoch: 1 },
      ],
    });
    advance(5_000);
    const after = (await metrics.page()).text;
    assert.doesNotMatch(after, /antipode_node_requests\{/);
    assert.match(after, /antipode_member_serving\{member="node-a11",kind="node"\} 0\n/);
    assert.match(after, /antipode_pairs_degraded 1\n/);
    const condition = (name: string) =>
      `antipode_member_condition{member="node-a11",kind="node",condition="${name}"}`;
    assert.ok(after.includes(`${condition('suspect')} 1\n`) && after.includes(`${condition('serving')} 0\n`));
    assert.match(after, /antipode_repairs_queued 9\n/);
    assert.match(after, /antipode_cluster_epoch 4\n/);
  });

  it('ask for the status at most once a second, however often the page is read', async () => {
    const metrics = createMetrics();
    const { clock, advance } = handClock();
    let asked = 0;
    metrics.follow(async () => {
      asked++;
      return report();
    }, clock);
    await Promise.all([metrics.page(), metrics.page(), metrics.page()]);
    assert.equal(asked, 1);
    advance(1_000);
    await metrics.page();
    assert.equal(asked, 2);
  });
});

describe('metrics of replicas', () => {
  it('show a member that returns, scrubs, and what the jobs did; and forget the member when it serves', async () => {
    const metrics = createMetrics();
    const { clock, advance } = handClock();
    const times = { startedAt: '', updatedAt: '', owner: 'gateway-1' };
    const resync = { ...times, phase: 'pull', toPull: 9, pulledBlobs: 4, pulledBytes: 400, lag: 2 };
    const scrub = { bytes: 5, blobs: 1, bytesPerSecondMax: 8, lastRoundEndedAt: '1970-01-01T00:00:03.000Z' };
    const member = { ...node, id: 'node-a11', requests: 0, controlRequests: 1, damaged: 6, scrub } as const;
    let current = report({ members: [{ ...member, condition: 'resyncing', resync }] });
    const at = { directory: 'directory/5', position: '9-1', createdAt: '', advancedAt: '' };
    metrics.follow(async () => current, clock, {
      replication: () => ({
        ...{ repaired: 3, postponed: 1, repairedBytes: 300, resyncsServed: 2, resyncsFailed: 0 },
      }),
      consumers: async () => [{ ...at, name: 'index', unread: 7, lagSeconds: 1.5 }],
    });
    const text = (await metrics.page()).text;
    for (const line of [
      'antipode_resync_to_pull_blobs{member="node-a11"} 9',
      'antipode_resync_pulled_blobs{member="node-a11"} 4',
      'antipode_resync_pulled_bytes{member="node-a11"} 400',
      'antipode_resync_lag{member="node-a11"} 2',
      'antipode_scrub_bytes{member="node-a11"} 5',
      'antipode_scrub_damaged{member="node-a11"} 6',
      'antipode_scrub_last_round_ended_seconds{member="node-a11"} 3',
      'antipode_repairs_done_total 3',
      'antipode_feed_unread_changes{consumer="index",directory="directory/5"} 7',
      'antipode_feed_lag_seconds{consumer="index",directory="directory/5"} 1.5',
      'antipode_repairs_bytes_total 300',
      'antipode_resync_served_total 2',
    ])
      assert(text.includes(`${line}\n`), line);
    current = report({ members: [{ ...member, condition: 'serving' }] });
    advance(2_000);
    assert(!(await metrics.page()).text.includes('antipode_resync_lag{'));
  });
});
