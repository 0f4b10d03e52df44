/** What repair and resync work on: clients that can replicate, and the catalog with what it says about the cluster. */
import type { MemberId } from '../../base/ids.ts';
import type { Catalog, ClusterCatalog } from '../../ddm/catalog.ts';
import type { NodeClient, NodeControl } from '../../nodes/protocol.ts';

export type ReplicaClient = NodeClient & NodeControl;
export type ReplicaClients = ReadonlyMap<MemberId, ReplicaClient>;
export type WholeCatalog = Catalog & ClusterCatalog;
