/**
 * What goes wrong in a world, drawn from its seed: each incident begins, lasts, and ends. Incidents overlap, but no
 * disk is lost while it has the only copy of something, so that redundancy never runs out: whatever was acknowledged
 * must come through every storm.
 */
import type { BlobId } from '../../src/base/ids.ts';
import type { ConditionChange } from '../../src/ddm/catalog.ts';
import type { Cut } from './network.ts';
import { pick, whole } from './seeded-random.ts';
import type { SimGateway } from './sim-gateway.ts';
import type { SimNode } from './sim-node.ts';
import type { SimWorld } from './sim-world.ts';
import { DIRECTORY, isOfRoot, ROOT } from './wire-catalog.ts';

/** How often each kind is drawn. */
export const INCIDENTS = {
  killNode: 14,
  stopNode: 10,
  cutNode: 10,
  cutNodes: 5,
  slowLine: 5,
  cutCatalog: 6,
  failDirectory: 8,
  killGateway: 6,
  stopGateway: 5,
  loseDisk: 8,
  rot: 6,
  operator: 8,
  killCenter: 4,
  cutCenter: 5,
  splitView: 4,
  packetLoss: 4,
  strike: 10,
} as const;
export type Incident = keyof typeof INCIDENTS;
const LOTS = Object.entries(INCIDENTS).flatMap(([kind, lots]) =>
  Array<Incident>(lots).fill(kind as Incident),
);

export class Storm {
  readonly #world: SimWorld;
  /** Kinds that are drawn; all of them unless told. */
  readonly #lots: readonly Incident[];
  #running: Promise<void>[] = [];

  constructor(world: SimWorld, kinds?: readonly Incident[]) {
    this.#world = world;
    this.#lots = kinds ? LOTS.filter((kind) => kinds.includes(kind)) : LOTS;
  }

  /** So many incidents, one after another with pauses; resolves when the last has ended. */
  async blow(incidents: number, pauseMs: readonly [number, number]): Promise<void> {
    for (let left = incidents; left > 0; left -= 1) {
      await this.#world.pass(whole(this.#world.random, ...pauseMs));
      this.#running.push(this.#begin(pick(this.#world.random, this.#lots)));
    }
    await Promise.all(this.#running);
  }

  /** Whatever is still wrong is put right. */
  async end(): Promise<void> {
    const { network, nodes, gateways, model, topology, directories } = this.#world;
    this.#world.onNode = () => {};
    this.#world.onCatalog = () => {};
    this.#world.onTaken = () => {};
    network.healAll();
    for (const directory of Object.values(directories)) await directory.promote();
    for (const machine of [...nodes.values(), ...gateways]) {
      machine.cont();
      machine.start();
    }
    for (const { name } of topology.centers)
      await model.allowReturn({ kind: 'center', center: name }, 'operator');
    // A round of everybody's scrub: what rotted unread is found.
    for (const node of nodes.values()) await node.core.scrub();
    while (gateways.some(({ running }) => !running)) await this.#world.pass(100);
  }

  #begin(kind: Incident): Promise<void> {
    this.#world.trace.note(`incident-${kind}`);
    return this[kind]();
  }

