/** Topologies that are accepted, and each one that is refused with the path of the entry at fault. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  buildTopology,
  type MemberConfig,
  type TopologyConfig,
  TopologyError,
} from '../../../src/twin/load.ts';

const node = (address: string, more: Partial<MemberConfig> = {}): MemberConfig => ({
  kind: 'node',
  address,
  port: 7100,
  ...more,
});
const centers = [
  { name: 'a', subnets: ['127.1.0.0/24'] },
  { name: 'b', subnets: ['127.2.0.0/24'] },
];
const good: TopologyConfig = {
  centers,
  members: [
    node('127.1.0.11'),
    node('127.1.0.12', { weight: 2 }),
    node('127.2.0.12'),
    node('127.2.0.11'),
    { kind: 'directory', address: '127.1.0.5', port: 7101 },
    { kind: 'directory', address: '127.2.0.5', port: 7101 },
    { kind: 'gateway', id: 'gateway-1', address: '127.0.0.1', port: 9000 },
  ],
};
const withMembers = (...members: MemberConfig[]): TopologyConfig => ({ centers, members });

test('two centers of one subnet each: ids, pairs, twins and weights', () => {
  const topology = buildTopology(good);
  assert.deepEqual([...topology.pairs.keys()].sort(), ['directory/5', 'node/11', 'node/12']);
  const pair = [...topology.pairs.values()].find((p) => p.id === 'node/12')!;
  assert.deepEqual(pair.members, ['node-a12', 'node-b12']);
  assert.equal(pair.weight, 2);
  for (const member of topology.members.values()) {
    if (member.kind === 'gateway') {
      assert.equal(member.twin, null);
      continue;
    }
    const twin = topology.members.get(member.twin!)!;
    assert.equal(twin.twin, member.id);
    assert.equal(twin.kind, member.kind);
    assert.notEqual(twin.center, member.center);
  }
});

test('the first member of a pair is the one in the first center, whatever the order of the entries', () => {
  const topology = buildTopology(withMembers(node('127.2.0.11'), node('127.1.0.11')));
  assert.deepEqual([...topology.pairs.values()][0]!.members, ['node-a11', 'node-b11']);
});

test('one center with two subnets: twins sit in its subnets', () => {
  const topology = buildTopology({
    centers: [{ name: 'only', subnets: ['10.0.1.0/24', '10.0.2.0/24'] }],
    members: [node('10.0.1.11'), node('10.0.2.11')],
  });
  assert.deepEqual([...topology.pairs.values()][0]!.members, ['node-only1-11', 'node-only2-11']);
  for (const member of topology.members.values()) assert.equal(member.center, 'only');
});

test('IPv6 subnets and a node and a directory on one address', () => {
  const topology = buildTopology({
    centers: [
      { name: 'a', subnets: ['fd00:1::/64'] },
      { name: 'b', subnets: ['fd00:2::/64'] },
    ],
    members: [
      node('fd00:1::a:11'),
      node('FD00:2:0:0:0:0:a:11'),
      { kind: 'directory', address: 'fd00:1::a:11', port: 7101 },
      { kind: 'directory', address: 'fd00:2::a:11', port: 7101 },
    ],
  });
  assert.deepEqual([...topology.pairs.keys()].sort(), ['directory/a.11', 'node/a.11']);
  assert.equal([...topology.members.values()][1]!.address, 'fd00:2::a:11');
});

const table: TopologyConfig = {
  centers: [
    { name: 'a', subnets: [] },
    { name: 'b', subnets: [] },
  ],
  members: [
    node('127.0.0.1', { id: 'node-a11', center: 'a', port: 7100 }),
    node('127.0.0.1', { id: 'node-b11', center: 'b', port: 7200 }),
    node('127.0.0.1', { id: 'node-a12', center: 'a', port: 7101 }),
    node('127.0.0.1', { id: 'node-b12', center: 'b', port: 7201 }),
  ],
  twins: [
    { name: '11', members: ['node-b11', 'node-a11'] },
    { name: '12', members: ['node-a12', 'node-b12'] },
  ],
};

test('an explicit table replaces the rule', () => {
  const topology = buildTopology(table);
  const pairs = [...topology.pairs.values()];
  assert.deepEqual(
    pairs.map((p) => [p.id, ...p.members]),
    [
      ['node/11', 'node-a11', 'node-b11'],
      ['node/12', 'node-a12', 'node-b12'],
    ],
  );
});

const refused: [string, TopologyConfig, (string | number)[], RegExp][] = [
  [
    'unequal prefix lengths',
    { ...good, centers: [centers[0]!, { name: 'b', subnets: ['127.2.0.0/25'] }] },
    ['centers', 1, 'subnets', 0],
    /unequal/,
  ],
  [
    'subnets of two families',
    { ...good, centers: [centers[0]!, { name: 'b', subnets: ['fd00::/64'] }] },
    ['centers', 1, 'subnets', 0],
    /IPv6/,
  ],
  [
    'the same subnet twice',
    { ...good, centers: [centers[0]!, { name: 'b', subnets: ['127.1.0.0/24'] }] },
    ['centers', 1, 'subnets', 0],
    /overlap/,
  ],
  [
    'a subnet with host bits',
    { ...good, centers: [{ name: 'a', subnets: ['127.1.0.7/24'] }, centers[1]!] },
    ['centers', 0, 'subnets', 0],
    /127\.1\.0\.0\/24/,
  ],
  [
    'a subnet that is none',
    { ...good, centers: [{ name: 'a', subnets: ['127.1.0.0'] }, centers[1]!] },
    ['centers', 0, 'subnets', 0],
    /not a subnet/,
  ],
  [
    'two subnets in one of two centers',
    { ...good, centers: [{ name: 'a', subnets: ['127.1.0.0/24', '127.3.0.0/24'] }, centers[1]!] },
    ['centers', 0, 'subnets'],
    /one subnet/,
  ],
  [
    'one center with one subnet',
    { ...good, centers: [centers[0]!] },
    ['centers', 0, 'subnets'],
    /two subnets/,
  ],
  ['no center', { ...good, centers: [] }, ['centers'], /one or two/],
  [
    'two centers of one name',
    { ...good, centers: [centers[0]!, { ...centers[1]!, name: 'a' }] },
    ['centers', 1, 'name'],
    /called a/,
  ],
  [
    'colliding host parts',
    withMembers(node('127.1.0.11'), node('127.2.0.11'), node('127.1.0.11', { port: 7101 })),
    ['members', 2, 'address'],
    /collide/,
  ],
  [
    'a member outside every subnet',
    withMembers(node('127.1.0.11'), node('127.3.0.11')),
    ['members', 1, 'address'],
    /outside/,
  ],
  [
    'a member outside the subnet of its center',
    withMembers(node('127.1.0.11'), node('127.2.0.11', { center: 'a' })),
    ['members', 1, 'address'],
    /outside the subnet of center a/,
  ],
  ['a missing twin', withMembers(node('127.1.0.11')), ['members', 0], /no node 127\.2\.0\.11/],
  [
    'a twin of another kind',
    withMembers(node('127.1.0.11'), { kind: 'directory', address: '127.2.0.11', port: 1 }),
    ['members', 0],
    /no twin/,
  ],
  [
    'an unknown center',
    withMembers(node('127.1.0.11', { center: 'c' })),
    ['members', 0, 'center'],
    /unknown/,
  ],
  ['no address', withMembers(node('localhost')), ['members', 0, 'address'], /not an IP address/],
  ['an octal octet', withMembers(node('127.1.0.011')), ['members', 0, 'address'], /not an IP address/],
  ['the network address', withMembers(node('127.1.0.0')), ['members', 0, 'address'], /no host/],
  ['the broadcast address', withMembers(node('127.1.0.255')), ['members', 0, 'address'], /no host/],
  ['a port that is none', withMembers(node('127.1.0.11', { port: 0 })), ['members', 0, 'port'], /not a port/],
  [
    'a negative weight',
    withMembers(node('127.1.0.11', { weight: -1 })),
    ['members', 0, 'weight'],
    /not a number/,
  ],
  [
    'twins of unequal weight',
    withMembers(node('127.1.0.11', { weight: 1 }), node('127.2.0.11', { weight: 2 })),
    ['members', 1, 'weight'],
    /differs/,
  ],
  [
    'one id twice',
    withMembers(node('127.1.0.11', { id: 'x' }), node('127.2.0.11', { id: 'x' })),
    ['members', 1],
    /two members/,
  ],
  [
    'table: an unknown member',
    { ...table, twins: [{ name: '11', members: ['node-a11', 'node-b99'] }] },
    ['twins', 0, 'members', 1],
    /no node or directory/,
  ],
  [
    'table: a member in two rows',
    {
      ...table,
      twins: [
        { name: '11', members: ['node-a11', 'node-b11'] },
        { name: '12', members: ['node-a12', 'node-b11'] },
      ],
    },
    ['twins', 1, 'members', 1],
    /two twins/,
  ],
  [
    'table: a member that is its own twin',
    { ...table, twins: [{ name: '11', members: ['node-a11', 'node-a11'] }] },
    ['twins', 0, 'members', 1],
    /two twins/,
  ],
  [
    'table: a member left out',
    { ...table, twins: [{ name: '11', members: ['node-a11', 'node-b11'] }] },
    ['members', 2],
    /no twin in the table/,
  ],
  [
    'table: twins in one center',
    { ...table, twins: [{ name: '11', members: ['node-a11', 'node-a12'] }] },
    ['twins', 0],
    /both in center a/,
  ],
  [
    'table: one pair name twice',
    { ...table, twins: table.twins!.map((row) => ({ ...row, name: '11' })) },
    ['members', 2],
    /named twice/,
  ],
  [
    'table: a member without id',
    { ...table, members: [{ ...table.members[0]!, id: undefined }] as unknown as MemberConfig[] },
    ['members', 0],
    /needs an id/,
  ],
];

for (const [name, config, path, message] of refused) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => buildTopology(config),
      (error) => {
        assert(error instanceof TopologyError, String(error));
        assert.deepEqual(error.path, path);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

const shuffled = <T>(items: readonly T[]) =>
  fc.shuffledSubarray([...items], { minLength: items.length, maxLength: items.length });
const tables = fc.integer({ min: 1, max: 12 }).chain((count) => {
  const ids = (center: string) => Array.from({ length: count }, (_, index) => `node-${center}${index}`);
  return fc
    .tuple(
      shuffled(ids('a')),
      shuffled(ids('b')),
      fc.array(fc.boolean(), { minLength: count, maxLength: count }),
    )
    .map(
      ([a, b, turned]): TopologyConfig => ({
        centers: [
          { name: 'a', subnets: [] },
          { name: 'b', subnets: [] },
        ],
        members: [...a, ...b].map((id, index) => node('127.0.0.1', { id, center: id[5]!, port: 1 + index })),
        twins: a.map((id, row) => ({
          name: `p${row}`,
          members: turned[row] ? ([b[row]!, id] as const) : ([id, b[row]!] as const),
        })),
      }),
    );
});

test('any table of pairs is an involution without fixed points, and a bijection', () => {
  fc.assert(
    fc.property(tables, (config) => {
      const { members, pairs } = buildTopology(config);
      const twins = [...members.values()].map((member) => members.get(member.twin!)!);
      assert.equal(new Set(twins.map((twin) => twin.id)).size, members.size);
      for (const member of members.values()) {
        assert.notEqual(member.twin, member.id);
        assert.equal(members.get(member.twin!)!.twin, member.id);
      }
      assert.equal(pairs.size * 2, members.size);
      for (const {
        members: [first, second],
      } of pairs.values())
        assert.deepEqual([members.get(first)!.center, members.get(second)!.center], ['a', 'b']);
    }),
  );
});

test('a table with any one name put in the place of another is refused', () => {
  fc.assert(
    fc.property(tables, fc.nat(), fc.nat(), (config, from, to) => {
      const places = config.twins!.flatMap((row, index) =>
        [0, 1].map((side) => ({ index, side, id: row.members[side]! })),
      );
      const source = places[from % places.length]!;
      const target = places[to % places.length]!;
      fc.pre(source.id !== target.id);
      const twins = config.twins!.map((row, index) =>
        index === target.index
          ? {
              ...row,
              members: row.members.map((id, side) => (side === target.side ? source.id : id)) as unknown as [
                string,
                string,
              ],
            }
          : row,
      );
      assert.throws(() => buildTopology({ ...config, twins }), TopologyError);
    }),
  );
});
