/** What a node that has done nothing yet says of itself, for tests that care about a figure or two. */
import type { Epoch, MemberId } from '../../src/base/ids.ts';
import type { NodeStatus } from '../../src/nodes/protocol.ts';

export const QUIET_NODE: NodeStatus = {
  member: 'node-a11' as MemberId,
  requests: 0,
  controlRequests: 0,
  refusedRequests: 0,
  blobs: 0,
  storedBytes: 0,
  freeBytes: 1_000,
  missingBlobs: 0,
  state: 'serving',
  epoch: 1 as Epoch,
  storeId: '0'.repeat(32),
  damaged: 0,
  scrub: { bytes: 0, blobs: 0, roundStartedAt: null, lastRoundEndedAt: null, bytesPerSecondMax: 0 },
  pid: 1,
};