  get #random() {
    return this.#world.random;
  }
  #someNode(): SimNode {
    return pick(this.#random, [...this.#world.nodes.values()]);
  }
  #someGateway(): SimGateway {
    return pick(this.#random, this.#world.gateways);
  }
  /** Short enough to be missed, or long enough to be declared and to come back. */
  async #last(): Promise<void> {
    const { random } = this.#world;
    await this.#world.pass(random() < 0.5 ? whole(random, 100, 4_000) : whole(random, 5_000, 25_000));
  }

  // ------------------------------------------------------------------------------------------- machines

  async killNode(): Promise<void> {
    const node = this.#someNode();
    node.kill();
    await this.#last();
    node.start();
  }

  async stopNode(): Promise<void> {
    const node = this.#someNode();
    node.stop();
    await this.#last();
    node.cont();
  }

  async killGateway(): Promise<void> {
    const gateway = this.#someGateway();
    gateway.kill();
    await this.#world.pass(whole(this.#random, 200, 8_000));
    gateway.start();
  }

  async stopGateway(): Promise<void> {
    const gateway = this.#someGateway();
    gateway.stop();
    await this.#last();
    gateway.cont();
  }

  async killCenter(): Promise<void> {
    const nodes = this.#nodesOf(pick(this.#random, ['a', 'b']));
    for (const node of nodes) node.kill();
    await this.#last();
    for (const node of nodes) {
      node.start();
      await this.#world.pass(whole(this.#random, 0, 500));
    }
  }

  // --------------------------------------------------------------------------------------------- disks

  async loseDisk(): Promise<void> {
    const node = this.#someNode();
    if (!(await this.#mayLose(node))) return;
    node.kill();
    if (!(await this.#mayLose(node))) return node.start();
    node.replaceDisk();
    await this.#last();
    node.start();
  }

  /** A byte turns in some of a node's copies, where another copy is sound. */
  async rot(): Promise<void> {
    const node = this.#someNode();
    for (const id of [...node.blobs.keys()])
      if (this.#random() < 0.4 && this.#soundCopies(id).some((other) => other !== node)) node.rot(id);
  }

  /** Its twin serves, and has or somebody else has, whatever is on it; nothing on it is just being written. */
  async #mayLose(node: SimNode): Promise<boolean> {
    const { topology, model, nodes } = this.#world;
    const twin = nodes.get(topology.members.get(node.member)!.twin!)!;
    const { members } = await model.readConditions();
    if (members.get(twin.member)!.state !== 'serving') return false;
    if (twin.process && twin.core.state !== 'serving') return false;
    // A twin whose own disk was replaced cannot fill this one; two lost disks of a pair are beyond what is promised.
    const served = members.get(twin.member)!.storeId;
    if (served !== null && served !== twin.core.disk.storeId) return false;
    const ids = [...node.blobs.keys()];
    const live = new Map((await model.findBlobs(ids)).map((blob) => [blob.id, blob]));
    return ids.every((id) => {
      const blob = live.get(id);
      const proper = blob && [...topology.pairs.get(blob.pair)!.members, ...(blob.offMap ?? [])];
      return this.#soundCopies(id).some(
        (other) => other !== node && (proper?.includes(other.member) ?? true),
      );
    });
  }

  #soundCopies(id: BlobId): readonly SimNode[] {
    return [...this.#world.nodes.values()].filter(
      (node) => node.blobs.has(id) && !node.blobs.get(id)!.isRotten,
    );
  }

  // --------------------------------------------------------------------------------------------- lines

  async cutNode(): Promise<void> {
    await this.#cut([[this.#someGateway().id, this.#someNode().member]]);
  }

  async cutNodes(): Promise<void> {
    const [one, other] = [this.#someNode(), this.#someNode()];
    if (one !== other) await this.#cut([[one.member, other.member]]);
  }

  async cutCatalog(): Promise<void> {
    const { id } = this.#someGateway();
    const draw = this.#random();
    const lines: [string, string][] = [];
    if (draw < 0.7) lines.push([id, ROOT]);
    if (draw > 0.4) lines.push([id, DIRECTORY]);
    await this.#cut(lines);
  }

  /** The primary of the root, of the rows' directory, or of both; often with a commit on its way to the twin. */
  async failDirectory(): Promise<void> {
    const world = this.#world;
    const { directories } = world;
    const how: Cut = this.#random() < 0.6 ? 'refused' : 'silent';
    const draw = this.#random();
    const names = draw < 0.3 ? [ROOT] : draw < 0.8 ? [DIRECTORY] : [ROOT, DIRECTORY];
    const setSlow = (isSlow: boolean) => {
      for (const name of names) directories[name]!.isSlow = isSlow;
    };
    const fail = () => {
      for (const name of names) directories[name]!.fail(how);
    };
    setSlow(true);
    if (this.#random() < 0.75) {
      const taken = new Promise<void>((resolve) => {
        world.onTaken = ({ what }) => {
          if (!names.includes(isOfRoot(what) ? ROOT : DIRECTORY)) return;
          world.onTaken = () => {};
          // Perhaps others are taken before it fails.
          world.clock.after(whole(this.#random, 0, 4), () => {
            fail();
            resolve();
          });
        };
      });
      await Promise.race([taken, world.pass(10_000)]);
    }
    fail();
    await world.pass(whole(this.#random, 500, 6_000));
    for (const name of names) await directories[name]!.promote();
    setSlow(false);
  }

  /** Everything of one center from everything else; gateways outside stand with the other side, as the catalog does. */
  async cutCenter(): Promise<void> {
    const center = pick(this.#random, ['a', 'b']);
    const inside = [
      ...this.#nodesOf(center).map((node) => node.member),
      ...this.#world.gateways.filter((gateway) => gateway.place.center === center).map(({ id }) => id),
    ];
    const outside = [
      ...[...this.#world.nodes.keys()].filter((member) => !inside.includes(member)),
      ...this.#world.gateways.map(({ id }) => id).filter((id) => !inside.includes(id)),
      ...[ROOT, DIRECTORY],
    ];
    await this.#cut(inside.flatMap((one) => outside.map((other): [string, string] => [one, other])));
  }

  /** One gateway sees one center, another gateway the other; both see the catalog. */
  async splitView(): Promise<void> {
    const [one, other] = this.#world.gateways;
    const to = (gateway: SimGateway, center: string) =>
      this.#nodesOf(center).map(({ member }): [string, string] => [gateway.id, member]);
    await this.#cut([...to(one!, 'b'), ...to(other!, 'a')]);
  }

  async slowLine(): Promise<void> {
    const [gateway, node] = [this.#someGateway(), this.#someNode()];
    this.#world.network.slow(gateway.id, node.member, whole(this.#random, 50, 900));
    await this.#last();
    this.#world.network.heal(gateway.id, node.member);
  }

  async packetLoss(): Promise<void> {
    this.#world.network.lossRate = 0.02 + 0.2 * this.#random();
    await this.#last();
    this.#world.network.lossRate = 0;
  }

  async #cut(lines: readonly (readonly [string, string])[]): Promise<void> {
    const how: Cut = this.#random() < 0.6 ? 'silent' : 'refused';
    for (const [a, b] of lines) this.#world.network.cut(a, b, how);
    await this.#last();
    for (const [a, b] of lines) this.#world.network.heal(a, b);
  }

  // ------------------------------------------------------------------------------------------ operator

  async operator(): Promise<void> {
    const { model, trace } = this.#world;
    const subject: ConditionChange['subject'] =
      this.#random() < 0.7
        ? { kind: 'member', member: this.#someNode().member }
        : { kind: 'center', center: pick(this.#random, ['a', 'b']) };
    const change = { subject, to: 'failed-over', why: 'maintenance', decidedBy: 'operator' } as const;
    const watched = this.#world.gateways[0]!.place.model;
    const entered = await watched.changeCondition({ ...change, mayReturn: false });
    if (entered.outcome !== 'done') return;
    await this.#last();
    await model.allowReturn(subject, 'operator');
    trace.note('leave', JSON.stringify(subject));
  }

  /** The next time that something certain happens, its node or its gateway is killed at that very moment. */
  async strike(): Promise<void> {
    const world = this.#world;
    const when = this.#random() < 0.5 ? 'before' : 'after';
    const atCatalog = this.#random() < 0.35;
    const what = atCatalog
      ? pick(this.#random, ['putVersion', 'deleteVersion', 'finishRepairs', 'changeCondition', 'leaseResync'])
      : pick(this.#random, ['finish', 'finish', 'pull', 'pull', 'drop', 'setCondition', 'chunk', 'digests']);
    const restartMs = whole(this.#random, 300, 9_000);
    const struck = new Promise<() => void>((resolve) => {
      if (atCatalog)
        world.onCatalog = (point) => {
          if (point.what !== what || point.when !== when) return;
          world.onCatalog = () => {};
          world.trace.note('strike', `${point.gateway.id} ${when} ${what}`);
          point.gateway.kill();
          resolve(() => point.gateway.start());
        };
      else
        world.onNode = (point) => {
          if (point.what !== what || point.when !== when) return;
          world.onNode = () => {};
          world.trace.note('strike', `${point.node.member} ${when} ${what}`);
          point.node.kill();
          resolve(() => point.node.start());
        };
    });
    const again = await Promise.race([struck, world.pass(20_000).then(() => null)]);
    if (!again) return;
    await world.pass(restartMs);
    again();
  }

  #nodesOf(center: string): readonly SimNode[] {
    const { nodes, topology } = this.#world;
    return [...nodes.values()].filter((node) => topology.members.get(node.member)!.center === center);
  }
}
