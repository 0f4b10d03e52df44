/** What the admin address shows of a gateway's repair and resync: the jobs' figures beside record, catalog and nodes. */
import {
  createReplicationService,
  type ReplicationService,
  type ReplicationSources,
} from '../admin/replication.ts';
import type { Jobs } from '../jobs/start.ts';

export function openReplication({
  jobs,
  ...sources
}: Omit<ReplicationSources, 'hurry' | 'figures'> & { readonly jobs: Jobs }): ReplicationService {
  const { replication } = jobs;
  if (!replication) return createReplicationService({ ...sources, hurry: () => {} });
  const figures = () => {
    const { repair, resync } = replication.progress();
    const { repaired, postponed, pulledBytes: repairedBytes } = repair;
    return { repaired, postponed, repairedBytes, resyncsServed: resync.served, resyncsFailed: resync.failed };
  };
  return createReplicationService({ ...sources, hurry: () => replication.hurry(), figures });
}
