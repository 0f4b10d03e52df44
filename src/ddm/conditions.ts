/**
 * The record of conditions, epochs and resyncs, in the root pair. Every change is one transaction there, under the lock of
 * the cluster's row; what it does is said in migrations/0013_conditions.sql.
 */
import type { Epoch, MemberId, PairId } from '../base/ids.ts';
import type { CenterCondition, Conditions, MemberCondition, RecordedState } from '../twin/condition.ts';
import type { Topology } from '../twin/topology.ts';
import { done, refused, UNKNOWN } from './accounts.ts';
import { CarriedEpochs } from './carried-epochs.ts';
import {
  CatalogUnavailable,
  type ClusterCatalog,
  type ConditionChange,
  type ConditionEvent,
  type KnownPair,
  type ResyncState,
} from './catalog.ts';
import { certain, type Directories } from './directories.ts';
import type { Row } from './link.ts';
import { storable } from './mapping.ts';
import { operationJson } from './objects.ts';
import type { CatalogOptions } from './options.ts';
import { type Statement, statement } from './statements.ts';

const REGISTER_TOPOLOGY = statement('register-topology');
const READ_CONDITIONS = statement('read-conditions');
const CHANGE_CONDITION = statement('change-condition');
const ALLOW_RETURN = statement('allow-return');
const CONDITION_HISTORY = statement('condition-history');
const ADOPT_STORE = statement('adopt-store');
const FIND_STORE = statement('find-store');
const LEASE_RESYNC = statement('lease-resync');
const LIST_RESYNCS = statement('list-resyncs');
const LEARN_TOPOLOGY = statement('learn-topology');
const SET_PAIR_WEIGHT = statement('set-pair-weight');
const PAIR_WEIGHTS = statement('pair-weights');
const KNOWN_PAIRS = statement('known-pairs');

export type ConditionRecord = Pick<
  ClusterCatalog,
  | 'registerTopology'
  | 'readConditions'
  | 'changeCondition'
  | 'allowReturn'
  | 'conditionHistory'
  | 'adoptStore'
  | 'leaseResync'
  | 'listResyncs'
  | 'setPairWeight'
  | 'pairWeights'
  | 'knownPairs'
>;

const CENTER = 'center ';

/** What root.register_topology is told: gateways have no condition. */
function topologyDocument(topology: Topology) {
  const pairs = [...topology.pairs.values()];
  const pairOf = new Map(pairs.flatMap((pair) => pair.members.map((member) => [member, pair.id] as const)));
  return {
    centers: topology.centers.map(({ name }) => name),
    pairs: pairs.map(({ id, kind, weight }) => ({ id, kind, weight })),
    members: [...topology.members.values()]
      .filter(({ kind }) => kind !== 'gateway')
      .map(({ id, center, address, port }) => ({ id, pair: pairOf.get(id), center, address, port })),
  };
}

/** Of the document that root.conditions makes. */
export function conditionsOf(document: unknown): Conditions {
  const { epoch, pairs, conditions } = document as {
    epoch: number;
    pairs: Record<string, number>;
    conditions: (Pick<MemberCondition, 'state' | 'why' | 'decidedBy' | 'mayReturn' | 'storeId'> & {
      subject: string;
      sinceMs: number;
    })[];
  };
  const members = new Map<MemberId, MemberCondition>();
  const centers = new Map<string, CenterCondition>();
  for (const { subject, sinceMs, state, why, decidedBy, mayReturn, storeId } of conditions) {
    const facts = { state, since: new Date(sinceMs), why, decidedBy };
    if (subject.startsWith(CENTER)) {
      const center = subject.slice(CENTER.length);
      centers.set(center, { center, ...facts });
    } else {
      const member = subject as MemberId;
      members.set(member, { member, ...facts, mayReturn, storeId });
    }
  }
  const pairEpochs = new Map(
    Object.entries(pairs).map(([pair, epoch]) => [pair as PairId, epoch as Epoch] as const),
  );
  return { epoch: epoch as Epoch, members, centers, pairEpochs };
}

const eventOf = (row: Row): ConditionEvent => ({
  id: Number(row.id),
  subject: String(row.subject),
  state: row.state as RecordedState,
  epoch: Number(row.epoch) as Epoch,
  at: row.at as Date,
  why: String(row.why),
  decidedBy: String(row.decided_by),
});

const resyncOf = (row: Row): ResyncState => ({
  member: String(row.member) as MemberId,
  epoch: Number(row.epoch) as Epoch,
  phase: row.phase as ResyncState['phase'],
  startedAt: row.started_at as Date,
  updatedAt: row.updated_at as Date,
  owner: String(row.owner),
  comparedRanges: Number(row.compared_ranges),
  toPull: Number(row.to_pull),
  pulledBlobs: Number(row.pulled_blobs),
  pulledBytes: Number(row.pulled_bytes),
  removedBlobs: Number(row.removed_blobs),
  lag: Number(row.lag),
  ...(row.last_error !== null && { lastError: String(row.last_error) }),
});

