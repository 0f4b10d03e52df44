/** Who may import whom: the table of ARCHITECTURE.md, held against every import of src/. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { importsOf, sourceFiles } from './source-files.ts';

/** `values`: rooms (or single files of rooms) that may be imported; `types`: those that only `import type` may name. */
interface Rule {
  readonly values: readonly string[];
  readonly types?: readonly string[];
}

const CATALOG_INTERFACE = [
  'ddm/catalog.ts',
  'ddm/rows.ts',
  'ddm/change-feed.ts',
  'ddm/name-source.ts',
  'ddm/notification-config.ts',
  'ddm/notification-queue.ts',
  'ddm/lifecycle-source.ts',
];
const NODE_PROTOCOL = ['nodes/protocol.ts', 'nodes/names-protocol.ts', 'nodes/digest-tree.ts'];

const RULES: Readonly<Record<string, Rule>> = {
  base: { values: [] },
  lifecycle: { values: ['base'] },
  twin: { values: ['base'] },
  nodes: { values: ['base', 'twin'] },
  identity: { values: ['base'], types: ['ddm'] },
  ddm: { values: ['base', 'twin'] },
  dosm: { values: ['base', 'twin', ...NODE_PROTOCOL], types: ['ddm'] },
  s3api: { values: ['base', 'lifecycle', 'identity', 'dosm', ...CATALOG_INTERFACE] },
  jobs: {
    values: ['base', 'lifecycle', 'dosm', ...CATALOG_INTERFACE, ...NODE_PROTOCOL],
    types: ['twin', 'nodes'],
  },
  admin: { values: ['base', 'ddm', 'dosm', 'twin', 'identity'], types: ['nodes'] },
  cli: { values: ['base', 'identity', 'config.ts', 'admin/api.ts'], types: ['admin', 'twin', 'ddm'] },
  'config.ts': { values: ['base', 'twin', 'settings.ts', 'external-directories.ts'] },
  'external-directories.ts': { values: ['base', 'twin'] },
  'settings.ts': { values: ['base', 'lifecycle', 'twin'] },
};
/** The rooms that wire the others together. */
const WIRING = ['cli.ts', 'launcher'];

/** Packages that only some rooms may use. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  pg: ['ddm', 'launcher'],
  express: ['s3api', 'admin'],
  lmdb: ['nodes'],
  'node-pg-migrate': ['ddm'],
};

const roomOf = (path: string) => path.replace(/^src\//, '').split('/')[0]!;
const files = sourceFiles(['src']);
const imports = files.flatMap(importsOf);

describe('the import table', () => {
  it('finds the imports it is about', () => {
    assert.ok(
      imports.some((i) => i.from === 'src/ddm/catalog.ts' && i.target === 'src/base/ids.ts' && i.typeOnly),
    );
  });

  it('has a row for every room', () => {
    const rooms = new Set(files.map((f) => roomOf(f.path)));
    const unknown = [...rooms].filter((room) => !(room in RULES) && !WIRING.includes(room));
    assert.deepEqual(unknown, []);
  });

  it('holds for every import between rooms', () => {
    const broken = imports.filter(({ from, target, typeOnly }) => {
      const room = roomOf(from);
      if (WIRING.includes(room) || !target.startsWith('src/') || roomOf(target) === room) return false;
      const rule = RULES[room];
      const allowed = [...(rule?.values ?? []), ...(typeOnly ? (rule?.types ?? []) : [])];
      return !allowed.some((a) => a === roomOf(target) || `src/${a}` === target);
    });
    assert.deepEqual(broken, []);
  });

  it('keeps src apart from tests, scripts and benchmarks', () => {
    const outside = imports.filter(
      (i) => /^(?:test|scripts|bench|bin)\//.test(i.target) || i.target.startsWith('..'),
    );
    assert.deepEqual(
      outside.filter((i) => i.target !== '../package.json'),
      [],
    );
  });

  it('keeps packages to the rooms that they belong to', () => {
    const broken = imports.filter(({ from, target }) => {
      const rooms = PACKAGES[target];
      return rooms !== undefined && !rooms.includes(roomOf(from));
    });
    assert.deepEqual(broken, []);
  });
});