const named = (subject: ConditionChange['subject']) =>
  subject.kind === 'member' ? { member: subject.member } : { center: subject.center };

export function openConditions(
  directories: Directories,
  { clock, log }: Pick<CatalogOptions, 'clock' | 'log'>,
): ConditionRecord {
  const epochs = new CarriedEpochs(directories, clock, log);
  directories.greetWith((pair) => (link) => epochs.greet(pair, link, () => readRecord()));
  const carryEpochs = (conditions: Conditions) => epochs.carry(conditions);

  /** So that each directory's views can say who is meant; the record itself is the root's. */
  const carryTopology = async (topology: Topology) => {
    const { pairs, members } = topologyDocument(topology);
    const kindOf = new Map(pairs.map(({ id, kind }) => [id, kind]));
    for (const directory of directories.all()) {
      const known =
        directory === directories.root ? [] : members.map((m) => ({ ...m, kind: kindOf.get(m.pair!) }));
      try {
        const document = { pair: directory.pair, members: known };
        certain(await directory.write(LEARN_TOPOLOGY, [operationJson(document)]));
      } catch (error) {
        if (!(error instanceof CatalogUnavailable)) throw error;
        log.warn({ pair: directory.pair, err: error }, 'a directory has not heard of the topology');
      }
    }
  };

  const readRecord = async () => {
    const [row] = await directories.root.read(READ_CONDITIONS, []);
    return conditionsOf(row?.answer);
  };
  const readConditions = async () => {
    const conditions = await readRecord();
    epochs.follow(conditions);
    return conditions;
  };

  /** A change that answers with a reason or with the record as it is then. */
  const change = async <R extends string>(s: Statement, document: Readonly<Record<string, unknown>>) => {
    const answer = await directories.root.write(s, [operationJson(document)]);
    if (answer === 'unknown') return UNKNOWN;
    const { reason, detail, conditions } = answer.rows[0]!.answer as {
      reason?: R;
      detail?: string;
      conditions: unknown;
    };
    if (reason === undefined) {
      const record = conditionsOf(conditions);
      await carryEpochs(record);
      return done(record);
    }
    return { ...refused(reason), ...(detail !== undefined && { detail }) };
  };

  return {
    async registerTopology(topology) {
      const values = [operationJson(topologyDocument(topology))];
      certain(await directories.root.write(REGISTER_TOPOLOGY, values));
      await carryTopology(topology);
      if (directories.pairs().length > 1) await carryEpochs(await readConditions());
    },

    readConditions,

    changeCondition: ({ subject, why, ...c }) =>
      change(CHANGE_CONDITION, { ...named(subject), ...c, why: storable(why) }),
    allowReturn: (subject, decidedBy) => change(ALLOW_RETURN, { ...named(subject), decidedBy }),

    async conditionHistory({ max, before }) {
      return (await directories.root.read(CONDITION_HISTORY, [before ?? null, max])).map(eventOf);
    },

    async adoptStore(member, storeId) {
      const { root } = directories;
      const recorded = async () => {
        const [row] = await root.read(FIND_STORE, [member]);
        return typeof row?.store_id === 'string' ? row.store_id : null;
      };
      const known = await recorded();
      if (known !== null) return known;
      certain(await root.write(ADOPT_STORE, [member, storeId]));
      return await recorded();
    },

    async leaseResync({ member, epoch, owner, leaseMs }, progress = {}) {
      const { lastError, ...figures } = progress;
      const document = { ...figures, ...(lastError !== undefined && { lastError: storable(lastError) }) };
      const values = [member, epoch, owner, leaseMs, operationJson(document)];
      const { rows } = certain(await directories.root.write(LEASE_RESYNC, values));
      return rows[0] ? resyncOf(rows[0]) : null;
    },

    async listResyncs() {
      return (await directories.root.read(LIST_RESYNCS, [])).map(resyncOf);
    },

    async setPairWeight(pair, weight) {
      if (!(weight >= 0 && Number.isFinite(weight))) throw new RangeError('a weight is 0 or more');
      const answer = await directories.root.write(SET_PAIR_WEIGHT, [pair, weight]);
      if (answer === 'unknown') return UNKNOWN;
      return answer.rowCount > 0 ? done(null) : refused('no-such-pair');
    },

    async pairWeights() {
      const rows = await directories.root.read(PAIR_WEIGHTS, []);
      return new Map(rows.map((row) => [String(row.id) as PairId, Number(row.weight)] as const));
    },

    async knownPairs() {
      const rows = await directories.root.read(KNOWN_PAIRS, []);
      return rows.map((row) => ({
        id: String(row.id) as PairId,
        weight: Number(row.weight),
        members: row.members as KnownPair['members'],
      }));
    },
  };
}
